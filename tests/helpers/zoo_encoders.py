"""Bidirectional encoders of transformers that read text."""

from __future__ import annotations

from functools import partial

from tests.helpers.zoo import Family
from tests.helpers.zoo_stimuli import N_TOKENS
from tests.helpers.zoo_text import MARKS, PADS, SIZES, family

SMALLER = SIZES | {"embedding_size": 16}
LIKE_BERT = (
    *("bert", "roberta", "ernie", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "esm"),
    *("rembert", "megatron-bert", "ibert", "data2vec-text", "roformer", "big_bird", "convbert", "fnet", "splinter"),
    *("bert-generation", "layoutlm"),
)
PLAIN_LAYERS = ("nomic_bert", "eurobert", "gte", "jina_embeddings_v3")
SMALL_TABLES = {
    "layoutlm": {"max_2d_position_embeddings": 8},
    "big_bird": {"attention_type": "original_full"},
}


def encoders() -> list[Family]:
    """[CLS] and [SEP] around every text."""
    bert = partial(family, world="sentences")
    return [
        *(bert(kind, "encoder.layer", SIZES | SMALL_TABLES.get(kind, {})) for kind in LIKE_BERT),
        *(bert(kind, "layers", SIZES) for kind in PLAIN_LAYERS),
        bert("electra", "encoder.layer", SMALLER),
        bert("mobilebert", "encoder.layer", SMALLER | {"intra_bottleneck_size": 16}),
        bert("modernbert", "layers", SIZES | {"global_attn_every_n_layers": 2, "local_attention": 6}),
        *(bert(kind, "encoder.layer", SIZES | DISENTANGLED) for kind in ("deberta", "deberta-v2")),
        bert(
            "distilbert",
            "transformer.layer",
            MARKS | {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 32},
        ),
        bert("bert", "bert.encoder.layer", SIZES, name="bert with a head", head="AutoModelForMaskedLM"),
        bert("bert", "bert.encoder.layer", SIZES, name="bert classifier", head="AutoModelForSequenceClassification"),
        family("bert", "encoder.layer", SIZES, name="bert without [CLS] and [SEP]"),
        *odd_encoders(),
    ]


DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
SQUEEZED = [f"{part}_groups" for part in ("q", "k", "v", "post_attention", "intermediate", "output")]


def odd_encoders() -> list[Family]:
    """One layer called several times, tokens before the batch, fewer tokens than the text, blocks in pieces."""
    bert = partial(family, world="sentences")
    group = "encoder.albert_layer_groups.0"
    return [
        bert(
            "albert",
            "",
            SMALLER,
            blocks=tuple(f"{group}.albert_layers.0[{i}]" for i in range(3)),
            alternatives=(tuple(f"{group}[{i}]" for i in range(3)),),
        ),
        bert("xlnet", "layer", MARKS | {"d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48}, axes="tbd"),
        bert("longformer", "encoder.layer", SIZES | {"attention_window": 4}, padded=True, refusals=PADS),
        bert(
            "funnel",
            "",
            MARKS | FUNNEL,
            blocks=("encoder.blocks.0.0", "encoder.blocks.1.0", "encoder.blocks.1.1"),
            refusals={"encoder.blocks.1.*@last": "half as many tokens as the text"},
        ),
        bert("nystromformer", "encoder.layer", SIZES | {"num_landmarks": 32, "segment_means_seq_len": 32}),
        bert(
            "deberta-v2",
            "encoder.layer",
            SIZES | DISENTANGLED | {"conv_kernel_size": 3},
            name="deberta-v2 with a convolution",
            hidden="",  # of the model's own states, the second has the convolution in it, the layer's output has not
        ),
        bert(
            "squeezebert",
            "encoder.layers",
            SIZES | dict.fromkeys(SQUEEZED, 1) | {"embedding_size": 32},
            exact=False,
            blocks=("encoder",),  # which calls the forward of its blocks itself, past their hooks
            first="encoder",
            options={"layers": ["embeddings", "encoder"]},
            hidden="",
        ),
    ]


FUNNEL = {"vocab_size": N_TOKENS, "block_sizes": [1, 2], "num_decoder_layers": 1, "d_model": 32, "n_head": 4}
FUNNEL |= {"d_head": 8, "d_inner": 48, "architectures": ["FunnelModel"]}
