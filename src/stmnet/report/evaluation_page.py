"""The page on one evaluation."""

from __future__ import annotations

from pathlib import Path

from stmnet.evaluation.evaluate import EvaluationResult
from stmnet.report.contents import make_report
from stmnet.report.page import write_report


def write_evaluation_page(found: EvaluationResult) -> Path:
    """Write the page to where the evaluation says it belongs; returns its path.

    Raises `StmnetError` as `write_report` does.
    """
    evaluation, result = found.evaluation, found.result
    clip_list, split = evaluation.clip_list, evaluation.options.split
    left_out = clip_list.left_out()
    contents = make_report(
        f"{result.name} on {evaluation.dataset}, {split} split",
        f"{evaluation.dataset} ({split})",
        clip_list,
        [result],
        [evaluation.recognizer],
        {
            "Checkpoint": str(evaluation.checkpoint),
            "Data": f"{evaluation.root}, {left_out}" if left_out else evaluation.root,
            "Views": evaluation.describe_views(),
            "Scores": str(evaluation.kept.path),
        },
    )
    return write_report(contents, evaluation.page)
