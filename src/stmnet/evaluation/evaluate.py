"""One evaluation: a recognizer and a split in, scores and accuracies out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor

from stmnet.data.option_types import Sampling
from stmnet.data.view_plan import ViewPlan
from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError, StmnetError
from stmnet.evaluation.intervals import Resamples, resample
from stmnet.evaluation.kept_scores import KeptScores, identify, short_digest
from stmnet.evaluation.metrics import Metrics, summarize
from stmnet.evaluation.options import WHOLE, EvaluationOptions, Shard, validate_evaluation
from stmnet.evaluation.results import ModelResult
from stmnet.evaluation.scoring import (
    Scoring,
    mean_over_views,
    score_clips,
    score_pieces,
    targets_of,
    validate_labels,
)
from stmnet.recognizer import Recognizer, load
from stmnet.runs.history import read_history
from stmnet.runs.list_summary import ListSummary, lists_of_run
from stmnet.runs.run_files import HISTORY, SCORES

NUM_WORKERS_WITH_GPU = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found, and the file of its scores."""

    evaluation: Evaluation
    result: ModelResult
    metrics: Metrics

    @property
    def probabilities(self) -> Tensor:
        """The mean over the views of every clip: (clips, classes)."""
        return self.result.probabilities

    @property
    def targets(self) -> Tensor:
        """The label of every clip."""
        return self.result.targets

    @cached_property
    def resamples(self) -> Resamples:
        """What the intervals of the accuracies are made of."""
        return resample(self.probabilities, self.targets)


def evaluate_checkpoint(
    checkpoint: Path, options: EvaluationOptions | None = None
) -> EvaluationResult:
    """Evaluate a run's folder, or a checkpoint in it.

    Raises `CheckpointError`, `DatasetError`, `VideoError` and `ScoresError`.
    """
    evaluation = Evaluation.prepare(checkpoint, options or EvaluationOptions())
    evaluation.score()
    return evaluation.conclude()


