"""Vision and speech models of transformers, and pairs of a text and a vision tower."""

from __future__ import annotations

from functools import partial

from tests.helpers.zoo import Family, numbered
from tests.helpers.zoo_stimuli import CLOSE, N_TOKENS, OPEN, PAD
from tests.helpers.zoo_text import encoded, family

VIT = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
VIT |= {"intermediate_size": 48, "num_channels": 3}
STAGES = {"hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 2, 1]}
PYRAMID = {"image_size": 64, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
PYRAMID |= {"num_attention_heads": [1, 2, 2, 4]}
NESTED = ("encoder.block.0.0", "encoder.block.1.0", "encoder.block.2.0", "encoder.block.2.1", "encoder.block.3.0")
SMALL = {"world": "pictures"}
WIDE = {"world": "wide pictures"}
LARGER = {"world": "pictures of 64"}
WIDER = {"world": "wide pictures of 64"}


def transformers_of_patches() -> list[Family]:
    """Batch x tokens x features; "spatial_mean" is over all tokens, those that are no patches included."""
    return [
        *(family(kind, "layers", VIT, **SMALL) for kind in ("vit", "deit", "beit", "vit_msn", "ijepa", "pixio")),
        family("vit", "vit.layers", VIT, name="vit classifier", head="AutoModelForImageClassification", **SMALL),
        *(
            family(kind, "encoder.layer", VIT | {"num_register_tokens": 4}, **SMALL)
            for kind in ("dinov2", "dinov2_with_registers", "data2vec-vision")
        ),
        family("dinov3_vit", "model.layer", VIT | {"num_register_tokens": 4}, **WIDE),
        *(
            family(kind, "encoder.layers", VIT, **SMALL)
            for kind in ("clip_vision_model", "siglip_vision_model", "aimv2_vision_model")
        ),
        family(
            "vit_mae",
            "layers",
            VIT | MASKED | {"mask_ratio": 0.0},
            hidden="",  # the places are dealt out at random, at every forward pass
            **SMALL,
        ),
        family("vitdet", "encoder.layer", VIT, axes="bchw", hidden="", **SMALL),
    ]


MASKED = {"decoder_num_hidden_layers": 1, "decoder_hidden_size": 16, "decoder_num_attention_heads": 2}
MASKED |= {"decoder_intermediate_size": 16}


def hierarchies() -> list[Family]:
    """Stages with fewer places each; blocks in lists of lists."""
    swin = {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 2, 1], "num_heads": [2, 2, 4]}
    swin |= {"window_size": 4}
    focal = {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1, 1], "hidden_sizes": [16, 16, 32]}
    focal |= {"focal_levels": [1, 1, 1], "focal_windows": [3, 3, 3]}
    hiera = {"image_size": [64, 64], "embed_dim": 16, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 2, 4]}
    levit = {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1]}
    levit |= {"key_dim": [8, 8, 8], "attention_ratio": [2, 2, 2], "mlp_ratio": [2, 2, 2]}
    levit |= {"down_ops": [["Subsample", 8, 2, 4, 2, 2], ["Subsample", 8, 3, 4, 2, 2]]}
    return [
        *(family(kind, "encoder.layers", swin, **WIDE) for kind in ("swin", "swinv2", "donut-swin")),
        family("focalnet", "encoder.stages", focal, **WIDE),
        family("hiera", "encoder.stages", hiera, n=4, **LARGER),
        family("levit", "encoder.stages", levit, **LARGER),
        family("pvt", "", PYRAMID | {"sequence_reduction_ratios": [4, 2, 2, 1]}, blocks=NESTED, hidden="", **LARGER),
        family("glpn", "", PYRAMID, blocks=NESTED, hidden="", **LARGER),
        family("poolformer", "", PYRAMID, blocks=NESTED, axes="bchw", hidden="", **WIDER),
        family(
            "pvt_v2",
            "encoder.layers",
            PYRAMID | {"mlp_ratios": [2] * 4},
            n=4,
            axes={"embeddings": "bchw", "*": "btd"},
            hidden="",
            **LARGER,
        ),
        family("segformer", "stages", PYRAMID, n=4, axes="bchw", hidden="", **WIDER),
        family(
            "swiftformer",
            "",
            PYRAMID | {"embed_dims": [8, 16, 24, 32]},
            blocks=numbered("encoder.network", 7),
            alternatives=(numbered("encoder.network", 7)[::2],),
            axes="bchw",
            **WIDER,
        ),
    ]


