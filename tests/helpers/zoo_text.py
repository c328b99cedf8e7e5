"""Language models of transformers: decoders, hybrids, state spaces, encoders, encoder-decoders."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from tests.helpers.zoo import Family, numbered
from tests.helpers.zoo_stimuli import CLOSE, N_TOKENS, OPEN, PAD

MARKS = {"vocab_size": N_TOKENS, "pad_token_id": PAD, "bos_token_id": OPEN, "eos_token_id": CLOSE}
SIZES = MARKS | {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}
GROUPED = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
SLIDING = GROUPED | {"sliding_window": 4}
OLD = MARKS | {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 32}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
T5 = {"vocab_size": N_TOKENS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_decoder_layers": 2}
T5 |= {"num_heads": 4, "pad_token_id": PAD, "eos_token_id": CLOSE, "decoder_start_token_id": PAD}
PADS = {"*": "the model pads texts itself, to whole windows of attention"}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}


def from_configuration(kind: str, head: str, options: dict[str, Any]) -> nn.Module:
    """A model of transformers, by its model type, from nothing but its configuration."""
    import transformers

    transformers.logging.set_verbosity_error()
    configuration = transformers.AutoConfig.for_model(kind, **options)
    return getattr(transformers, head).from_config(configuration)


def family(kind: str, stack: str, sizes: dict[str, Any], *, head: str = "AutoModel", n: int = 3, **more) -> Family:
    build = partial(from_configuration, kind, head, sizes)
    return Family(**{"name": kind, "build": build, "blocks": numbered(stack, n), **more})


def encoded(model: nn.Module, x: Tensor, **options: Any) -> Any:
    """The encoder of an encoder-decoder alone."""
    return model.get_encoder()(x, **options)


causal = partial(family, head="AutoModelForCausalLM")


def decoders() -> list[Family]:
    """Attention decoders with a language-model head, as they are trained."""
    old = [
        causal("gpt2", "transformer.h", OLD),
        causal("gptj", "transformer.h", OLD | {"rotary_dim": 4}),
        causal("codegen", "transformer.h", OLD | {"rotary_dim": 4}),
        causal("gpt_bigcode", "transformer.h", OLD),
        causal("openai-gpt", "transformer.h", OLD),
        causal("ctrl", "transformer.h", OLD | {"dff": 48}),
        causal("biogpt", "biogpt.layers", SIZES),
        causal("gpt_neox", "gpt_neox.layers", SIZES),
        causal("bloom", "transformer.h", MARKS | {"hidden_size": 32, "n_layer": 3, "n_head": 4}),
        causal("falcon", "transformer.h", SIZES),
        causal("mpt", "transformer.blocks", MARKS | {"d_model": 32, "n_heads": 4, "n_layers": 3, "max_seq_len": 32}),
        causal(
            "gpt_neo",
            "transformer.h",
            MARKS
            | {"hidden_size": 32, "num_layers": 4, "num_heads": 4, "window_size": 4, "max_position_embeddings": 32}
            | {"attention_types": [[["global", "local"], 2]]},
            n=4,
        ),
        causal("opt", "model.decoder.layers", SIZES | {"ffn_dim": 48, "word_embed_proj_dim": 16}),
        causal("xglm", "model.layers", MARKS | {"d_model": 32, "num_layers": 3, "attention_heads": 4, "ffn_dim": 48}),
    ]
    plain = ("phi", "persimmon", "modernbert-decoder")
    grouped = (
        *("llama", "qwen2", "qwen3", "gemma", "phi3", "stablelm", "olmo", "olmo2", "cohere", "starcoder2", "granite"),
        *("glm", "glm4", "nemotron", "smollm3", "ernie4_5", "helium", "arcee", "diffllama", "nanochat", "bitnet"),
    )
    sliding = ("mistral", "gemma2", "gemma3_text", "olmo3", "cohere2", "exaone4")
    many = {
        "mixtral": {"num_local_experts": 4},
        "phimoe": {"num_local_experts": 4},
        "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
        "gpt_oss": {"num_local_experts": 4, "sliding_window": 4},
        "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
        "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 16},
        "qwen3_moe": EXPERTS,
        "deepseek_v3": EXPERTS
        | {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4}
        | {"head_dim": 4}
        | {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8},
    }
    return [
        *old,
        *(causal(kind, "model.layers", SIZES) for kind in plain),
        *(causal(kind, "model.layers", GROUPED) for kind in grouped),
        *(causal(kind, "model.layers", SLIDING) for kind in sliding),
        *(causal(kind, "model.layers", GROUPED | options) for kind, options in many.items()),
        causal("llama", "model.layers", GROUPED, name="llama with <s>", world="opened"),
        family("gpt2", "h", OLD, name="gpt2 without a head"),
    ]


def states() -> list[Family]:
    """State spaces, linear recurrences, and their mixtures with attention."""
    linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8}
    return [
        causal("mamba", "backbone.layers", SIZES | {"state_size": 4}, late=1),
        causal("falcon_mamba", "backbone.layers", SIZES | {"state_size": 4}, late=1),
        causal(
            "mamba2",
            "backbone.layers",
            SIZES | {"state_size": 8, "head_dim": 8, "num_heads": 8, "n_groups": 2, "chunk_size": 8},
            late=1,
        ),
        causal("rwkv", "rwkv.blocks", SIZES | {"attention_hidden_size": 32, "context_length": 32}, late=1),
        causal(
            "jamba",
            "model.layers",
            GROUPED
            | {"mamba_d_state": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False, "num_experts": 2}
            | {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts_per_tok": 1},
        ),
        causal("bamba", "model.layers", GROUPED | MAMBA | {"attn_layer_indices": [1]}),
        causal("falcon_h1", "model.layers", GROUPED | MAMBA | {"mamba_d_ssm": 64}),
        causal(
            "granitemoehybrid",
            "model.layers",
            GROUPED
            | MAMBA
            | {"num_local_experts": 2, "num_experts_per_tok": 1, "shared_intermediate_size": 32}
            | {"layer_types": ["mamba", "attention", "mamba"]},
        ),
        causal(
            "zamba2",
            "model.layers",
            GROUPED
            | {"num_hidden_layers": 4, "mamba_d_state": 8, "mamba_headdim": 8, "n_mamba_heads": 8, "mamba_ngroups": 1}
            | {"chunk_size": 8, "num_mem_blocks": 1, "adapter_rank": 4, "hybrid_layer_ids": [1, 3]}
            | {"layers_block_type": ["mamba", "hybrid"] * 2},
            n=4,
        ),
        causal(
            "nemotron_h",
            "model.layers",
            GROUPED
            | {"num_hidden_layers": 4, "hybrid_override_pattern": "M*-M", "mamba_num_heads": 8, "mamba_head_dim": 8}
            | {"ssm_state_size": 8, "n_groups": 1, "chunk_size": 8},
            n=4,
        ),
        causal(
            "recurrent_gemma",
            "model.layers",
            GROUPED
            | {"lru_width": 32, "attention_window_size": 8, "block_types": ["recurrent", "attention", "recurrent"]},
        ),
        causal(
            "lfm2",
            "model.layers",
            GROUPED | {"layer_types": ["conv", "full_attention", "conv"], "conv_L_cache": 3, "block_ff_dim": 48},
        ),
        causal(
            "qwen3_next",
            "model.layers",
            GROUPED
            | EXPERTS
            | linear
            | {"linear_value_head_dim": 8, "num_hidden_layers": 4, "shared_expert_intermediate_size": 16},
            n=4,
        ),
        causal("minimax", "model.layers", GROUPED | {"num_local_experts": 2, "num_experts_per_tok": 1}),
    ]


def encoder_decoders() -> list[Family]:
    """Only the encoder reads a text."""
    bart = MARKS | {"d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4}
    bart |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 32}
    common = {"forward": encoded, "world": "closed"}
    both = {**common, "world": "sentences"}
    led = {"attention_window": 4, "max_encoder_position_embeddings": 32, "max_decoder_position_embeddings": 32}
    prophet = MARKS | {"hidden_size": 32, "num_encoder_layers": 3, "num_decoder_layers": 2, "encoder_ffn_dim": 48}
    prophet |= {"num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4, "decoder_ffn_dim": 48}
    generating = {"head": "AutoModelForSeq2SeqLM"}
    return [
        *(family(kind, "encoder.block", T5, **common) for kind in ("t5", "mt5", "umt5")),
        family("t5", "encoder.block", T5, name="t5 with a head", **generating, **common),
        family("longt5", "encoder.block", T5 | {"local_radius": 3}, **common),
        family(
            "switch_transformers",
            "encoder.block",
            T5 | {"num_experts": 2, "num_sparse_encoder_layers": 1},
            **common,
        ),
        *(
            family(kind, "encoder.layers", bart, **both)
            for kind in ("bart", "mbart", "blenderbot", "blenderbot-small", "plbart", "mvp", "m2m_100", "nllb-moe")
        ),
        family("bart", "model.encoder.layers", bart, name="bart with a head", **generating, **both),
        *(family(kind, "encoder.layers", bart, **common) for kind in ("marian", "pegasus")),
        family("bigbird_pegasus", "encoder.layers", bart | {"attention_type": "original_full"}, **common),
        family("led", "encoder.layers", bart | led, padded=True, refusals=PADS, **both),
        family("prophetnet", "encoder.layers", prophet, **both),
    ]
