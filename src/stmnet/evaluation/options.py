"""What an evaluation is asked for, validated without torch: errors come at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from stmnet.data.view_plan import CENTER, ViewPlan
from stmnet.datasets.splits import dataset_named, validate_split
from stmnet.errors import DatasetError, StmnetError
from stmnet.files import is_file, is_folder
from stmnet.models.weight_files import find_weights, validate_checkpoint
from stmnet.runs.run_files import RECIPE, data_of_run

if TYPE_CHECKING:
    from stmnet.recognizer import InferenceDtype

BATCH_SIZE = 16
"""Views that are scored at a time."""


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of the `total` that share a test: every `total`-th piece."""

    number: int = 1
    total: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "1/2". Raises `StmnetError`."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise StmnetError(
                f"shard {text!r}: give its number and how many there are, as 1/2 and 2/2."
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


WHOLE = Shard()


@dataclass(frozen=True)
class EvaluationOptions:
    """What an evaluation is asked for. `views` is as `ViewPlan.parse` takes it.

    `dataset` and `root` default to those of the run's recipe, which also says which clips to
    leave out; `report` to report.html in the run's folder, or report-NAME.html there for its file
    NAME; `scores` to a file in the run's folder; `device` to the GPU where there is one,
    `num_workers` to 2, or with a GPU to one for each CPU, 8 at most.

    A clip that cannot be read ends a test. For a run's own report, `unreadable` are those that
    training found to be so, by their number in the list, with the reason; they are left out.

    Raises `StmnetError` for values out of range.
    """

    views: str = CENTER
    seed: int = 0
    dataset: str | None = None
    root: str | None = None
    split: str = "test"
    report: Path | None = None
    scores: Path | None = None
    batch_size: int = BATCH_SIZE
    num_workers: int | None = None
    device: str | None = None
    dtype: InferenceDtype = "float32"
    unreadable: Mapping[int, str] | None = None

    def __post_init__(self) -> None:
        ViewPlan.parse(self.views)
        for name, value, least in [
            ("batch_size", self.batch_size, 1),
            ("num_workers", self.num_workers, 0),
            ("seed", self.seed, 0),
        ]:
            if value is not None and value < least:
                raise StmnetError(f"{name} is {value}. Give at least {least}.")


@dataclass(frozen=True)
class EvaluationData:
    """A run's folder, and the data that its checkpoint is tested on.

    `trained_on` is what the run's recipe says of its data: empty without a recipe.
    """

    run: Path
    dataset: str
    root: str
    trained_on: Mapping[str, Any]


def validate_evaluation(
    checkpoints: Sequence[Path], options: EvaluationOptions
) -> list[EvaluationData]:
    """Say what each checkpoint is tested on.

    Raises `StmnetError` for files that are not there or that a test must not replace.
    """
    for name, path in [("report", options.report), ("scores", options.scores)]:
        if path and len(checkpoints) > 1:
            raise StmnetError(
                f"{name} {path}: one file for {len(checkpoints)} checkpoints. Leave {name} out, or "
                "test them one by one."
            )
        if path and is_folder(path):
            raise StmnetError(f"{name} {path}: is a folder. Give the name of a file.")
        if path and path.exists() and not is_file(path):
            raise StmnetError(f"{name} {path}: is not a regular file. Give the name of a file.")
    report = options.report
    if report and is_file(report) and report.suffix.lower() not in {".html", ".htm"}:
        raise StmnetError(
            f"report {report}: the file exists and is not an HTML page. Give a name in .html."
        )
    return [_data_of(checkpoint, options) for checkpoint in checkpoints]


def _data_of(checkpoint: Path, options: EvaluationOptions) -> EvaluationData:
    validate_checkpoint(find_weights(checkpoint))
    run = checkpoint if is_folder(checkpoint) else checkpoint.parent
    trained_on = data_of_run(run)
    dataset = options.dataset or trained_on.get("dataset")
    root = options.root or trained_on.get("root")
    if dataset is None or root is None:
        raise DatasetError(f"{run}: no {RECIPE} there names the data. Give dataset and root.")
    dataset_named(dataset)
    validate_split(options.split)
    if not (is_folder(Path(root)) or is_file(Path(root))):
        raise DatasetError(f"root {root}: no such folder. Give the folder of the data set.")
    return EvaluationData(run, dataset, root, trained_on)
