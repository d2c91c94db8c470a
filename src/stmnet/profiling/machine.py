"""What machine this is, for whatever is measured or trained on it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version

import torch

LIBRARIES = ("stmnet", "torch", "torchvision", "lightning", "av", "numpy")


@dataclass(frozen=True)
class Machine:
    """A device, its computer and the versions of what runs there.

    `device` is "cpu" or "cuda"; `threads` are those of torch on the CPU. `versions` has None where
    something is not there, as CUDA on a CPU.
    """

    device: str
    device_name: str
    cores: int | None
    threads: int
    platform: str
    versions: dict[str, str | None]


def describe_machine(device: str | torch.device | None = None) -> Machine:
    """This machine, by the device that is used; default: a GPU if there is one."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Machine(
        device=device.type,
        device_name=device_name(device),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        platform=platform.platform(),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
            "cuda": torch.version.cuda if device.type == "cuda" else None,
        },
    )


def device_name(device: torch.device) -> str:
    """As its maker names it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name") or platform.machine())
