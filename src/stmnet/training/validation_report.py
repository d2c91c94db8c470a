"""The page on a finished run: its best epoch's weights on the validation split."""

from __future__ import annotations

from pathlib import Path

from stmnet.evaluation.testing import TestOptions, test_checkpoint
from stmnet.models.weights import read_checkpoint_file
from stmnet.training.checkpoint import LAST_CHECKPOINT


def write_validation_report(run: Path) -> Path:
    """Score the validation split by its centre views and write report.html into the run's folder.

    Clips that training found to be unreadable, and named, are left out. Raises as
    `test_checkpoint`.
    """
    unreadable = read_checkpoint_file(run / LAST_CHECKPOINT)["unreadable"]["validation"]
    options = TestOptions(split="validation", unreadable=unreadable)
    return test_checkpoint(run, options).page