@dataclass(frozen=True)
class Evaluation:
    """Nothing is scored before `score`, which goes on where an earlier one was left."""

    checkpoint: Path
    options: EvaluationOptions
    recognizer: Recognizer
    run: Path
    dataset: str
    root: str
    clip_list: ClipList
    scoring: Scoring
    kept: KeptScores

    @classmethod
    def prepare(cls, checkpoint: Path, options: EvaluationOptions) -> Evaluation:
        """Read the network and the lists. Raises `StmnetError` for what cannot be tested."""
        (data,) = validate_evaluation([checkpoint], options)
        run, dataset, root, trained_on = data.run, data.dataset, data.root, data.trained_on
        device = _device(options.device)
        recognizer = load(checkpoint, dtype=options.dtype, device=device)
        is_own = dataset == trained_on.get("dataset")
        read = partial(
            read_split,
            dataset,
            root,
            allow_missing=is_own and trained_on.get("allow_missing", False),
            exclude=trained_on.get("exclude") if is_own else None,
        )
        clip_list = read(options.split)
        if is_own:
            same_root = Path(root).resolve() == Path(trained_on.get("root", root)).resolve()
            _compare_with_run(clip_list, read, lists_of_run(run), options, same_root=same_root)
        clip_list = _without(options.unreadable or {}, clip_list)
        if left_out := clip_list.left_out():
            logger.info("%s: %s", options.split, left_out)
        validate_labels(recognizer, clip_list)
        scoring = _scoring(options, trained_on.get("sampling", "segments"), device)
        identity = identify(recognizer, clip_list, scoring)
        # Another network or list in the same folder is another test, and has a file of its own.
        name = f"{options.split}-{scoring.plan}-{short_digest(identity)}.safetensors"
        kept = KeptScores(options.scores or run / SCORES / name, clip_list, scoring, identity)
        return cls(checkpoint, options, recognizer, run, dataset, root, clip_list, scoring, kept)

    def score(
        self,
        shard: Shard = WHOLE,
        *,
        on_clip: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Score what is missing of a shard's part, and join the parts if all are there.

        `on_clip(done, total)` counts the clips that are scored now. Raises `VideoError` at the
        first clip that cannot be read; what was scored before it is kept.
        """
        if self.kept.is_whole:
            logger.info("scored before: %s", self.kept.path)
        pieces = self.kept.missing(shard)
        total = sum(map(len, pieces))
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            on_clip(done, total)

        scored = score_pieces(self.recognizer, self.clip_list, self.scoring, pieces, on_clip=count)
        for piece, scores in zip(pieces, scored, strict=True):
            self.kept.keep(piece, scores)
        self.kept.join()

    def num_missing(self, shard: Shard = WHOLE) -> int:
        """How many clips of a shard's part are not scored yet."""
        return sum(map(len, self.kept.missing(shard)))

    def describe_views(self) -> str:
        """As "10 random clips x 3 crops, seed 0"."""
        plan = self.scoring.plan
        seed = f", seed {self.scoring.seed}" if plan.num_random_clips else ""
        return plan.describe() + seed

    def conclude(self) -> EvaluationResult:
        """Measure the scores, which must be whole."""
        probabilities = mean_over_views(self.kept.read())
        name = self.recognizer.config.model.partition("_")[0].upper()
        result = _result(self.recognizer, self.clip_list, probabilities, name=name, run=self.run)
        return EvaluationResult(self, result, summarize(probabilities, result.targets))

    @property
    def page(self) -> Path:
        """Where the page on this evaluation belongs."""
        return self.options.report or self._default_page()

    def _default_page(self) -> Path:
        # report.html is the run's own page: that of a checkpoint in its folder stands beside it.
        of_checkpoint = "" if self.checkpoint == self.run else f"-{self.checkpoint.name}"
        return self.run / f"report{of_checkpoint}.html"


def _without(unreadable: Mapping[int, str], clip_list: ClipList) -> ClipList:
    clips = clip_list.clips
    readable = tuple(clip for number, clip in enumerate(clips) if number not in unreadable)
    if not readable:
        raise DatasetError(f"none of {len(clips)} clips can be read. {unreadable[0]}")
    bad = [clips[number].video for number in sorted(unreadable)]
    return replace(clip_list, clips=readable, unreadable=tuple(bad))


def _compare_with_run(
    clip_list: ClipList,
    read: Callable[[str], ClipList],
    of_run: Mapping[str, ListSummary],
    options: EvaluationOptions,
    *,
    same_root: bool,
) -> None:
    """Log where the clips chose the best epoch, or may be those of the training.

    `read` reads another split of the same data. Raises `DatasetError` for the run's own report
    where its list is another one now.
    """
    split, now = options.split, ListSummary.of(clip_list)
    if split != "validation" and _is_validation(clip_list, read):
        if same_root or now == of_run.get("validation"):
            logger.info("%s: the same clips as validation, which chose the best epoch.", split)
        split = "validation"
    if not same_root or split not in of_run or now == of_run[split]:
        return
    change = now.change_from(of_run[split], split)
    if options.unreadable is not None:
        raise DatasetError(f"{change}. Put the data back, and test the run.")
    worse = "" if split == "train" else ": clips of the training may be in it"
    logger.warning("%s%s.", change, worse)


def _is_validation(clip_list: ClipList, read: Callable[[str], ClipList]) -> bool:
    """Some sets have one list for validation and test."""
    try:
        return read("validation").clips == clip_list.clips
    except DatasetError:
        return False


def _scoring(options: EvaluationOptions, sampling: Sampling, device: torch.device) -> Scoring:
    num_workers = Scoring.num_workers
    if device.type == "cuda":
        num_workers = min(NUM_WORKERS_WITH_GPU, os.cpu_count() or 1)
    return Scoring(
        ViewPlan.parse(options.views, sampling),
        options.seed,
        options.batch_size,
        num_workers if options.num_workers is None else options.num_workers,
    )


def _device(name: str | None) -> torch.device:
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise StmnetError("device cuda: CUDA is not available on this machine. Give cpu.")
    return torch.device(name or ("cuda" if has_gpu else "cpu"))


def evaluate_network(
    recognizer: Recognizer, clip_list: ClipList, *, name: str, run: Path
) -> ModelResult:
    """Score every clip's center view; learning curves come from the run's folder, if it has any.

    Raises `VideoError` and `DatasetError` as `score_pieces` does.
    """
    probabilities, _ = score_clips(recognizer, clip_list)
    return _result(recognizer, clip_list, probabilities, name=name, run=run)


def _result(
    recognizer: Recognizer, clip_list: ClipList, probabilities: Tensor, *, name: str, run: Path
) -> ModelResult:
    history = read_history(run / HISTORY)
    return ModelResult(
        name=name,
        model=recognizer.config.model,
        num_parameters=sum(p.numel() for p in recognizer.network.parameters()),
        probabilities=probabilities,
        targets=targets_of(clip_list),
        history=history,
        training_seconds=sum(record.seconds for record in history) or None,
    )
