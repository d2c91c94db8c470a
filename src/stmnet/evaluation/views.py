"""Scores of a network on a split: softmax of each view, averaged over the views of a video."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stmnet.data.clips import EvaluationClips, evaluation_loader
from stmnet.data.records import ClipList
from stmnet.errors import DatasetError, VideoError
from stmnet.recognizer import Recognizer


def score_center_views(
    recognizer: Recognizer,
    clip_list: ClipList,
    *,
    batch_size: int = 16,
    num_workers: int = 2,
    on_clips: Callable[[int], None] = lambda num_clips: None,
) -> tuple[Tensor, Tensor]:
    """Score the centre view of every clip: probabilities (clips, K) float32 and targets (clips,).

    `on_clips` is told how many clips each batch finished. Raises `VideoError` at the first clip
    that cannot be read (a test leaves nothing out), and `DatasetError` where the labels of the
    data set are not the network's.
    """
    check_labels(recognizer, clip_list)
    loader = evaluation_loader(
        EvaluationClips(clip_list, recognizer.card.preprocessing),
        batch_size=batch_size,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )
    probabilities = []
    targets = []
    for batch in loader:
        if batch.unreadable:
            raise VideoError(batch.unreadable[0])
        probabilities.append(recognizer.probabilities(batch.frames))
        targets.append(batch.labels)
        on_clips(len(batch.labels))
    return torch.cat(probabilities), torch.cat(targets)


def check_labels(recognizer: Recognizer, clip_list: ClipList) -> None:
    """Raise `DatasetError` where network and data set do not have the same labels in one order."""
    ours, theirs = recognizer.card.label_names, clip_list.label_names
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        found = f"{len(ours)} labels, the data set {len(theirs)}"
    else:
        label = next(i for i, pair in enumerate(zip(ours, theirs, strict=True)) if len({*pair}) > 1)
        found = f"label {label} {ours[label]!r}, the data set {theirs[label]!r}"
    raise DatasetError(f"the network has {found}. Test it on the data set it was trained on.")
