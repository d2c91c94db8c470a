"""The page on a finished run: its best epoch's weights on the validation split."""

from __future__ import annotations

from pathlib import Path

from stmnet.evaluation.evaluate import evaluate_checkpoint
from stmnet.evaluation.options import EvaluationOptions
from stmnet.models.weights import read_checkpoint_file
from stmnet.report.evaluation_page import write_evaluation_page
from stmnet.runs.run_files import LAST_CHECKPOINT


def write_validation_report(run: Path) -> Path:
    """Score the validation split by its center views and write report.html into the run's folder.

    Clips that training found to be unreadable, and named, are left out. Raises as
    `evaluate_checkpoint`.
    """
    unreadable = read_checkpoint_file(run / LAST_CHECKPOINT)["unreadable"]["validation"]
    options = EvaluationOptions(split="validation", unreadable=unreadable)
    return write_evaluation_page(evaluate_checkpoint(run, options))
