"""One test: a recogniser and a split in, scores and a report page out."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from stmnet import __version__
from stmnet.data.datasets import read_split
from stmnet.data.records import ClipList
from stmnet.errors import DatasetError, VideoError
from stmnet.evaluation.features import first_block_features, has_stm_blocks
from stmnet.evaluation.history import read_history
from stmnet.evaluation.metrics import Metrics, summarise
from stmnet.evaluation.report import write_report
from stmnet.evaluation.results import FeatureExample, ModelResult, TestReport
from stmnet.evaluation.views import score_center_views
from stmnet.recognizer import Recognizer, load

HISTORY = "history.jsonl"
RECIPE = "recipe.yaml"
NUM_FEATURE_EXAMPLES = 2


@dataclass(frozen=True)
class TestOutcome:
    """What `test_checkpoint` found, and the page that shows it."""

    __test__ = False  # the field says "test"; pytest must not collect it

    metrics: Metrics
    page: Path


def test_checkpoint(
    checkpoint: Path,
    *,
    dataset: str | None = None,
    root: str | None = None,
    split: str = "test",
    report: Path | None = None,
) -> TestOutcome:
    """Test a run's folder, or a checkpoint in it, by the centre view, and write the page.

    `dataset` and `root` default to those of the run's recipe, which also says which clips
    to leave out; `report` to report.html in the run's folder. Raises `CheckpointError`,
    `DatasetError` and `VideoError`.
    """
    recognizer = load(checkpoint)
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent
    trained_on = _data_of_run(run)
    dataset = dataset or trained_on.get("dataset")
    root = root or trained_on.get("root")
    if dataset is None or root is None:
        raise DatasetError(f"{run}: no {RECIPE} there that names the data. Give --dataset, --root.")
    is_own = dataset == trained_on.get("dataset")
    clip_list = read_split(
        dataset,
        root,
        split,
        allow_missing=is_own and trained_on.get("allow_missing", False),
        exclude=trained_on.get("exclude") if is_own else None,
    )
    left_out = clip_list.left_out()
    if left_out:
        # Not on stdout, which may be for JSON.
        print(f"{split}: {left_out}", file=sys.stderr)
    name = recognizer.card.model.partition("_")[0].upper()
    result = test_network(recognizer, clip_list, name=name, run=run)
    page = write_report(
        make_report(
            f"{name} on {dataset}, {split} split",
            f"{dataset} ({split})",
            clip_list,
            [result],
            [recognizer],
            {
                "Checkpoint": str(checkpoint),
                "Data": f"{root}, {left_out}" if left_out else root,
                "View": "centre",
            },
        ),
        report or run / "report.html",
    )
    return TestOutcome(summarise(result.probabilities, result.targets), page)


def _data_of_run(run: Path) -> dict[str, Any]:
    path = run / RECIPE
    if not path.is_file():
        return {}
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
    return data


def test_network(
    recognizer: Recognizer,
    clip_list: ClipList,
    *,
    name: str,
    run: Path,
    on_clips: Callable[[int], None] = lambda num_clips: None,
) -> ModelResult:
    """Score every clip's centre view; learning curves come from the run's folder, if it has any.

    Raises `VideoError` and `DatasetError` as `score_center_views` does.
    """
    probabilities, targets = score_center_views(recognizer, clip_list, on_clips=on_clips)
    history = read_history(run / HISTORY)
    return ModelResult(
        name=name,
        model=recognizer.card.model,
        num_parameters=sum(p.numel() for p in recognizer.network.parameters()),
        probabilities=probabilities,
        targets=targets,
        history=history,
        training_seconds=sum(record.seconds for record in history) or None,
    )


def make_report(
    title: str,
    dataset: str,
    clip_list: ClipList,
    results: Sequence[ModelResult],
    recognizers: Sequence[Recognizer],
    facts: dict[str, str],
) -> TestReport:
    """Gather what the page shows. Feature maps are those of the first network with STM blocks."""
    examples: tuple[FeatureExample, ...] = ()
    for result, recognizer in zip(results, recognizers, strict=True):
        if has_stm_blocks(recognizer.network):
            examples = _feature_examples(result, recognizer, clip_list)
            break
    return TestReport(
        title=title,
        dataset=dataset,
        label_names=clip_list.label_names,
        videos=tuple(clip.video for clip in clip_list.clips),
        results=tuple(results),
        feature_examples=examples,
        facts=facts | machine_facts(),
    )


def machine_facts() -> dict[str, str]:
    """Device and versions, for the page's foot."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"CPU ({torch.get_num_threads()} threads)"
    )
    return {
        "Device": device,
        "Versions": f"stmnet {__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
    }


def _feature_examples(
    result: ModelResult, recognizer: Recognizer, clip_list: ClipList
) -> tuple[FeatureExample, ...]:
    """The surest right answers, each of another class."""
    confidences, predicted = result.probabilities.max(dim=1)
    right: Tensor = predicted == result.targets
    examples: list[FeatureExample] = []
    for index in confidences.mul(right).argsort(descending=True).tolist():
        clip = clip_list.clips[index]
        label = clip_list.label_names[clip.label]
        if len(examples) == NUM_FEATURE_EXAMPLES or not right[index]:
            break
        if label in {example.label for example in examples}:
            continue
        try:
            examples.append(first_block_features(recognizer, clip.video, label))
        except VideoError:
            continue
    return tuple(examples)
