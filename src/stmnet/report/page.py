"""One self-contained HTML page that shows what a test found: `write_report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from torch import Tensor

from stmnet.analysis.confusion import (
    ConfusedPair,
    mistakes_within,
    most_confused_pairs,
    mutual_pairs,
    partners_together,
)
from stmnet.analysis.feature_maps import FeatureExample
from stmnet.data.reading import read_clip
from stmnet.data.sampling import center_segment_indices
from stmnet.datasets.clip_list import Clip
from stmnet.errors import StmnetError
from stmnet.evaluation.intervals import Interval, Resamples, resample
from stmnet.evaluation.metrics import Metrics, is_correct, summarize
from stmnet.evaluation.results import ModelResult
from stmnet.files import atomic_write
from stmnet.report.contents import ReportContents
from stmnet.report.figures import (
    Curve,
    Picture,
    draw_learning_curve,
    frame_picture,
    map_pictures,
)
from stmnet.report.headline import percent, state_finding

NUM_ACCENTS = 6  # colors in report.css; a seventh network starts again with the first
NUM_MISTAKES = 6
NUM_FRAMES = 8
MAX_CLASSES_WITH_COUNTS = 20
MAX_CLASSES_IN_MATRIX = 30
MAX_CLASSES_LISTED = 40


@dataclass(frozen=True)
class Mistake:
    """A clip that a network got wrong. Without frames, `problem` says why they cannot be read."""

    clip: Clip
    true_label: str
    predicted_label: str
    confidence: float
    frames: tuple[tuple[int, Picture], ...]
    problem: str


@dataclass(frozen=True)
class Network:
    """A result with what the page shows of it."""

    result: ModelResult
    accent: int
    metrics: Metrics
    resamples: Resamples
    class_intervals: Tensor
    mistakes: tuple[Mistake, ...]
    mutual_pairs: int
    mistakes_within_pairs: int

    @property
    def name(self) -> str:
        """The name that the network goes by in the page."""
        return self.result.name

    @property
    def num_mistakes(self) -> int:
        """The number of clips whose highest score is not the true class."""
        return int(self.metrics.confusion.sum() - self.metrics.confusion.trace())


@dataclass(frozen=True)
class ClassRow:
    """A class's accuracy by each network, with its 95 % interval.

    Both are NaN where the test split has no clip of the class.
    """

    name: str
    num_clips: int
    accuracies: tuple[float, ...]
    intervals: tuple[Interval, ...]
    starts_worst: bool = False  # the first row after those left out of a long list


@dataclass(frozen=True)
class FeatureRows:
    """A feature example as three rows of pictures, one column for each step in time."""

    example: FeatureExample
    frames: list[Picture]
    cstm: list[Picture]
    cmm: list[Picture]


def write_report(report: ReportContents, path: Path) -> Path:
    """Write the page and return its path; what was at the path stays whole until it is replaced.

    The file asks nothing of the network and can be sent on as it is. Raises StmnetError if the path
    cannot be written or scores are NaN or infinite, ValueError if the parts of the report do not
    fit together. A video that cannot be read is named in the page with the reason.
    """
    _require_consistent(report)
    page = render_page(report)
    try:
        _write_page(path, page)
    except OSError as e:
        raise StmnetError(
            f"{path}: the report cannot be written ({e.strerror}). Choose another path for it."
        ) from e
    return path


def render_page(report: ReportContents) -> str:
    """Return the page as HTML."""
    networks = [_network(report, place) for place in range(len(report.results))]
    confusions = [network.metrics.confusion for network in networks]
    num_classes = len(report.label_names)
    environment = Environment(
        loader=PackageLoader("stmnet", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "duration": _duration,
        "parameters": _parameters,
        "clip_name": _clip_name,
    }
    return environment.get_template("page.html.jinja").render(
        report=report,
        finding=state_finding(report.results),
        networks=networks,
        best=_best(networks),
        class_order=partners_together(confusions),
        has_matrix=num_classes <= MAX_CLASSES_IN_MATRIX,
        has_counts=num_classes <= MAX_CLASSES_WITH_COUNTS,
        pairs=_pairs(confusions),
        class_rows=_class_rows(report, networks),
        num_classes_left_out=max(0, num_classes - MAX_CLASSES_LISTED),
        loss_curves=_loss_curves(networks),
        accuracy_curves=_accuracy_curves(networks),
        features=[_feature_rows(example) for example in report.feature_examples],
    )


def _require_consistent(report: ReportContents) -> None:
    if not report.results:
        raise ValueError("a report needs the result of at least one network")
    shape = (len(report.clips), len(report.label_names))
    for result in report.results:
        if tuple(result.probabilities.shape) != shape:
            raise ValueError(
                f"{result.name}: probabilities must be (clips, labels) = {shape}, "
                f"not {tuple(result.probabilities.shape)}"
            )
        if not torch.equal(result.targets, report.results[0].targets):
            raise ValueError(f"{result.name}: the targets are not those of the first network")
        num_unusable = int((~result.probabilities.isfinite()).any(dim=1).sum())
        if num_unusable:
            raise StmnetError(
                f"{result.name}: the scores of {num_unusable} of {shape[0]} clips are NaN or "
                "infinite: training diverged. Lower optimizer.learning_rate and train again."
            )


def _write_page(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        # File names need not be Unicode; what of them UTF-8 cannot hold is shown as \udcXX.
        unfinished.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def _network(report: ReportContents, place: int) -> Network:
    result = report.results[place]
    metrics = summarize(result.probabilities, result.targets)
    correct = is_correct(result.probabilities, result.targets)
    resamples = resample(result.probabilities, result.targets)
    pairs = mutual_pairs(metrics.confusion)
    return Network(
        result=result,
        accent=place % NUM_ACCENTS + 1,
        metrics=metrics,
        resamples=resamples,
        class_intervals=resamples.class_intervals(),
        mistakes=tuple(
            _mistake(report, result, clip) for clip in _most_confident_mistakes(result, correct)
        ),
        mutual_pairs=len(pairs),
        mistakes_within_pairs=mistakes_within(metrics.confusion, pairs),
    )


def _most_confident_mistakes(result: ModelResult, correct: Tensor) -> list[int]:
    confidence = result.probabilities.amax(dim=1).masked_fill(correct, -1)
    num_mistakes = int((~correct).sum())
    clips: list[int] = confidence.sort(descending=True, stable=True).indices.tolist()
    return clips[: min(NUM_MISTAKES, num_mistakes)]


def _mistake(report: ReportContents, result: ModelResult, place: int) -> Mistake:
    clip = report.clips[place]
    confidence, predicted = result.probabilities[place].max(dim=0)
    frames: tuple[tuple[int, Picture], ...] = ()
    problem = ""
    try:
        frames = _filmstrip(clip)
    except (StmnetError, OSError) as e:
        problem = str(e)
    return Mistake(
        clip=clip,
        true_label=report.label_names[int(result.targets[place])],
        predicted_label=report.label_names[int(predicted)],
        confidence=float(confidence),
        frames=frames,
        problem=problem,
    )


def _filmstrip(clip: Clip) -> tuple[tuple[int, Picture], ...]:
    """Frames from the start to the end of a clip, with their numbers in its video."""
    indices: list[int] = []

    def choose_indices(num_frames: int) -> list[int]:
        nonlocal indices
        # A clip of fewer frames shows each once.
        indices = sorted(set(center_segment_indices(num_frames, NUM_FRAMES)))
        return indices

    frames = read_clip(clip, choose_indices)
    return tuple(
        (clip.start_frame + index, frame_picture(frame))
        for index, frame in zip(indices, frames, strict=True)
    )


def _best(networks: list[Network]) -> dict[str, float]:
    """Return the values that stand in bold; with a single network nothing is best."""
    if len(networks) == 1:
        return {}
    return {
        name: max(getattr(network.metrics, name) for network in networks)
        for name in ("top1", "top5", "mean_class_accuracy")
    }


def _pairs(confusions: list[Tensor]) -> list[ConfusedPair]:
    has_matrix = len(confusions[0]) <= MAX_CLASSES_IN_MATRIX
    return most_confused_pairs(confusions, limit=8 if has_matrix else 20)


def _class_rows(report: ReportContents, networks: list[Network]) -> list[ClassRow]:
    clips_per_class = networks[0].metrics.confusion.sum(dim=1).tolist()
    accuracies = torch.stack([network.metrics.per_class_accuracy for network in networks], dim=1)
    intervals = [network.class_intervals for network in networks]
    mean = accuracies.mean(dim=1).nan_to_num(-1)  # classes without clips come last
    order: list[int] = mean.sort(descending=True, stable=True).indices.tolist()
    half = MAX_CLASSES_LISTED // 2
    if len(order) > MAX_CLASSES_LISTED:
        order = [label for label in order if clips_per_class[label] > 0]
        order = order[:half] + order[half:][-half:]
    return [
        ClassRow(
            name=report.label_names[label],
            num_clips=clips_per_class[label],
            accuracies=tuple(accuracies[label].tolist()),
            intervals=tuple(tuple(each[label].tolist()) for each in intervals),
            starts_worst=len(report.label_names) > MAX_CLASSES_LISTED and place == half,
        )
        for place, label in enumerate(order)
    ]


def _loss_curves(networks: list[Network]) -> Markup | None:
    return _learning_curves(networks, "train_loss", "validation_loss", as_percent=False)


def _accuracy_curves(networks: list[Network]) -> Markup | None:
    return _learning_curves(networks, "train_top1", "validation_top1", as_percent=True)


def _learning_curves(
    networks: list[Network], train: str, validation: str, *, as_percent: bool
) -> Markup | None:
    curves = [
        Curve(
            accent=network.accent,
            epochs=[record.number for record in network.result.history],
            values=[getattr(record, quantity) for record in network.result.history],
            dashed=quantity == train,
        )
        for network in networks
        if network.result.history
        for quantity in (train, validation)
    ]
    return draw_learning_curve(curves, as_percent=as_percent, name=validation) if curves else None


def _feature_rows(example: FeatureExample) -> FeatureRows:
    return FeatureRows(
        example=example,
        frames=[frame_picture(frame) for frame in example.frames],
        cstm=map_pictures(example.cstm),
        cmm=map_pictures(example.cmm),
    )


def _clip_name(clip: Clip) -> str:
    """Name a video, and the frames of a clip that is a part of it: a.mp4, frames 30 to 59."""
    if clip.end_frame is not None:
        return f"{clip.video.name}, frames {clip.start_frame} to {clip.end_frame - 1}"
    if clip.start_frame > 0:
        return f"{clip.video.name}, from frame {clip.start_frame} on"
    return clip.video.name


def _duration(seconds: float) -> str:
    """Write a time with its two largest units: 1 h 12 min, 12 min 30 s, 9 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return " ".join(f"{value}\N{NO-BREAK SPACE}{unit}" for value, unit in parts[:2])


def _parameters(number: int) -> str:
    """Write a number of parameters with three digits: 24.0 M, 512 k, 96."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}\N{NO-BREAK SPACE}{unit}"
    return str(number)
