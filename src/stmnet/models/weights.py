"""Loading weights by name: of stmnet's own files, and of any ResNet's by torchvision's names."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stmnet.errors import CheckpointError
from stmnet.files import is_file, is_folder
from stmnet.models.i3d import InflatedConv2d
from stmnet.models.imagenet import imagenet_file
from stmnet.models.stm import CMM
from stmnet.models.stm_variants import Concatenation
from stmnet.models.weight_files import RUN_WEIGHTS

# A 2D ResNet from ImageNet has none of these; their modules initialize them.
TEMPORAL_PARTS = (".temporal.", ".cmm.", ".fusion.", ".spatial.", ".me.")

# What DistributedDataParallel, stmnet's own training and torch.compile put in front of names.
WRAPPERS = re.compile(r"^((module|network|_orig_mod)\.)+")


@dataclass(frozen=True)
class LoadReport:
    """What of a file was loaded into a network, by the names of parameters and buffers.

    `missing` are the network's that the file does not have, or not as `fc` of this size;
    `unexpected` the file's that the network does not have; `inflated` the loaded kernels that were
    made longer in time. `num_classes` are the network's and those of the file's classifier.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...] = ()
    inflated: tuple[str, ...] = ()
    num_classes: tuple[int | None, int | None] = (None, None)

    def describe(self) -> str:
        """One line: what was loaded, what is newly initialized, what of the file is not used."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        if any(map(is_classifier, self.loaded)):
            parts[0] += ", the classifier with them"
        if self.inflated:
            parts.append(f"inflated along time: {len(self.inflated)} kernels")
        fresh = []
        if temporal := [name for name in self.missing if is_temporal(name)]:
            fresh.append(f"temporal parts ({len(temporal)} tensors)")
        if any(map(is_classifier, self.missing)):
            ours, theirs = self.num_classes
            of_file = f"; the file's has {theirs}" if theirs is not None else ""
            fresh.append(f"classifier ({ours} classes{of_file})")
        parts.append(f"newly initialized: {', '.join(fresh) or 'nothing'}")
        if self.unexpected:
            parts.append(f"not used: {len(self.unexpected)} ({self.unexpected[0]}, ...)")
        return f"{self.source}: {'; '.join(parts)}"


def is_temporal(name: str) -> bool:
    """Whether a tensor belongs to what a network has beside its 2D trunk."""
    return any(part in name for part in TEMPORAL_PARTS)


def is_classifier(name: str) -> bool:
    """Whether a tensor belongs to the last, linear layer."""
    return name.startswith("fc.")


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """The content of a .safetensors file (tensors) or of a file written by `torch.save`.

    Nothing but tensors and plain values is unpickled. Raises `CheckpointError`.
    """
    if not is_file(path):
        raise CheckpointError(f"{path}: no such file. Give the path of a checkpoint.")
    try:
        if path.suffix == ".safetensors":
            return cast("dict[str, Any]", load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError) as e:
        # EINVAL is how torch calls some archives that are cut off.
        if isinstance(e, OSError) and e.errno != errno.EINVAL:
            raise CheckpointError(f"{path}: cannot be read ({e.strerror}).") from e
        raise CheckpointError(
            f"{path}: not a checkpoint, or truncated ({_first_sentence(e)}). "
            "Give a .safetensors or .ckpt file."
        ) from e
    except Exception as e:
        # Unpickling another kind of file can raise anything, and torch's own message recommends to
        # run what the file says.
        raise CheckpointError(
            f"{path}: not a checkpoint of tensors and plain values. Give a .safetensors or .ckpt "
            "file."
        ) from e
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a state dict.")
    return content


def load_matching(
    model: nn.Module, state_dict: dict[str, Tensor], *, source: str = "state dict"
) -> LoadReport:
    """Copy into `model` every tensor of `state_dict` that has a place of the same name and shape.

    Kernels of a 2D network are inflated where `model` has longer ones. The classifier (`fc`) is
    left as initialized where its size differs. Any other part of a wrong shape raises
    `CheckpointError`, which begins with `source`.
    """
    own = model.state_dict()
    inflated = inflate(model, state_dict)
    fitting: dict[str, Tensor] = {}
    for name, tensor in (state_dict | inflated).items():
        if name not in own:
            continue
        if tensor.shape == own[name].shape:
            fitting[name] = tensor
        elif not is_classifier(name):
            raise CheckpointError(
                f"{source}: shape mismatch: {name} is {tuple(tensor.shape)} in the file and "
                f"{tuple(own[name].shape)} in the network. Check the network's depth and width."
            )
    model.load_state_dict(fitting, strict=False)
    return LoadReport(
        source=source,
        loaded=tuple(fitting),
        missing=tuple(name for name in own if name not in fitting),
        unexpected=tuple(name for name in state_dict if name not in own),
        inflated=tuple(inflated),
        num_classes=(num_classes(own), num_classes(state_dict)),
    )


def inflate(model: nn.Module, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The kernels of a 2D network's `state_dict` that are longer in time in `model`, so made."""
    inflated = {}
    for name, module in model.named_modules():
        kernel = state_dict.get(f"{name}.weight")
        if not isinstance(module, InflatedConv2d) or kernel is None:
            continue
        if kernel.shape != module.weight.shape:
            inflated[f"{name}.weight"] = module.inflate(kernel)
    return inflated


