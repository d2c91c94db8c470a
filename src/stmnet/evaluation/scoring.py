"""Scores of a network on a split: softmax of each view, averaged over the views of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stmnet.data.clip_datasets import Batch
from stmnet.data.evaluation_views import VideoViews
from stmnet.data.loaders import end_workers, evaluation_loader
from stmnet.data.view_plan import CENTER_VIEW, ViewPlan
from stmnet.datasets.clip_list import ClipList
from stmnet.errors import DatasetError, VideoError
from stmnet.evaluation.options import BATCH_SIZE
from stmnet.recognizer import Recognizer

VIEWS_A_PIECE = 240
"""Clips are scored in pieces of about so many views, on a CPU about a minute's work.

A batch never reaches over the end of a piece: its scores are then the same, to the last bit,
whichever pieces are scored before it or elsewhere.
"""


@dataclass(frozen=True)
class Scoring:
    """How a split is scored: which views, their `seed`, and how many of them at a time."""

    plan: ViewPlan = CENTER_VIEW
    seed: int = 0
    batch_size: int = BATCH_SIZE
    num_workers: int = 2


def cut_into_pieces(num_clips: int, plan: ViewPlan) -> list[range]:
    """The clips' numbers, piece by piece."""
    size = max(1, VIEWS_A_PIECE // plan.num_views)
    return [range(first, min(first + size, num_clips)) for first in range(0, num_clips, size)]


def score_clips(
    recognizer: Recognizer, clip_list: ClipList, scoring: Scoring = Scoring()
) -> tuple[Tensor, Tensor]:
    """Score every clip by the mean over its views, of which the plain `Scoring` has the center one:
    probabilities (clips, K) float32 and targets (clips,).

    Raises as `score_pieces`.
    """
    pieces = cut_into_pieces(len(clip_list.clips), scoring.plan)
    scores = torch.cat(list(score_pieces(recognizer, clip_list, scoring, pieces)))
    return mean_over_views(scores), targets_of(clip_list)


def score_pieces(
    recognizer: Recognizer,
    clip_list: ClipList,
    scoring: Scoring,
    pieces: Sequence[range],
    *,
    on_clip: Callable[[], None] = lambda: None,
) -> Iterator[Tensor]:
    """Score the clips of each piece: probabilities (clips of it, views, K) float32.

    `on_clip` is called after each clip. Raises `VideoError` at the first clip that cannot be read
    (a test leaves nothing out), and `DatasetError` where the labels of the data set are not the
    network's.
    """
    validate_labels(recognizer, clip_list)
    loader = evaluation_loader(
        VideoViews(
            clip_list,
            recognizer.config.preprocessing,
            scoring.plan,
            seed=scoring.seed,
            places=[place for piece in pieces for place in piece],
        ),
        batch_size=1,
        num_workers=scoring.num_workers,
        pin_memory=recognizer.device.type == "cuda",
    )
    try:
        videos = iter(loader)
        for piece in pieces:
            views = _views(islice(videos, len(piece)), on_clip)
            scores = [
                recognizer.probabilities(_as_batch(batch))
                for batch in _in_batches(views, scoring.batch_size)
            ]
            yield torch.cat(scores).unflatten(0, (len(piece), -1))
    finally:
        end_workers(loader)


def targets_of(clip_list: ClipList) -> Tensor:
    """The true labels: (clips,) int64."""
    return torch.tensor([clip.label for clip in clip_list.clips], dtype=torch.int64)


def mean_over_views(scores: Tensor) -> Tensor:
    """(clips, views, K) -> (clips, K): the final prediction of section 4.2."""
    return scores.mean(dim=1)


def _views(videos: Iterable[Batch], on_clip: Callable[[], None]) -> Iterator[Tensor]:
    """Each view (T, 3, crop, crop) of each video."""
    for video in videos:
        for message in video.unreadable.values():
            raise VideoError(message)
        yield from video.frames[0]
        on_clip()


def _in_batches(views: Iterator[Tensor], batch_size: int) -> Iterator[list[Tensor]]:
    while batch := list(islice(views, batch_size)):
        yield batch


def _as_batch(views: list[Tensor]) -> Tensor:
    """Stack (T, 3, crop, crop), channels last in memory as they lie there: torch.cat keeps that."""
    return torch.cat(views).unflatten(0, (len(views), -1))


def validate_labels(recognizer: Recognizer, clip_list: ClipList) -> None:
    """Raise `DatasetError` where network and data set do not have the same labels in one order."""
    ours, theirs = recognizer.config.label_names, clip_list.label_names
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        found = f"{len(ours)} labels, the data set {len(theirs)}"
    else:
        label = next(i for i, pair in enumerate(zip(ours, theirs, strict=True)) if len({*pair}) > 1)
        found = f"label {label} {ours[label]!r}, the data set {theirs[label]!r}"
    raise DatasetError(f"the network has {found}. Test it on the data set it was trained on.")
