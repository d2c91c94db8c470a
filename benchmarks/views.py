"""What decoding the 30 views of a test costs, beside 30 reads of the center view.

    python benchmarks/views.py VIDEO... [--rounds 9] [--docs docs]

Each round reads, for every video, the frames of its center view and then those of ten random clips
(section 4.2; the three crops of a clip share its frames), T = 8. Shown are medians of the CPU
time, and of the rounds' ratios: what decoding every frame once costs, over 30 center reads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from pages import put_table, save_json

from stmnet.data.evaluation_views import choose_clips
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_center, read_clips
from stmnet.data.view_plan import ViewPlan
from stmnet.datasets.clip_list import UNLABELED, Clip

COMMAND = "python benchmarks/views.py"
PLAN = ViewPlan.parse("30")
PREPROCESSING = Preprocessing(num_frames=8, short_side=256, crop_size=224)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--docs", type=Path, help="write the JSON and the table here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    measured = measure(arguments.videos, arguments.rounds)
    table = as_table(measured)
    print(table)
    content = {"rounds": arguments.rounds, "views": str(PLAN), "videos": measured}
    if arguments.docs:
        save_json(arguments.docs / "figures" / "views.json", COMMAND, content)
        put_table(arguments.docs / "benchmarks" / "views.md", "views.py", table)
    else:
        print(json.dumps(content))


def as_table(measured: list[dict[str, str | int | float]]) -> str:
    """A row a video, in Markdown."""
    rows = [
        f"| `{each['video']}` | {each['frames']} | {each['center_ms']:.1f} ms "
        f"| {each['views_ms']:.1f} ms | {each['ratio']:.3f} |"
        for each in measured
    ]
    head = "| file | frames decoded | center view | 30 views | over 30 center reads |"
    return "\n".join([head, "|---|---|---|---|---|", *rows]) + "\n"


def measure(videos: list[Path], rounds: int) -> list[dict[str, str | int | float]]:
    """The medians for every video; the first round warms up and does not count."""
    center: dict[Path, list[float]] = {video: [] for video in videos}
    views: dict[Path, list[float]] = {video: [] for video in videos}
    for number in range(rounds + 1):
        for video in videos:
            clip = Clip(video, UNLABELED)
            spent = cpu_seconds(partial(read_center, clip, PREPROCESSING))
            spent_on_views = cpu_seconds(partial(read_views, clip, seed=number))
            if number > 0:
                center[video].append(spent)
                views[video].append(spent_on_views)
    return [
        {
            "video": video.name,
            "frames": len(read_views(Clip(video, UNLABELED), seed=0)),
            "center_ms": 1000 * statistics.median(center[video]),
            "views_ms": 1000 * statistics.median(views[video]),
            "ratio": statistics.median(
                all_views / (PLAN.num_views * one)
                for one, all_views in zip(center[video], views[video], strict=True)
            ),
        }
        for video in videos
    ]


def read_views(clip: Clip, *, seed: int) -> torch.Tensor:
    frames, _ = read_clips(
        clip, lambda num_frames: choose_clips(PLAN, num_frames, PREPROCESSING.num_frames, seed, 0)
    )
    return frames


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
