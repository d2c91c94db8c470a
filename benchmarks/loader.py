"""What a training loader costs beside decoding, and whether its workers' memory stays flat.

    python benchmarks/loader.py VIDEOS [--rounds 7] [--docs docs]
    python benchmarks/loader.py VIDEOS --minutes 20 [--docs docs]

VIDEOS is a folder of (prepared) videos. Measured in turn in every round, each with two workers:
decoding 8 segment frames of every clip and nothing else; the whole loader (decode, augment,
collate) with one view; and with the two views of Twins Training. Shown are the medians of the
rounds and of their ratios. With --minutes, the whole loader runs that long instead, and the
proportional memory of its workers (their share of what processes share) is read every ten seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import asdict
from pathlib import Path

import torch
from decode import median_ratio
from matplotlib.figure import Figure
from pages import put_table, save_figure, save_json
from torch.utils.data import DataLoader

from stmnet.data.augmentation import Augmentation
from stmnet.data.clip_datasets import Sample, TrainingClips
from stmnet.data.loaders import TrainingLoader
from stmnet.data.preprocessing import Preprocessing
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.memory import keep_freed_memory
from stmnet.runs.recipe import AugmentationRecipe, DataRecipe
from stmnet.video.video_paths import find_videos

COMMAND = "python benchmarks/loader.py"
NUM_WORKERS = 2
BATCH_SIZE = 8
MEMORY_INTERVAL_SECONDS = 10


class DecodingOnly(TrainingClips):
    """The frames are read, and thrown away."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.view = discard  # type: ignore[assignment]
        self.colors = None


def discard(frames: torch.Tensor, label: int) -> tuple[torch.Tensor, int]:
    return frames.new_zeros(1, 3, 1, 1), label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("--clips", type=int, default=320, help="clips an epoch, videos repeating")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--docs", type=Path, help="write the JSON, figure and table here")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `stmnet` does
    torch.set_num_threads(1)

    videos = find_videos([arguments.videos])
    clip_list = ClipList(
        tuple(Clip(videos[number % len(videos)], 0) for number in range(arguments.clips)), ("any",)
    )
    if arguments.minutes:
        memory = watch_memory(make_loader(TrainingClips, clip_list), arguments.minutes)
        if arguments.docs:
            figures = arguments.docs / "figures"
            save_json(figures / "loader_memory.json", COMMAND, memory)
            save_figure(figures / "loader_memory.svg", draw(memory))
        return

    seconds = measure(clip_list, arguments.rounds)
    rates = {
        name: len(clip_list.clips) / statistics.median(times) for name, times in seconds.items()
    }
    over_decoding = median_ratio(seconds["decoding alone"], seconds["one view"])
    two_over_one = median_ratio(seconds["two views"], seconds["one view"])
    lines = ["| | clips/s |", "|---|---|"]
    lines += [f"| {name} | {rate:.1f} |" for name, rate in rates.items()]
    lines += [
        f"| *the loader's speed, over decoding alone* | {over_decoding:.2f} |",
        f"| *the cost of two views, over one* | {two_over_one:.2f} |",
    ]
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if arguments.docs:
        content = {
            "videos": len(videos),
            "rounds": arguments.rounds,
            "clips_per_second": rates,
            "loader_over_decoding": over_decoding,
            "two_views_over_one": two_over_one,
        }
        save_json(arguments.docs / "figures" / "loader.json", COMMAND, content)
        put_table(arguments.docs / "benchmarks" / "loader.md", "loader.py", table)


def measure(clip_list: ClipList, rounds: int) -> dict[str, list[float]]:
    """The seconds that an epoch takes in every round."""
    loaders = {
        "decoding alone": make_loader(DecodingOnly, clip_list),
        "one view": make_loader(TrainingClips, clip_list),
        "two views": make_loader(TrainingClips, clip_list, num_views=2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(rounds + 1):
        for name, loader in loaders.items():
            start = time.perf_counter()
            run_epoch(loader, number)
            if number > 0:  # the first starts the workers
                seconds[name].append(time.perf_counter() - start)
    return seconds


def make_loader(
    kind: type[TrainingClips], clip_list: ClipList, *, num_views: int = 1
) -> TrainingLoader:
    data = DataRecipe()
    preprocessing = Preprocessing(8, short_side=data.short_side, crop_size=data.crop_size)
    clips = kind(
        clip_list,
        preprocessing,
        Augmentation(**asdict(AugmentationRecipe())),
        sampling=data.sampling,
        seed=0,
        num_views=num_views,
    )
    return TrainingLoader(clips, batch_size=BATCH_SIZE, num_workers=NUM_WORKERS, pin_memory=False)


def run_epoch(loader: TrainingLoader, epoch: int) -> None:
    loader.epoch_sampler.set_epoch(epoch)
    for batch in loader:
        if batch.unreadable:
            raise SystemExit(batch.unreadable[0])


def watch_memory(loader: TrainingLoader, minutes: float) -> dict[str, list[float]]:
    """Minutes, and the MiB of all workers together."""
    start = time.monotonic()
    at: list[float] = []
    mebibytes: list[float] = []
    epoch = 100
    while (elapsed := time.monotonic() - start) < 60 * minutes:
        loader.epoch_sampler.set_epoch(epoch)
        for _ in loader:
            elapsed = time.monotonic() - start
            if elapsed >= MEMORY_INTERVAL_SECONDS * len(at):
                at.append(elapsed / 60)
                mebibytes.append(worker_mebibytes(loader))
        epoch += 1
    third = len(mebibytes) // 3
    early = statistics.median(mebibytes[third : 2 * third])
    late = statistics.median(mebibytes[2 * third :])
    print(f"workers' memory, middle and last third of {minutes:g} min  {early:.0f} {late:.0f} MiB")
    return {"minutes": at, "mebibytes": mebibytes}


def worker_mebibytes(loader: DataLoader[Sample]) -> float:
    kibibytes = 0
    for worker in loader._iterator._workers:  # type: ignore[union-attr]
        text = Path(f"/proc/{worker.pid}/smaps_rollup").read_text()
        kibibytes += int(text.partition("Pss:")[2].split()[0])
    return kibibytes / 1024


def draw(memory: dict[str, list[float]]) -> Figure:
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(memory["minutes"], memory["mebibytes"], color="#c2410c", linewidth=1.5)
    axes.set_ylim(0, 1.25 * max(memory["mebibytes"]))
    axes.set_xlabel("minutes of loading")
    axes.set_ylabel("MiB, both workers")
    axes.grid(color="#e5e7eb", linewidth=0.7)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
