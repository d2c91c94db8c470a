"""What the first STM block sees in a clip, as in the paper's Fig. 1 (g) and (h)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stmnet.data.reading import read_center
from stmnet.datasets.clip_list import Clip
from stmnet.models.stm import CMM, CSTM
from stmnet.recognizer import Recognizer


@dataclass(frozen=True)
class FeatureExample:
    """What the first STM block sees in one clip (as in the paper's Fig. 1).

    `frames` (T, 3, H, W) uint8; `cstm` and `cmm` (T, h, w) float32, the mean magnitude over the
    channels of the first CSTM's and the first CMM's output.
    """

    clip: Clip
    label: str
    frames: Tensor
    cstm: Tensor
    cmm: Tensor


def has_stm_blocks(network: nn.Module) -> bool:
    """Whether there is a CSTM and a CMM to look into."""
    kinds = {type(module) for module in network.modules()}
    return {CSTM, CMM} <= kinds


def first_block_features(recognizer: Recognizer, clip: Clip, label: str) -> FeatureExample:
    """The center view of a clip beside the mean magnitudes of the first CSTM's and CMM's output.

    Raises `VideoError`.
    """
    preprocessing = recognizer.config.preprocessing
    frames = preprocessing.center_view(read_center(clip, preprocessing))
    cstm, cmm = first_block_maps(recognizer, frames)
    return FeatureExample(clip=clip, label=label, frames=frames, cstm=cstm, cmm=cmm)


def first_block_maps(recognizer: Recognizer, frames: Tensor) -> tuple[Tensor, Tensor]:
    """The mean magnitudes of the first CSTM's and CMM's output: (T, 3, H, W) uint8 -> (T, h, w)."""
    cstm = _first(recognizer.network, CSTM)
    cmm = _first(recognizer.network, CMM)
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # (T, C, h, w) -> (T, h, w)
        seen[module] = output.abs().mean(dim=1).float().cpu()

    hooks = [module.register_forward_hook(keep) for module in (cstm, cmm)]
    try:
        with torch.no_grad():
            recognizer.network(recognizer.network_input(frames.unsqueeze(0)))
    finally:
        for hook in hooks:
            hook.remove()
    return seen[cstm], seen[cmm]


def _first(network: nn.Module, kind: type[nn.Module]) -> nn.Module:
    return next(module for module in network.modules() if isinstance(module, kind))