def convolutions() -> list[Family]:
    """Batch x channels x height x width, also of pictures that are no squares."""
    cnn = partial(family, n=4, axes="bchw")
    narrow = {"embedding_size": 16}
    mobile = {"image_size": 32, "depth_multiplier": 0.25}
    return [
        cnn("convnext", "encoder.stages", STAGES, **WIDE),
        cnn("convnextv2", "encoder.stages", STAGES, **WIDE),
        cnn("dinov3_convnext", "model.stages", STAGES, **WIDE),
        cnn("resnet", "encoder.stages", STAGES | narrow | {"layer_type": "basic"}, **SMALL),
        cnn(
            "resnet",
            "resnet.encoder.stages",
            STAGES | narrow,
            name="resnet classifier",
            head="AutoModelForImageClassification",
            **WIDE,
        ),
        cnn("regnet", "encoder.stages", STAGES | narrow | {"groups_width": 8}, **WIDE),
        cnn(
            "bit",
            "encoder.stages",
            narrow | {"hidden_sizes": [32, 32, 64, 64], "depths": [1] * 4, "num_groups": 4},
            **WIDE,
        ),
        cnn("mobilenet_v1", "layer", mobile, late=1, **WIDE | {"n": 26}),
        cnn("mobilenet_v2", "layer", mobile, late=1, **WIDE | {"n": 16}),
        cnn(
            "mobilevit",
            "encoder.layer",
            {"image_size": 32, "hidden_sizes": [16, 24, 32], "num_attention_heads": 2}
            | {"neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64]},
            late=1,
            **LARGER | {"n": 5},
        ),
        cnn("efficientnet", "encoder.blocks", EFFICIENT, **WIDE | {"n": 4}),
    ]


EFFICIENT = {"image_size": 32, "width_coefficient": 0.5, "depth_coefficient": 1.0, "hidden_dim": 640}
EFFICIENT |= {"num_block_repeats": [1, 1, 2], "in_channels": [32, 16, 24], "out_channels": [16, 24, 40]}
EFFICIENT |= {"kernel_sizes": [3, 3, 5], "strides": [1, 2, 2], "expand_ratios": [1, 2, 2]}
EFFICIENT |= {"depthwise_padding": []}


def speech() -> list[Family]:
    """Waveforms and spectrograms; places are moments."""
    wave = {"vocab_size": N_TOKENS, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    wave |= {"intermediate_size": 48, "conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2)}
    wave |= {"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    whisper = {"vocab_size": 60, "d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "num_mel_bins": 8}
    whisper |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48}
    whisper |= {"decoder_ffn_dim": 48, "max_source_positions": 16, "max_target_positions": 16}
    whisper |= {"pad_token_id": PAD, "bos_token_id": OPEN, "eos_token_id": CLOSE, "decoder_start_token_id": 3}
    kinds = ("wav2vec2", "hubert", "wavlm", "unispeech-sat", "wav2vec2-conformer", "sew")
    return [
        *(family(kind, "encoder.layers", wave, world="waves") for kind in kinds),
        family(
            "data2vec-audio",
            "encoder.layers",
            wave | {"conv_pos_kernel_size": 3, "num_conv_pos_embeddings": 2},
            world="waves",
        ),
        family("whisper", "encoder.layers", whisper, forward=encoded, world="spectra"),
        family(
            "audio-spectrogram-transformer",
            "layers",
            VIT | {"max_length": 32, "num_mel_bins": 16},
            world="patches of sound",
        ),
    ]
