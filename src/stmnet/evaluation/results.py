"""What an evaluation leaves behind: the scores of one network with their targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from stmnet.runs.history import EpochRecord


@dataclass(frozen=True)
class ModelResult:
    """One network's scores on a test split.

    `probabilities` (clips, classes) float32, rows sum to one; `targets` (clips,) int64;
    rows in the order of `ReportContents.clips`.
    """

    name: str
    model: str
    num_parameters: int
    probabilities: torch.Tensor
    targets: torch.Tensor
    history: tuple[EpochRecord, ...] = ()
    training_seconds: float | None = None
