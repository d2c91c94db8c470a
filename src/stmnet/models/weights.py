"""Loading weights by name: from a file, or torchvision's ImageNet weights of the trunk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stmnet.errors import CheckpointError
from stmnet.models.i3d import InflatedConv2d

# A 2D ResNet from ImageNet has none of these; they start as their modules say.
TEMPORAL_PARTS = (".temporal.", ".cmm.", ".fusion.", ".spatial.", ".me.")


@dataclass(frozen=True)
class LoadReport:
    """What `load_matching` did: names of the parameters and buffers, in the network's order."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """The content of a .safetensors file (tensors) or of a file written by `torch.save`.

    Nothing but tensors and plain values is unpickled. Raises `CheckpointError`.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Give the path of a checkpoint.")
    try:
        if path.suffix == ".safetensors":
            return cast("dict[str, Any]", load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as e:
        raise CheckpointError(
            f"{path}: not a checkpoint ({_first_line(e)}). Give a .safetensors or .ckpt file."
        ) from e
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a state dict.")
    return content


def load_matching(model: nn.Module, state_dict: dict[str, Tensor]) -> LoadReport:
    """Copy into `model` every tensor of `state_dict` that has a place of the same name and shape.

    The classifier (`fc`) is left fresh where its size differs. Any other part of a wrong shape
    raises `CheckpointError`.
    """
    own = model.state_dict()
    fitting: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        if name not in own:
            continue
        if tensor.shape == own[name].shape:
            fitting[name] = tensor
        elif not name.startswith("fc."):
            raise CheckpointError(
                f"{name} is {tuple(tensor.shape)} in the checkpoint and "
                f"{tuple(own[name].shape)} in the network. Check depth and width."
            )
    model.load_state_dict(fitting, strict=False)
    return LoadReport(
        loaded=tuple(fitting),
        missing=tuple(name for name in own if name not in fitting),
        unexpected=tuple(name for name in state_dict if name not in own),
    )


def inflate(model: nn.Module, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state_dict` with the kernels of a 2D network made as long in time as `model` has them."""
    inflated = dict(state_dict)
    for name, module in model.named_modules():
        kernel = state_dict.get(f"{name}.weight")
        if not isinstance(module, InflatedConv2d) or kernel is None:
            continue
        if kernel.shape != module.weight.shape:
            inflated[f"{name}.weight"] = module.inflate(kernel)
    return inflated


def load_backbone(model: nn.Module, source: str, *, name: str) -> LoadReport:
    """Load the trunk's weights from "imagenet" (torchvision) or from a file of weights by name.

    `name` is the network's name in the zoo, from which ImageNet weights are chosen. Raises
    `CheckpointError` where the weights cannot be had, or leave a part of the trunk without any.
    """
    if source == "imagenet":
        state_dict = _imagenet_state_dict(name)
    else:
        content = read_checkpoint_file(Path(source))
        state_dict = content.get("state_dict", content)
    report = load_matching(model, inflate(model, state_dict))
    gaps = [
        key
        for key in report.missing
        if not key.startswith("fc.")
        and not key.endswith("num_batches_tracked")
        and not any(part in key for part in TEMPORAL_PARTS)
    ]
    if gaps:
        raise CheckpointError(
            f"{source}: has no {gaps[0]} (and {len(gaps) - 1} more of {name}'s trunk). "
            "Give weights of the same depth."
        )
    return report


def _imagenet_state_dict(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights, list_models

    trunk = name.rsplit("_", 1)[-1]
    if trunk not in list_models():
        raise CheckpointError(
            f"{name}: torchvision has no ImageNet weights of its trunk. "
            "Give the path of a state dict: pretrained=PATH."
        )
    weights = get_model_weights(trunk).DEFAULT
    try:
        return cast("dict[str, Tensor]", weights.get_state_dict(progress=True))
    except OSError as e:
        file_name = weights.url.rsplit("/", 1)[-1]
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise CheckpointError(
            f"ImageNet weights of {trunk} cannot be downloaded ({_first_line(e)}). "
            f"Put {file_name} into {folder}."
        ) from e


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
