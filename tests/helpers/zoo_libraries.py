"""Models of timm, torchvision, peft and sentence-transformers, in a process of their own (`tests.helpers.zoo_run`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.helpers.zoo import Family, numbered
from tests.helpers.zoo_encoders import SIZES
from tests.helpers.zoo_stimuli import fast_tokenizer
from tests.helpers.zoo_text import OLD, T5, from_configuration

SMALL = {"world": "pictures of 64"}
WIDE = {"world": "wide pictures of 64"}
WITHOUT_PREFIX = {"embeddings": 1, "blocks*": 1, "norm*": 1, "pos_drop": 1, "patch_drop": 1}
FOUR = ("layer1", "layer2", "layer3", "layer4")


def timm_model(name: str, **options: Any) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, num_classes=5, **options)


def timm_class(name: str, **options: Any) -> nn.Module:
    import timm.models

    return getattr(timm.models, name)(num_classes=5, **options)


def of_timm(name: str, blocks: tuple[str, ...], *, make: Any = timm_model, sizes: Mapping[str, Any], **more) -> Family:
    given = {"name": f"timm {name}", "blocks": blocks, "build": partial(make, name, **sizes), "axes": "by rank"}
    return Family(**given | {"hidden": "", "exact": False} | more)


def prefixed(n: int) -> dict[str, int]:
    """`n` leading tokens that are no patches, wherever they are."""
    return {glob: n for glob in WITHOUT_PREFIX}


def timm_tokens() -> list[Family]:
    """Batch x tokens x features. "spatial_mean" is over patches alone; some models add their class token late."""
    tiny = {"img_size": 64, "depth": 3, "embed_dim": 48, "num_heads": 3}
    late = {"norm*": 1, "cls_attn_blocks*": 1, "blocks_token_only*": 1}
    small = {"img_size": 64, "depth": 2, "embed_dim": 32, "num_heads": 4}
    three = numbered("blocks", 3)
    vit = partial(of_timm, blocks=three, sizes=tiny, **SMALL)
    hiera = {"img_size": 64, "embed_dim": 16, "num_heads": 1, "stages": (1, 1, 2, 1)}
    pit = {"img_size": 64, "base_dims": [8, 8, 8], "depth": [1, 2, 1], "heads": [2, 4, 8]}
    mixer = {"img_size": 64, "patch_size": 16, "num_blocks": 3, "embed_dim": 32}
    return [
        vit("vit_tiny_patch16_224", prefix=prefixed(1)),
        vit("vit_small_patch16_dinov3", prefix=prefixed(5)),
        vit("vit_small_patch14_reg4_dinov2", sizes=tiny | {"patch_size": 16}, prefix=prefixed(5)),
        vit("vit_base_patch16_siglip_gap_224"),
        vit("deit_tiny_distilled_patch16_224", prefix=prefixed(2)),
        vit("beit_base_patch16_224", prefix=prefixed(1)),
        vit("eva02_tiny_patch14_224", sizes=tiny | {"patch_size": 16}, prefix=prefixed(1)),
        vit("convit_tiny", sizes=tiny | {"local_up_to_layer": 2}, prefix={"blocks.2": 1, "norm*": 1}),
        of_timm("MlpMixer", three, make=timm_class, sizes=mixer, **SMALL),
        of_timm("hiera_tiny_224", numbered("blocks", 5), sizes=hiera, **SMALL),
        of_timm("xcit_nano_12_p16_224", numbered("blocks", 2), sizes=small, prefix=late, **SMALL),
        of_timm("cait_xxs24_224", numbered("blocks", 2), sizes=small, prefix={"norm*": 1}, **SMALL),
        of_timm(
            "tnt_s_patch16_224",
            numbered("blocks", 2),
            sizes={"img_size": 64, "depth": 2},
            refusals={"blocks.*": "two streams, the first with a row a patch", "embeddings*": "two streams"},
            **SMALL,
        ),
        of_timm("pit_ti_224", numbered("transformers", 3), sizes=pit, prefix={"norm": 1}, **SMALL),
    ]


def timm_pictures() -> list[Family]:
    """Batch x channels x height x width, or batch x height x width x channels."""
    swin = {"img_size": (64, 96), "embed_dim": 16, "depths": (1, 1, 2, 1), "num_heads": (2, 2, 2, 2)}
    last = {"layers*": "bhwc", "norm": "bhwc", "patch_embed": "bhwc", "embeddings": "bhwc", "*": "by rank"}
    maxvit = {"img_size": 64, "embed_dim": (32, 32, 64, 64), "depths": (1, 1, 1, 1)}
    pvt = {
        "embed_dims": (16, 16, 32, 32),
        "num_heads": (1, 2, 2, 2),
        "depths": (1, 1, 1, 1),
        "mlp_ratios": (2, 2, 2, 2),
    }
    dense = {"growth_rate": 8, "block_config": (1, 2, 1, 1)}
    stages, layers = numbered("stages", 4), numbered("layers", 4)
    return [
        of_timm("test_resnet", FOUR, sizes={}, **WIDE),
        of_timm("swin_tiny_patch4_window7_224", layers, sizes=swin | {"window_size": 4}, axes=last, **WIDE),
        of_timm("swinv2_tiny_window8_256", layers, sizes=swin | {"window_size": 4}, axes=last, **WIDE),
        of_timm("FocalNet", layers, make=timm_class, sizes={"embed_dim": 16, "depths": (1, 1, 1, 1)}, **WIDE),
        of_timm("test_convnext", stages, sizes={}, **WIDE),
        of_timm("test_nfnet", stages, sizes={}, **WIDE),
        of_timm("test_byobnet", stages, sizes={}, **WIDE),
        of_timm("regnetx_002", ("s1", "s2", "s3", "s4"), sizes={}, **WIDE),
        of_timm("test_efficientnet", numbered("blocks", 5), sizes={}, **WIDE),
        of_timm("mobilenetv3_small_050", numbered("blocks", 6), sizes={}, **WIDE),
        of_timm(
            "PyramidVisionTransformerV2",
            stages,
            make=timm_class,
            sizes=pvt,
            axes={"patch_embed": "bhwc", "embeddings": "bhwc", "*": "by rank"},
            **WIDE,
        ),
        of_timm("coatnet_nano_rw_224", stages, sizes=maxvit, **SMALL),
        of_timm("maxvit_rmlp_pico_rw_256", stages, sizes=maxvit, **SMALL),
        of_timm("densenet121", tuple(f"features.denseblock{i}" for i in (1, 2, 3, 4)), sizes=dense, **WIDE),
    ]


def torchvision_convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(16, 24, 1), CNBlockConfig(24, 32, 1), CNBlockConfig(32, None, 2)], num_classes=5)


def vgg() -> nn.Module:
    """A flat chain of convolutions, without the hundred million weights of the classifier."""
    from torchvision.models.vgg import VGG, make_layers

    features = make_layers([16, "M", 24, "M", 32, "M"], batch_norm=True)
    with torch.device("meta"):
        model = VGG(features)
    model.classifier = nn.Sequential(nn.Linear(32 * 49, 16), nn.ReLU(True), nn.Linear(16, 5))
    return model


def of_torchvision(name: str, blocks: tuple[str, ...], *sizes: Any, **more) -> Family:
    options = more.pop("options_of_model", {})
    build = more.pop("build", None) or partial(_built, name, sizes, options)
    given = {"name": f"torchvision {name}", "blocks": blocks, "build": build, "axes": "by rank"}
    return Family(**given | {"hidden": "", "exact": False} | WIDE | more)


def _built(name: str, sizes: tuple[Any, ...], options: Mapping[str, Any]) -> nn.Module:
    from torchvision import models

    return getattr(models, name)(*sizes, **options, num_classes=5)


def torchvision_pictures() -> list[Family]:
    """CNNs, a Swin with its channels last, a vision transformer with its class token among the places."""
    narrow = {"options_of_model": {"width_mult": 0.25}}
    no_heads = {"options_of_model": {"init_weights": False, "aux_logits": False}}
    swin = {"features*": "bhwc", "norm": "bhwc", "*": "by rank"}
    inception = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    fires = tuple(f"features.{i}" for i in (3, 4, 6, 7, 9, 10, 11, 12))
    dense = tuple(f"features.denseblock{i}" for i in (1, 2, 3, 4))
    return [
        of_torchvision("resnet18", FOUR),
        of_torchvision("DenseNet", dense, 8, (1, 2, 1, 1), 16),
        of_torchvision("mobilenet_v2", numbered("features", 19), **narrow),
        of_torchvision("mobilenet_v3_small", numbered("features", 13), **narrow),
        of_torchvision("efficientnet_b0", numbered("features", 9)),
        of_torchvision("convnext", numbered("features", 6), build=torchvision_convnext),
        of_torchvision("SwinTransformer", numbered("features", 6), [4, 4], 16, [1, 2, 1], [2, 2, 4], [4, 4], axes=swin),
        of_torchvision(
            "VisionTransformer",
            tuple(f"encoder.layers.encoder_layer_{i}" for i in range(3)),
            *(64, 16, 3, 4, 32, 48),
            **SMALL,
        ),
        of_torchvision("regnet_y_400mf", tuple(f"trunk_output.block{i}" for i in (1, 2, 3, 4))),
        of_torchvision("googlenet", tuple(f"inception{name}" for name in inception), **no_heads),
        of_torchvision("shufflenet_v2_x0_5", ("stage2", "stage3", "stage4")),
        of_torchvision("squeezenet1_1", ("features",), alternatives=(fires,)),
        of_torchvision("MaxVit", numbered("blocks", 2), (64, 64), 24, 4, [24, 40], [1, 1], 8, 0.0, **SMALL),
        of_torchvision("VGG", ("features",), alternatives=(("features.0", "features.4", "features.8"),), build=vgg),
    ]


def lora(build: Any, targets: tuple[str, ...]) -> nn.Module:
    """Adapters on a model, both halves of them away from zero once the weights are drawn anew."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(build(), LoraConfig(r=2, target_modules=list(targets)))


