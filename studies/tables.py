"""How sure a study is of its numbers: intervals over seeds and clips, and cells for tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stmnet.evaluation.intervals import NUM_RESAMPLES, percentiles


def class_mean(values: Tensor, labels: Tensor, times_drawn: Tensor | None = None) -> Tensor:
    """The mean of the classes' means of `values` (seeds, clips), whose `labels` are (clips,).

    With one label for all it is the plain mean. A clip counts as often as it was drawn; a class
    of which none was drawn is left out.
    """
    of_clips = values.double().mean(dim=0)
    times = torch.ones_like(of_clips) if times_drawn is None else times_drawn.double()
    sums = torch.bincount(labels, weights=of_clips * times)
    counts = torch.bincount(labels, weights=times)
    return (sums / counts).nanmean()


def crossed_interval(
    values: Tensor,
    labels: Tensor,
    *,
    groups: Sequence[str] | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of `class_mean`, over seeds and clips.

    Every resample draws seeds and, apart from them, clips, with replacement (Owen's pigeonhole
    bootstrap). Of S seeds it draws S - 1, so that the variance over few is not understated (Rao
    and Wu's rescaling); one seed alone is kept. Clips of one of the `groups` (a recording, say)
    are drawn together.

    Raises ValueError where there are not as many labels or groups as clips.
    """
    num_seeds, num_clips = values.shape
    names = [str(clip) for clip in range(num_clips)] if groups is None else groups
    if len(names) != num_clips or len(labels) != num_clips:
        raise ValueError(f"{len(labels)} labels and {len(names)} groups for {num_clips} clips")
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    member = torch.tensor([number[name] for name in names])
    generator = torch.Generator().manual_seed(0)
    means = torch.empty(num_resamples, dtype=torch.float64)
    for resample in range(num_resamples):
        seeds = torch.randint(num_seeds, (max(1, num_seeds - 1),), generator=generator)
        drawn = torch.randint(len(number), (len(number),), generator=generator)
        times_drawn = torch.bincount(drawn, minlength=len(number))[member]
        means[resample] = class_mean(values[seeds], labels, times_drawn)
    return percentiles(means)


def cell(
    values: Tensor,
    labels: Tensor | None = None,
    *,
    groups: Sequence[str] | None = None,
    signed: bool = False,
) -> str:
    """`class_mean` with its interval in per cent: "71.2 [68.0, 74.1]"; a difference is signed.

    Without `labels` it is the mean over all clips.
    """
    labels = torch.zeros(values.shape[1], dtype=torch.int64) if labels is None else labels
    low, high = crossed_interval(values, labels, groups=groups)
    sign = "+" if signed else ""
    numbers = [f"{100 * n:{sign}.1f}" for n in (float(class_mean(values, labels)), low, high)]
    return "{} [{}, {}]".format(*numbers).replace("-", "\N{MINUS SIGN}")


def difference(values: Tensor, others: Tensor) -> Tensor:
    """`values` − `others`, seed by seed and clip by clip, of the first seeds that both have."""
    num_seeds = min(len(values), len(others))
    return values[:num_seeds] - others[:num_seeds]


def each_seed(values: Tensor) -> str:
    """The means of the seeds in per cent, in their order: "70.8, 71.3, 71.5"."""
    return ", ".join(f"{100 * mean:.1f}" for mean in values.double().mean(dim=1).tolist())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a table for pages."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
