"""What a network costs: parameters, multiply-adds and peak activation memory, without computing.

The network is built and run on torch's meta device, where tensors have shapes and no content, so
that any size is counted in a moment.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from stmnet.errors import StmnetError
from stmnet.models.zoo import build_model

MACS_RULE = (
    "MACs: one multiplication with its addition is one FLOP; convolutions and linear layers "
    "without their bias; batch normalization 2 and pooling 1 per element that goes in; "
    "all else zero."
)
MEMORY_RULE = (
    "peak memory: the most bytes that the clip and all features hold at one time in eager fp32 "
    "inference, batch 1; without weights and the libraries' work space."
)

# A clip of Something-Something, as the paper counts.
NUM_CLASSES, NUM_FRAMES, SIZE = 174, 8, 224

# torch's counter gives two operations for a multiplication and its addition.
OPERATIONS_PER_MAC = 2


@dataclass(frozen=True)
class ModuleCost:
    """Parameters and MACs of one part of a network, with all that is in it."""

    name: str
    kind: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Complexity:
    """What one clip costs. `modules` are all parts, in the network's order.

    `free_operators` are the operators that ran and counted zero, by torch's names.
    """

    parameters: int
    macs: int
    peak_activation_bytes: int
    modules: tuple[ModuleCost, ...]
    free_operators: tuple[str, ...]


def measure(
    name: str,
    *,
    num_classes: int = NUM_CLASSES,
    num_frames: int = NUM_FRAMES,
    size: int = SIZE,
    options: Mapping[str, Any] | None = None,
) -> Complexity:
    """The cost of the network `name`, as `build_model` takes it, for a clip of `size` x `size`.

    Raises `UnknownModelError` for an unknown name or option, and `StmnetError` for sizes below 1.
    """
    for what, value in {"num_classes": num_classes, "num_frames": num_frames, "size": size}.items():
        if value < 1:
            raise StmnetError(f"{what} is {value}. Give at least 1.")
    with torch.device("meta"):
        network = build_model(
            name, num_classes=num_classes, num_frames=num_frames, **(options or {})
        ).eval()
        clips = torch.empty(1, num_frames, 3, size, size)
    return measure_network(network, clips)


@torch.no_grad()
def measure_network(network: nn.Module, clips: Tensor) -> Complexity:
    """The cost of a network's inference on `clips`; both may lie on any device."""
    counter = FlopCounterMode(display=False, custom_mapping=UNKNOWN_TO_TORCH)
    with LiveMemory(clips) as memory, counter:
        network(clips)
    macs = {
        # The counter's names begin with the network's class.
        name.partition(".")[2]: sum(operations.values()) // OPERATIONS_PER_MAC
        for name, operations in counter.get_flop_counts().items()
        if name != "Global"
    }
    return Complexity(
        parameters=num_parameters(network),
        macs=counter.get_total_flops() // OPERATIONS_PER_MAC,
        peak_activation_bytes=memory.peak,
        modules=tuple(
            ModuleCost(name, type(module).__name__, num_parameters(module), macs.get(name, 0))
            for name, module in network.named_modules()
            if name
        ),
        free_operators=tuple(
            sorted(str(operator) for operator in memory.operators - set(counter.flop_registry))
        ),
    )


def num_parameters(module: nn.Module) -> int:
    """How many numbers are learned; those that are fixed do not count."""
    return sum(parameter.numel() for parameter in module.parameters())


def batch_norm_operations(input_shape: torch.Size, *_: Any, **__: Any) -> int:
    """Two per element, as fvcore counts it; in the counter's unit."""
    return 2 * OPERATIONS_PER_MAC * input_shape.numel()


def pooling_operations(input_shape: torch.Size, *_: Any, **__: Any) -> int:
    """One per element, as fvcore counts averages; in the counter's unit."""
    return OPERATIONS_PER_MAC * input_shape.numel()


# What torch's counter does not know: batch normalization, under its names on all devices, and
# pooling, over time (`mean`) too.
UNKNOWN_TO_TORCH = dict.fromkeys(
    (
        torch.ops.aten.native_batch_norm,
        torch.ops.aten.cudnn_batch_norm,
        torch.ops.aten._native_batch_norm_legit,
        torch.ops.aten._native_batch_norm_legit_no_training,
    ),
    batch_norm_operations,
) | dict.fromkeys(
    (
        torch.ops.aten.max_pool2d_with_indices,
        torch.ops.aten.max_pool3d_with_indices,
        torch.ops.aten.avg_pool2d,
        torch.ops.aten.avg_pool3d,
        torch.ops.aten.mean,
    ),
    pooling_operations,
)


class LiveMemory(TorchDispatchMode):
    """Follows the memory that tensors hold, from an operator's result until nothing refers to it.

    `peak` is the most at one time, in bytes, with the given tensor; `operators` all that ran.
    """

    def __init__(self, *given: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self.operators: set[Any] = set()
        self._live = 0
        self._known: set[int] = set()
        self._finalizers: list[weakref.finalize[Any, Any]] = []
        for tensor in given:
            self._follow(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operators.add(func.overloadpacket)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._follow(leaf)
        return result

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        for finalizer in self._finalizers:
            finalizer.detach()

    def _follow(self, tensor: Tensor) -> None:
        # A view shares its storage, and an operator in place returns the one it was given.
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)
        self._finalizers.append(weakref.finalize(storage, self._forget, key, storage.nbytes()))

    def _forget(self, key: int, num_bytes: int) -> None:
        self._known.discard(key)
        self._live -= num_bytes
