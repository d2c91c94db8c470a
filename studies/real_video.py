"""Real video, few clips: fine-tuning on UCF clips, and sitting down against standing up.

    python -m studies.real_video ucf [--shared ../shared] [--only RUN ...] [--pages]
    python -m studies.real_video room [--shared ../shared] [--only RUN ...] [--pages]

`ucf`: STM-18 on the clips of UCF-101 that are there (three classes of the 101), by official split
01, from partial ImageNet weights (with a linear probe first, and without) and from scratch. `room`:
STM-18, TSM-18 and TSN-18 from the same weights on "sitdown" and "standup" of the room recordings,
in five folds of whole recordings; tested on the clips and on the same clips with their frames in
reverse order.

Settings stand in this file: those of recipes/own_folder.yaml but for epochs, size, learning rate,
policy and bfloat16. They were chosen on training groups held out and on two other labels, after
two earlier settings were seen on UCF's test clips (docs/studies/few_clips.md). Tested are the
weights of the last epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from benchmarks.pages import put_table
from safetensors.torch import save_file
from torch import Tensor, nn

from stmnet.curation.prepare import prepare
from stmnet.data.view_plan import CENTER
from stmnet.datasets.class_folders import ListedPart, parse_segments
from stmnet.datasets.clip_list import ClipList
from stmnet.datasets.lists import read_text
from stmnet.datasets.splits import read_split
from stmnet.datasets.ucf101 import parse_class_index, parse_ucf101
from stmnet.files import atomic_write
from stmnet.recognizer import Recognizer
from stmnet.video.transcode import Shape
from studies.linear_probe import probed_start
from studies.lists import split_by_recording, write_lists
from studies.partial_imagenet import middle_frames, restore
from studies.runs import (
    ROOT,
    Answers,
    Outcome,
    Run,
    answers_to,
    finish_all,
    record,
    recorded,
    study_parser,
    where_and_when,
)
from studies.so_far import first_seeds
from studies.tables import cell, difference, each_seed, table

SEEDS = (0, 1, 2)
RECIPE = "recipes/own_folder.yaml"
QUICK = ("--data.num_workers", "1", "--precision", "bf16-mixed")


# ---- UCF ----

# Chosen on groups of the training list: docs/studies/few_clips.md says how. At higher rates the
# trunk learns so few clips by heart. With a fitted classifier there is less to learn, by gentler
# steps.
UCF_SETTINGS = (
    *("--optimizer.epochs", "8", "--optimizer.learning_rate", "0.0003"),
    *("--optimizer.policy", "tsn", *QUICK),
)
PROBED_SETTINGS = (
    *("--optimizer.epochs", "4", "--optimizer.learning_rate", "0.0001"),
    *("--optimizer.policy", "tsn", *QUICK),
)
STARTS = {
    "probed": "partial ImageNet weights, a linear probe first",
    "pretrained": "partial ImageNet weights",
    "scratch": "from scratch",
}
UCF_VIEWS = {"30": "top-1 by 30 views", CENTER: "top-1 by the center view"}


def prepare_trunk(work: Path, shared: Path) -> None:
    """Small copies of the clips, the lists of official split 01, and the weights to start from."""
    videos, lists = shared / "videos" / "ucf101", shared / "annotations" / "ucf101"
    prepare("folder", videos, work / "ucf" / "videos", shape=Shape(key_frame_interval=4))
    train, test = (ucf_rows(lists, f"{part}list01.txt", videos) for part in ("train", "test"))
    write_lists(work / "ucf", "videos", train, test)
    weights = work / "partial_imagenet.safetensors"
    if not weights.is_file():
        folded = shared / "weights" / "resnet18_imagenet_bnfolded_partial.npz"
        frames = middle_frames([videos / row.video for row in train])
        with atomic_write(weights) as unfinished:
            save_file(restore(folded, frames), unfinished)


def prepare_ucf(work: Path, shared: Path) -> None:
    """What `prepare_trunk` makes, and from it the third start's weights."""
    prepare_trunk(work, shared)
    weights, probed = work / "partial_imagenet.safetensors", work / "ucf" / "probed.safetensors"
    if not probed.is_file():
        start = probed_start(weights, read_split("folder", work / "ucf", "train"))
        with atomic_write(probed) as unfinished:
            save_file(start, unfinished)


def ucf_rows(lists: Path, name: str, videos: Path) -> list[ListedPart]:
    """The clips of a published list that are there."""
    index = lists / "classInd.txt"
    label_names = parse_class_index(read_text(index), index)
    entries = parse_ucf101(read_text(lists / name), lists / name, label_names)
    rows = [ListedPart(f"{entry.video}.avi", label_names[entry.label]) for entry in entries]
    return [row for row in rows if (videos / row.video).is_file()]