def num_classes(state_dict: dict[str, Tensor]) -> int | None:
    """How many scores the classifier gives, if there is one."""
    weight = state_dict.get("fc.weight")
    return None if weight is None else len(weight)


def load_backbone(model: nn.Module, source: str, *, name: str) -> LoadReport:
    """Load a trunk's weights, and whatever else fits, from "imagenet" or from a file.

    `name` is the network's name in the zoo, from which ImageNet weights are chosen. A file is a run
    of stmnet (its folder, .safetensors or .ckpt) or any state dict by torchvision's names, which
    timm's ResNets share. A newly initialized CMM or concatenation adds nothing at first; a
    newly initialized temporal convolution is a partial shift. Raises `CheckpointError` where the
    weights cannot be had, or where they are those of another trunk.
    """
    if source == "imagenet":
        path = imagenet_file(name)
        called = f"ImageNet weights {path.name}"
    else:
        path = Path(source)
        if is_folder(path):
            path = path / RUN_WEIGHTS
        called = str(path)
    report = load_matching(model, read_state_dict(path), source=called)
    validate_trunk(report, name)
    for part, module in model.named_modules():
        if isinstance(module, CMM | Concatenation) and is_fresh(part, report):
            module.start_from_trained_trunk()
    return report


def is_fresh(part: str, report: LoadReport) -> bool:
    """Whether the file had nothing for this part of the network."""
    return not any(name.startswith(f"{part}.") for name in report.loaded)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by the names of the bare network. Raises `CheckpointError`."""
    content = read_checkpoint_file(path)
    for key in ("state_dict", "model"):  # where training programs keep the weights
        if isinstance(content.get(key), dict):
            content = content[key]
    state_dict = {
        WRAPPERS.sub("", name): tensor
        for name, tensor in content.items()
        if isinstance(tensor, Tensor)
    }
    if not state_dict:
        raise CheckpointError(f"{path}: holds no weights. Give a checkpoint or a state dict.")
    return state_dict


def validate_trunk(report: LoadReport, name: str) -> None:
    """Raise `CheckpointError` where a part of the trunk has no weights, or weights have no part."""
    # Files older than the counter of batches do not have it, and nothing uses it.
    gaps = [
        tensor
        for tensor in report.missing
        if not is_temporal(tensor)
        and not is_classifier(tensor)
        and not tensor.endswith("num_batches_tracked")
    ]
    if gaps:
        raise CheckpointError(
            f"{report.source}: missing weights: {gaps[0]} (and {len(gaps) - 1} more of {name}'s "
            "trunk). Give weights of the same architecture and depth."
        )
    # What else the file has may be a head or a loss of the program that wrote it. Blocks may not:
    # every tensor of ResNet-18 has its equal in a ResNet-34.
    if blocks := blocks_of(report.unexpected) - blocks_of((*report.loaded, *report.missing)):
        raise CheckpointError(
            f"{report.source}: unexpected weights: {min(blocks)}, a block that {name} "
            "does not have. Give weights of the same architecture and depth."
        )


def blocks_of(names: Iterable[str]) -> set[str]:
    """The residual blocks that tensors belong to, as layer1.0."""
    return {match.group() for name in names if (match := re.match(r"layer\d+\.\d+", name))}


def _first_sentence(error: BaseException) -> str:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return first_line.split(". ")[0].rstrip(".")
