"""Ranks and world size: how many processes train a network, what started them, rank zero."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, distributed

from stmnet.errors import RecipeError
from stmnet.runs.recipe import RunningRecipe

Item = TypeVar("Item")


@dataclass(frozen=True)
class Placement:
    """`devices` processes on each of `nodes` machines; what started them, if not stmnet itself."""

    devices: int | Literal["auto"]
    nodes: int
    environment: ClusterEnvironment


def place(running: RunningRecipe) -> Placement:
    """Where to train: as torchrun or SLURM say where one of them started this, else the recipe."""
    if TorchElasticEnvironment.detect():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
        return Placement(devices, nodes, TorchElasticEnvironment())
    # A job of one task only lends its machine, as an interactive one does.
    if SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1:
        devices = int(os.environ.get("SLURM_NTASKS_PER_NODE", "1"))
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        # Its own requeueing saves where resuming does not look.
        return Placement(devices, nodes, SLURMEnvironment(auto_requeue=False))
    if running.nodes > 1 and "MASTER_ADDR" not in os.environ:  # each would wait for the others
        raise RecipeError(
            f"running.nodes is {running.nodes}, and MASTER_ADDR is not set: nothing says where "
            "the others are. Start with torchrun or SLURM, or set running.nodes to 1."
        )
    all_there_are: int | Literal["auto"] = "auto" if torch.cuda.is_available() else 1
    return Placement(running.devices or all_there_are, running.nodes, LightningEnvironment())


def rank_zero_logger(name: str) -> logging.Logger:
    """The logger of this name, which logs on rank zero only."""
    logger = logging.getLogger(name)
    logger.addFilter(_is_of_rank_zero)
    return logger


def _is_of_rank_zero(record: logging.LogRecord) -> bool:
    return is_rank_zero()


def is_rank_zero() -> bool:
    """Whether this process writes files and logs; one that trains alone is rank zero."""
    return getattr(rank_zero_only, "rank", 0) == 0


def world_size() -> int:
    """How many processes train the network; 1 where it is one alone."""
    return distributed.get_world_size() if is_distributed() else 1


def is_distributed() -> bool:
    """Whether this process is one of several that `torch.distributed` joins."""
    return distributed.is_available() and distributed.is_initialized()


def gather_all(items: list[Item]) -> list[Item]:
    """The items of all ranks, in their order."""
    if not is_distributed():
        return items
    gathered: list[Any] = [None] * world_size()
    distributed.all_gather_object(gathered, items)
    return [item for of_rank in gathered for item in of_rank]


def broadcast_from_rank_zero(tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors with those of rank zero, which writes the checkpoints."""
    if is_distributed():
        for tensor in tensors:
            distributed.broadcast(tensor, src=0)


def leave_process_group() -> None:
    """Destroy the process group, where the work ended well."""
    if is_distributed():
        distributed.destroy_process_group()
