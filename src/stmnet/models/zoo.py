"""Every network by its name: a plain dict from the name to the function that builds it.

Builders differ in their literal numbers only. Parameters they share:

- `num_classes`: how many scores the network gives.
- `num_frames`: T, the frames it sees of a clip.
- `width`: channels of the stem, 64 in the papers. Smaller makes the whole network narrower.
- `dropout`: probability of the dropout before the classifier.
- `reduction`: r, the factor by which STM's motion module reduces its channels (16 in the paper).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any

from torch import nn

from stmnet.errors import UnknownModelError
from stmnet.models.resnet import BasicBlock, Bottleneck, ResNet, every_block
from stmnet.models.stm import STMBasicBlock, STMBottleneck
from stmnet.models.tsm import TSMBasicBlock, TSMBottleneck, every_second_block
from stmnet.models.weights import load_backbone

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


def stm(
    depth: int,
    *,
    num_classes: int,
    num_frames: int = 8,
    width: int = 64,
    dropout: float = 0.5,
    reduction: int = 16,
) -> ResNet:
    """STM: every residual block is an STM block (section 3.4)."""
    block = partial(STMBasicBlock if depth < 50 else STMBottleneck, reduction=reduction)
    return ResNet(
        every_block(block, BLOCKS_PER_STAGE[depth]),
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
}


def list_models() -> list[str]:
    """The names that `build_model` takes."""
    return list(MODELS)


def build_model(
    name: str,
    *,
    num_classes: int,
    num_frames: int = 8,
    pretrained: str | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network: (N, T, 3, H, W) float, normalised -> logits (N, `num_classes`).

    `pretrained`: "imagenet" (torchvision's weights of the trunk), or the path of a state dict
    whose matching parts are loaded by name; the classifier starts fresh where its size differs.

    Raises `UnknownModelError` for an unknown name or option, `CheckpointError` for weights that
    cannot be read or do not belong to this trunk.
    """
    check_model(name, options)
    model = MODELS[name](num_classes=num_classes, num_frames=num_frames, **options)
    if pretrained is not None:
        load_backbone(model, pretrained, name=name)
    return model


def check_model(name: str, options: dict[str, Any]) -> None:
    """Raise `UnknownModelError` where `name` or one of its `options` does not exist."""
    if name not in MODELS:
        raise UnknownModelError(f"unknown model {name!r}.{_nearest(name, list(MODELS))}")
    allowed = _options(MODELS[name])
    for option in options:
        if option not in allowed:
            raise UnknownModelError(f"{name} has no option {option!r}.{_nearest(option, allowed)}")


def _options(builder: Callable[..., nn.Module]) -> list[str]:
    fixed = {"num_classes", "num_frames"}
    return [name for name in inspect.signature(builder).parameters if name not in fixed]


def _nearest(word: str, known: list[str]) -> str:
    matches = get_close_matches(word, known, n=1)
    return f" Did you mean {matches[0]!r}?" if matches else f" Known: {', '.join(known)}."
