"""A network made faster for inference: what only training needs is folded away."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from stmnet.models.folding import fold_batch_norms

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class OptimizedNetwork(nn.Module):
    """A network for inference alone: (N, T, 3, H, W) of any dtype -> float32 logits (N, K).

    `network` computes in `dtype`; no gradients flow.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.network(clips.to(self.dtype))
        # a CUDA graph's own result is overwritten at its next call
        return logits.to(torch.float32, copy=True)


class FrozenNetwork(nn.Module):
    """A network that will not change, compiled whole: anything else is an error, not a slow path.

    Its weights are constants from the first call with a shape on, in the layout of the CPU's
    kernels: a copy for each shape. On a GPU its kernels are launched together, as one CUDA graph.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.compiled = torch.compile(
            network, fullgraph=True, dynamic=False, options={"triton.cudagraphs": True}
        )

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        # Not an option of `compile`: whether weights are constants is asked while the network is
        # traced, at the first call with a shape, and options come into force only after that.
        with torch._inductor.config.patch(freezing=True):
            logits: Tensor = self.compiled(clips)
        return logits


def optimize(
    model: nn.Module, *, dtype: torch.dtype | Literal["fast"] | None = None, compile: bool = False
) -> nn.Module:
    """A faster copy of `model` for inference: (N, T, 3, H, W) -> float32 logits (N, K).

    The given one stays as it is.
    Batch norms are folded into the convolutions before them and weights lie channels last. In
    float32, the default, logits differ from the model's by less than 1e-4.

    `dtype`: what weights and features are kept in; "fast" is what this machine is good at
    (`fast_dtype`). `compile`: torch.compile with frozen weights. It works at the first call with a
    new shape, for up to a minute, holds a copy of the weights for each, of eight at most, and needs
    a C++ compiler.

    >>> import stmnet, torch
    >>> model = stmnet.build_model("stm_resnet18", num_classes=5, num_frames=4).eval()
    >>> quick = stmnet.optimize(model)
    >>> clips = torch.randn(1, 4, 3, 64, 64)
    >>> torch.allclose(quick(clips), model(clips), atol=1e-4)
    True

    Raises `ValueError` for another string as `dtype`, `TypeError` for an optimized model.
    """
    if isinstance(dtype, str) and dtype != "fast":
        raise ValueError(f"dtype is {dtype!r}. Give 'fast' or a torch.dtype, as torch.float16.")
    if isinstance(model, OptimizedNetwork):
        raise TypeError("model is already optimized. Give the network that it was made from.")
    network = copy.deepcopy(model).eval().requires_grad_(False)
    fold_batch_norms(network)
    to_channels_last(network)
    if dtype == "fast":
        dtype = fast_dtype(next((p.device for p in network.parameters()), torch.device("cpu")))
    cast(network, dtype or torch.float32)
    if compile:
        network = FrozenNetwork(network)
    return OptimizedNetwork(network, dtype or torch.float32).eval()


def fast_dtype(device: torch.device) -> torch.dtype:
    """What the device has matrix instructions for: bfloat16, else float16 on a GPU, else float32.

    A CPU is good at bfloat16 where it has AMX or AVX-512 for it; without, it would only imitate it.
    """
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    capabilities = torch.cpu.get_capabilities()
    if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"):
        return torch.bfloat16
    return torch.float32


def to_channels_last(network: nn.Module) -> None:
    """Weights of convolutions lie in memory as the features that they meet."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)


def cast(network: nn.Module, dtype: torch.dtype) -> None:
    """Weights in `dtype`; batch norms that are left keep their statistics in float32."""
    network.to(dtype)
    if dtype.itemsize >= torch.float32.itemsize:
        return
    for module in network.modules():
        if isinstance(module, NORMS):
            module.float()
