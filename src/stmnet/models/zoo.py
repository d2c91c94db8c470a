"""Every network by its name: a plain dict from the name to the function that builds it.

Builders differ in their literal numbers only. Parameters they share:

- `num_classes`: how many scores the network gives.
- `num_frames`: T, the frames it sees of a clip.
- `width`: channels of the stem, 64 in the papers. Smaller makes the whole network narrower.
- `dropout`: probability of the dropout before the classifier.

The options of STM's variants are those of `stmnet.models.stm_options.STMOptions`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from stmnet.errors import UnknownModelError
from stmnet.models.builder_options import nearest, validate_options, with_options_of
from stmnet.models.eco import ECO
from stmnet.models.i3d import I3D
from stmnet.models.resnet import BasicBlock, Bottleneck, ResNet, every_block
from stmnet.models.stm import STMBasicBlock, STMBottleneck, stm_layout
from stmnet.models.stm_options import STMOptions, migrate_options
from stmnet.models.tea import TEABottleneck
from stmnet.models.tsm import TSMBasicBlock, TSMBottleneck, every_second_block
from stmnet.models.weights import load_backbone

logger = logging.getLogger(__name__)

BLOCKS_PER_STAGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def tsn(
    depth: int, *, num_classes: int, num_frames: int = 8, width: int = 64, dropout: float = 0.5
) -> ResNet:
    """TSN: the plain 2D ResNet, blind to the order of its frames."""
    return ResNet(
        every_block(BasicBlock if depth < 50 else Bottleneck, BLOCKS_PER_STAGE[depth]),
        num_classes=num_classes,
        num_frames=num_frames,
        width=width,
        dropout=dropout,
    )


@with_options_of(STMOptions)
def stm(
    depth: int,
    *,
    num_classes: int,
    num_frames: int = 8,
    width: int = 64,
    dropout: float = 0.5,
    **options: Any,
) -> ResNet:
    """STM: every residual block is an STM block (section 3.4), or its variant by the options."""
    return ResNet(
        stm_layout(
            BasicBlock if depth < 50 else Bottleneck,
            STMBasicBlock if depth < 50 else STMBottleneck,
            BLOCKS_PER_STAGE[depth],
            options=STMOptions(**options),
        ),
        num_classes=num_classes,
        num_frames=num_frames,
        width=width,
        dropout=dropout,
    )


def tsm(
    depth: int, *, num_classes: int, num_frames: int = 8, width: int = 64, dropout: float = 0.5
) -> ResNet:
    """TSM: a part of the channels is shifted in front of the blocks; in ResNet-101 every second."""
    blocks = BLOCKS_PER_STAGE[depth]
    if depth == 101:
        layout = every_second_block(blocks)
    else:
        layout = every_block(TSMBasicBlock if depth < 50 else TSMBottleneck, blocks)
    return ResNet(
        layout, num_classes=num_classes, num_frames=num_frames, width=width, dropout=dropout
    )


def tea(*, num_classes: int, num_frames: int = 8, width: int = 64, dropout: float = 0.5) -> ResNet:
    """TEA on Res2Net-50, which has the blocks of ResNet-50."""
    return ResNet(
        every_block(TEABottleneck, BLOCKS_PER_STAGE[50]),
        num_classes=num_classes,
        num_frames=num_frames,
        width=width,
        dropout=dropout,
    )


def i3d(*, num_classes: int, num_frames: int = 32, width: int = 64, dropout: float = 0.5) -> I3D:
    """I3D on ResNet-50, which the paper quotes with 32 frames."""
    return I3D(num_classes=num_classes, num_frames=num_frames, width=width, dropout=dropout)


def eco(
    image_stream: bool,
    *,
    num_classes: int,
    num_frames: int = 16,
    width: int = 64,
    dropout: float = 0.5,
) -> ECO:
    """ECO-Full with its image stream, ECO-Lite without; the paper quotes it with 16 frames."""
    return ECO(
        image_stream=image_stream,
        num_classes=num_classes,
        num_frames=num_frames,
        width=width,
        dropout=dropout,
    )


MODELS: dict[str, Callable[..., nn.Module]] = {
    "tsn_resnet18": partial(tsn, 18),
    "tsn_resnet34": partial(tsn, 34),
    "tsn_resnet50": partial(tsn, 50),
    "tsn_resnet101": partial(tsn, 101),
    "stm_resnet18": partial(stm, 18),
    "stm_resnet34": partial(stm, 34),
    "stm_resnet50": partial(stm, 50),
    "stm_resnet101": partial(stm, 101),
    "tsm_resnet18": partial(tsm, 18),
    "tsm_resnet34": partial(tsm, 34),
    "tsm_resnet50": partial(tsm, 50),
    "tsm_resnet101": partial(tsm, 101),
    "tea_res2net50": tea,
    "i3d_resnet50": i3d,
    "eco_full": partial(eco, True),
    "eco_lite": partial(eco, False),
}


def list_models() -> list[str]:
    """The names that `build_model` takes.

    >>> import stmnet
    >>> [name for name in stmnet.list_models() if name.startswith("stm_")]
    ['stm_resnet18', 'stm_resnet34', 'stm_resnet50', 'stm_resnet101']
    """
    return list(MODELS)


def build_model(
    name: str,
    *,
    num_classes: int,
    num_frames: int = 8,
    pretrained: str | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network: (N, T, 3, H, W) float, normalized -> logits (N, `num_classes`).

    `pretrained`: "imagenet" (torchvision's or timm's weights of the trunk), or the path of a state
    dict, a checkpoint or a run's folder, whose tensors are loaded by name; the classifier starts
    fresh where its size differs. What was loaded, and what was not, is logged as INFO.

    `options`: `width` and `dropout`; STM also takes the fields of
    `stmnet.models.stm_options.STMOptions`.

    >>> import stmnet, torch
    >>> network = stmnet.build_model("stm_resnet18", num_classes=5, num_frames=4)
    >>> network(torch.randn(2, 4, 3, 64, 64)).shape
    torch.Size([2, 5])
    >>> without_motion = stmnet.build_model("stm_resnet18", num_classes=5, modules="cstm")

    Raises `UnknownModelError` for an unknown name or option, `CheckpointError` for weights that
    cannot be read or do not belong to this trunk.
    """
    options = migrate_options(options)
    validate_model(name, options)
    sizes = {"num_classes": num_classes, "num_frames": num_frames, "width": options.get("width", 1)}
    for what, number in sizes.items():
        if number < 1:
            raise UnknownModelError(f"{name}: {what} is {number}. Give at least 1.")
    model = MODELS[name](num_classes=num_classes, num_frames=num_frames, **options)
    if pretrained is not None:
        logger.info(load_backbone(model, pretrained, name=name).describe())
    return model


def validate_model(name: str, options: Mapping[str, Any]) -> None:
    """Raise `UnknownModelError` for an unknown name or option, or an option of a wrong type."""
    if name not in MODELS:
        raise UnknownModelError(f"unknown model {name!r}.{nearest(name, list(MODELS))}")
    validate_options(name, MODELS[name], options)