def ucf_runs(work: Path) -> list[Run]:
    """From the partial ImageNet weights, with a fitted classifier or without, and from scratch."""
    starts = {
        "probed": (str(work / "ucf" / "probed.safetensors"), PROBED_SETTINGS),
        "pretrained": (str(work / "partial_imagenet.safetensors"), UCF_SETTINGS),
        "scratch": ("null", UCF_SETTINGS),
    }
    return [
        Run(
            f"ucf-{start}-seed{seed}",
            RECIPE,
            ("--data.root", str(work / "ucf"), "--model.pretrained", weights, *settings),
            seed,
        )
        for start, (weights, settings) in starts.items()
        for seed in SEEDS
    ]


def test_on_ucf(run: Run, recognizer: Recognizer, work: Path) -> Answers:
    """The answers on the test clips of split 01: by the paper's 30 views, and by the center one."""
    clip_list = read_split("folder", work / "ucf", "test")
    # In bfloat16 as in training: 30 views a clip are many.
    quick = Recognizer(recognizer.network, recognizer.config, dtype="fast")
    return {views: answers_to(quick, clip_list, views) for views in UCF_VIEWS}


def ucf_clips(work: Path) -> dict[str, list[Any]]:
    """The columns of the test list: a group of UCF-101 is one scene, filmed in several clips."""
    clips = read_split("folder", work / "ucf", "test").clips
    return {
        "label": [clip.label for clip in clips],
        "group": [clip.video.stem.rpartition("_")[0] for clip in clips],
    }


def ucf_table(clips: dict[str, list[Any]], outcomes: Sequence[Outcome]) -> str:
    """Top-1 from each start, and the differences from none."""
    labels, groups = torch.tensor(clips["label"]), clips["group"]
    # (seeds, clips) float, by start and views
    right = {
        start: {
            views: (answers(of_name(outcomes, f"ucf-{start}-"), views) == labels).double()
            for views in UCF_VIEWS
        }
        for start in STARTS
    }
    rows = []
    for start, words in STARTS.items():
        cells = [[cell(by, groups=groups), each_seed(by)] for by in right[start].values()]
        rows.append([f"STM-18, {words}", *chain(*cells)])
    for start in ("probed", "pretrained"):
        gains = [difference(right[start][views], right["scratch"][views]) for views in UCF_VIEWS]
        cells = [[cell(gain, groups=groups, signed=True), ""] for gain in gains]
        rows.append([f"*{STARTS[start]} − from scratch*", *chain(*cells)])
    return table(["", *chain(*([words, "each seed"] for words in UCF_VIEWS.values()))], rows)


# ---- the room ----

ROOM_LABELS = ("sitdown", "standup")
# Tried on two other labels, "walk" and "falling": docs/studies/sitting_standing.md has the figures.
ROOM_SETTINGS = (
    *("--optimizer.epochs", "8", "--optimizer.learning_rate", "0.001"),
    *("--optimizer.policy", "tsn"),
    *("--data.short_side", "108", "--data.crop_size", "96"),
    *QUICK,
)
NUM_FOLDS = 5
NETWORKS = ("stm", "tsm", "tsn")


class InReverse(nn.Module):
    """Turns clips (N, T, 3, H, W) around in time."""

    def forward(self, clips: Tensor) -> Tensor:
        return clips.flip(1)


def prepare_room(work: Path, shared: Path) -> None:
    """Small copies of the recordings, and the lists of the folds."""
    prepare_trunk(work, shared)  # whose weights these networks start from
    videos = shared / "videos" / "room"
    prepare("folder", videos, work / "room" / "videos", shape=Shape(128, key_frame_interval=4))
    segments = videos / "segments.csv"
    rows = [
        row for row in parse_segments(read_text(segments), segments) if row.label in ROOM_LABELS
    ]
    folds = split_by_recording(rows, NUM_FOLDS)
    for number, test in enumerate(folds):
        train = [row for fold in folds if fold is not test for row in fold]
        write_lists(work / "room" / f"fold{number}", "../videos", train, test)


def room_runs(work: Path) -> list[Run]:
    """Every network on every fold; the first seed of all of them first."""
    return [
        Run(
            f"room-{network}-fold{fold}-seed{seed}",
            RECIPE,
            (
                *("--model.name", f"{network}_resnet18"),
                *("--model.pretrained", str(work / "partial_imagenet.safetensors")),
                *("--data.root", str(work / "room" / f"fold{fold}")),
                *ROOM_SETTINGS,
            ),
            seed,
        )
        for seed in SEEDS
        for fold in range(NUM_FOLDS)
        for network in NETWORKS
    ]