def encoded_by_adapters(model: nn.Module, x: Tensor, **options: Any) -> Any:
    return model.base_model.model.get_encoder()(x, **options)


def adapted() -> list[Family]:
    bert = partial(from_configuration, "bert", "AutoModel", SIZES)
    gpt2 = partial(from_configuration, "gpt2", "AutoModelForCausalLM", OLD)
    t5 = partial(from_configuration, "t5", "AutoModel", T5)
    front = "base_model.model"
    return [
        Family(
            name="peft bert",
            build=partial(lora, bert, ("query", "value")),
            blocks=numbered(f"{front}.encoder.layer", 3),
            world="sentences",
        ),
        Family(name="peft gpt2", build=partial(lora, gpt2, ("c_attn",)), blocks=numbered(f"{front}.transformer.h", 3)),
        Family(
            name="peft t5",
            build=partial(lora, t5, ("q", "v")),
            blocks=numbered(f"{front}.encoder.block", 3),
            forward=encoded_by_adapters,
            world="closed",
        ),
    ]


def sentence_transformer() -> nn.Module:
    """A BERT and a pooling, as their own modules."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        from_configuration("bert", "AutoModel", SIZES).save_pretrained(folder)
        fast_tokenizer(opens=True, closes=True).save_pretrained(folder)
        return SentenceTransformer(modules=[Transformer(folder), Pooling(SIZES["hidden_size"])], device="cpu")


def of_features(model: nn.Module, x: Tensor) -> Any:
    return model({"input_ids": x, "attention_mask": torch.ones_like(x)})


def sentence_transformers() -> list[Family]:
    common = {"build": sentence_transformer, "blocks": numbered("0.model.encoder.layer", 3), "world": "sentences"}
    common |= {"forward": of_features, "hidden": ""}
    return [
        Family(
            name="sentence-transformers",
            **common,
            error=("module=", "its forward takes one mapping, which nothing in its signature says"),
        ),
        Family(name="sentence-transformers, module=0.model", **common, options={"module": "0.model"}),
        Family(
            name="sentence-transformers, module=model[0].auto_model",
            **common,
            options={"module": "model[0].auto_model"},
        ),
        Family(
            name="sentence-transformers, call=",
            **common,
            options={"call": lambda module, batch: of_features(module, batch["input_ids"])},
        ),
    ]


LIBRARIES = {
    "timm": (timm_tokens, timm_pictures),
    "torchvision": (torchvision_pictures,),
    "peft": (adapted,),
    "sentence_transformers": (sentence_transformers,),
}
"""Library -> its shelves."""


def families(library: str) -> dict[str, Family]:
    """Each third of a library's; all of them by hand, ONTOGENY_ZOO=all."""
    every = 1 if os.environ.get("ONTOGENY_ZOO") == "all" else 3
    return dict(list(whole(library).items())[::every])


def whole(library: str) -> dict[str, Family]:
    return {family.name: family for shelf in LIBRARIES[library] for family in shelf()}
