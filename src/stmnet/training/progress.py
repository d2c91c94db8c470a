"""How far a training run is: what the callback `on_progress` of `stmnet.training.run.train` gets.

Without torch, so that it can be shown by what has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stmnet.runs.history import EpochRecord

Split = Literal["train", "validation"]


@dataclass(frozen=True)
class TrainingProgress:
    """Where a run is after a step, after a batch of the validation, or at an epoch's end.

    `epoch` counts from 1. `step` of `num_steps` are done of the epoch's training, or of its
    validation, as `split` says. `loss` and `top1` (in [0, 1]) are the epoch's means over training
    clips so far. They, `clips_per_second` and `seconds_left` (of the whole run) are measured now
    and then: asking a GPU at every step would slow it down. None: not measured yet.

    At an epoch's end `record` is what the log says of it.
    """

    epoch: int
    num_epochs: int
    step: int
    num_steps: int
    split: Split = "train"
    loss: float | None = None
    top1: float | None = None
    clips_per_second: float | None = None
    seconds_left: float | None = None
    record: EpochRecord | None = None


OnProgress = Callable[[TrainingProgress], None]