def test_on_room(run: Run, recognizer: Recognizer, work: Path) -> Answers:
    """The answers on the fold's own clips, and on these in reverse."""
    clip_list = room_fold(work, int(run.name.split("-")[2].removeprefix("fold")))
    backwards = Recognizer(nn.Sequential(InReverse(), recognizer.network), recognizer.config)
    return {
        "ordered": answers_to(recognizer, clip_list),
        "reversed": answers_to(backwards, clip_list),
    }


def room_fold(work: Path, fold: int) -> ClipList:
    """The test clips of a fold."""
    return read_split("folder", work / "room" / f"fold{fold}", "test")


def room_clips(work: Path) -> dict[str, list[Any]]:
    """The columns of all folds' test lists, one after the other."""
    clips = [clip for fold in range(NUM_FOLDS) for clip in room_fold(work, fold).clips]
    return {
        "label": [clip.label for clip in clips],
        "recording": [clip.video.stem for clip in clips],
        "start_frame": [clip.start_frame for clip in clips],
    }


def room_table(clips: dict[str, list[Any]], outcomes: Sequence[Outcome]) -> str:
    """Accuracy on ordered clips, and what becomes of the answers in reverse."""
    labels, recordings = torch.tensor(clips["label"]), clips["recording"]
    accuracy = {}
    rows = []
    for network in NETWORKS:
        of_network = of_name(outcomes, f"room-{network}-")
        ordered, turned = answers(of_network, "ordered"), answers(of_network, "reversed")
        accuracy[network] = (ordered == labels).double()
        rows.append(
            [
                f"{network.upper()}-18",
                cell(accuracy[network], groups=recordings),
                cell(accuracy[network], labels, groups=recordings),
                each_class(accuracy[network], labels),
                cell((turned != ordered).double(), groups=recordings),
                cell((turned != labels).double(), labels, groups=recordings),
            ]
        )
    for network in NETWORKS[:-1]:
        gain = difference(accuracy[network], accuracy["tsn"])
        rows.append(
            [
                f"*{network.upper()} − TSN*",
                cell(gain, groups=recordings, signed=True),
                cell(gain, labels, groups=recordings, signed=True),
                *("", "", ""),
            ]
        )
    head = ["", "top-1", "mean class accuracy", " / ".join(ROOM_LABELS)]
    reverse = [
        "in reverse: the answer turns",
        "in reverse: mean class accuracy for the turned label",
    ]
    return table([*head, *reverse], rows)


def each_class(right: Tensor, labels: Tensor) -> str:
    """The accuracy of every class in per cent: "61.1 / 84.7"."""
    return " / ".join(f"{100 * right[:, labels == label].mean():.1f}" for label in labels.unique())


# ---- both ----


def of_name(outcomes: Sequence[Outcome], beginning: str) -> list[Outcome]:
    """The outcomes of runs whose names begin so."""
    return [outcome for outcome in outcomes if outcome.run.name.startswith(beginning)]


def answers(outcomes: Sequence[Outcome], shown: str) -> Tensor:
    """The answers by seed, folds one after the other: (seeds, clips)."""
    by_seed: dict[int, list[int]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.run.name):
        by_seed.setdefault(outcome.run.seed, []).extend(outcome.answers[shown])
    return torch.tensor([by_seed[seed] for seed in sorted(by_seed)])


PAGES = {"ucf": "few_clips.md", "room": "sitting_standing.md"}
STUDIES = {
    "ucf": (prepare_ucf, ucf_runs, test_on_ucf, ucf_clips, ucf_table),
    "room": (prepare_room, room_runs, test_on_room, room_clips, room_table),
}


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="clips and lists")
    arguments = parser.parse_args()
    name, work = arguments.study, arguments.work
    make_data, plan, test, test_clips, make_table = STUDIES[name]
    planned = plan(work)
    if arguments.pages:
        clips, outcomes = recorded(name)
    else:
        make_data(work, arguments.shared)
        outcomes = finish_all(
            planned, work, partial(test, work=work), only=arguments.only, so_far=arguments.so_far
        )
        if arguments.only:
            return
        clips = test_clips(work)
    shown = first_seeds(outcomes, planned)
    text = f"{make_table(clips, shown)}\n{where_and_when(shown, planned)}"
    if not arguments.pages:
        record(name, f"python -m studies.real_video {name}", clips, outcomes)
    put_table(ROOT / "docs" / "studies" / PAGES[name], f"studies.real_video {name}", text)


if __name__ == "__main__":
    main()
