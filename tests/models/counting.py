"""What a network costs, counted on the meta device: nothing is computed."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stmnet.models.zoo import build_model


def built_on_meta(name: str, **options: int) -> nn.Module:
    with torch.device("meta"):
        return build_model(name, **options).eval()


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def count_gmacs(model: nn.Module, clips: tuple[int, ...]) -> float:
    """10^9 multiply-adds: convolutions and linear layers, and 2 per element of batch norms."""
    normalised = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal normalised
        normalised += 2 * inputs[0].numel()

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.register_forward_pre_hook(count)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(clips, device="meta"))
    return (counter.get_total_flops() / 2 + normalised) / 1e9
