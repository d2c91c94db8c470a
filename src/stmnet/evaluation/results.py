"""What a test leaves behind: scores with their targets, and what the report page shows of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from stmnet.data.records import Clip
from stmnet.evaluation.history import EpochRecord


@dataclass(frozen=True)
class ModelResult:
    """One network's scores on a test split.

    `probabilities` (clips, classes) float32, rows sum to one; `targets` (clips,) int64;
    rows in the order of `TestReport.clips`.
    """

    name: str
    model: str
    num_parameters: int
    probabilities: torch.Tensor
    targets: torch.Tensor
    history: tuple[EpochRecord, ...] = ()
    training_seconds: float | None = None


@dataclass(frozen=True)
class FeatureExample:
    """What the first STM block sees in one clip (as in the paper's Fig. 1).

    `frames` (T, 3, H, W) uint8; `cstm` and `cmm` (T, h, w) float32, the mean magnitude over the
    channels of the first CSTM's and the first CMM's output.
    """

    clip: Clip
    label: str
    frames: torch.Tensor
    cstm: torch.Tensor
    cmm: torch.Tensor


@dataclass(frozen=True)
class TestReport:
    """Everything the page is made of. `results` come in the order in which they are shown."""

    __test__ = False  # the field says "test"; pytest must not collect it

    title: str
    dataset: str
    label_names: tuple[str, ...]
    clips: tuple[Clip, ...]
    results: tuple[ModelResult, ...]
    feature_examples: tuple[FeatureExample, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
