"""Clips per second of 8 random segment frames: stmnet beside PyAV, OpenCV, decord2 and torchcodec.

    python benchmarks/decode.py FILE... [--folders FOLDER...] [--rounds 15] [--docs docs]

Everything runs in one process pinned to one core with one decoding thread. In every round each
reader opens the file, finds how many frames it has, and returns the same random frames as RGB; the
readers take turns, in an order drawn for the round. Shown are medians of CPU time and medians of
the rounds' ratios. What is not installed is left out (pip install "stmnet[benchmarks]"; torchcodec
also wants FFmpeg's shared libraries). Before the first round every reader's frames are compared
with PyAV's; a reader that returns others, or fails, is not compared on that file. What bounds
stmnet is FFmpeg's share of its time: decoding the pictures that are needed, and converting the
wanted ones.

A folder's videos are measured as the files are, each in a third of the rounds; shown is their
geometric mean. A few files tell little of a set, whose files differ in length and key frames: so
the files that lie in a folder are also replaced by others of it, drawn at random, many times.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import torch
from pages import put_table, save_json

from stmnet.video import reader as stmnet_reader
from stmnet.video.reader import VideoFile
from stmnet.video.rgb import RgbImages
from stmnet.video.video_paths import find_videos

NUM_SEGMENTS = 8
LEVEL = 0.97  # of a peer's speed: no slower than it
AIMS = {"over the best peer": 1.1, "over plain PyAV": 2.0}
NUM_DRAWS = 10_000
# Mean over all values of two images: other builds of FFmpeg convert colors a little differently,
# and neighboring frames of a still scene differ by little more.
MAX_DIFFERENCE = 3
Choose = Callable[[int], list[int]]
Reader = Callable[[Path, Choose], np.ndarray]


def read_with_stmnet(path: Path, choose: Choose) -> np.ndarray:
    with VideoFile(path) as video:
        return video.read(choose(video.num_frames)).permute(0, 2, 3, 1).numpy()


def read_with_pyav(path: Path, choose: Choose) -> np.ndarray:
    """The plain loop: decode from the start, keep what is wanted, stop after the last."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        num_frames = stream.frames
        if not num_frames:
            num_frames = sum(1 for packet in container.demux(stream) if packet.size)
            container.seek(0)
        indices = choose(num_frames)
        images = {}
        for number, frame in enumerate(container.decode(stream)):
            if number in indices:
                images[number] = frame.to_ndarray(format="rgb24")
            if number == max(indices):
                break
        return np.stack([images[index] for index in indices])


def read_with_opencv(path: Path, choose: Choose) -> np.ndarray:
    """Grab up to the last wanted frame: to set its position is not exact."""
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    num_frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    indices = choose(num_frames)
    images = {}
    for number in range(max(indices) + 1):
        capture.grab()
        if number in indices:
            images[number] = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
    capture.release()
    return np.stack([images[index] for index in indices])


def read_with_decord(path: Path, choose: Choose) -> np.ndarray:
    import decord

    video = decord.VideoReader(str(path), num_threads=1)
    frames: np.ndarray = video.get_batch(choose(len(video))).asnumpy()
    return frames


def read_with_torchcodec(path: Path, choose: Choose) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), num_ffmpeg_threads=1)
    indices = choose(decoder.metadata.num_frames or 0)
    return decoder.get_frames_at(indices=indices).data.permute(0, 2, 3, 1).numpy()


@dataclass(frozen=True)
class Result:
    """Of one file: every reader's clips per second, and by how much stmnet is quicker.

    `ffmpegs_share`: of stmnet's time, what FFmpeg's decoding and conversion take.
    """

    clips_per_second: dict[str, float]
    over_best_peer: float
    over_pyav: float
    ffmpegs_share: float


@dataclass(frozen=True)
class FolderResult:
    """Of all videos in a folder, how many times as quick stmnet is as the best peer and as PyAV.

    `num_not_exact`: with how many a reader failed or returned other frames, and is not compared.
    """

    each_over_best_peer: list[float]
    each_over_pyav: list[float]
    num_not_exact: dict[str, int]

    @property
    def over_best_peer(self) -> float:
        """The geometric mean."""
        return statistics.geometric_mean(self.each_over_best_peer)

    @property
    def over_pyav(self) -> float:
        """The geometric mean."""
        return statistics.geometric_mean(self.each_over_pyav)


READERS: dict[str, tuple[str, Reader]] = {
    "stmnet": ("stmnet", read_with_stmnet),
    "PyAV": ("av", read_with_pyav),
    "OpenCV": ("opencv-python-headless", read_with_opencv),
    "decord2": ("decord2", read_with_decord),
    "torchcodec": ("torchcodec", read_with_torchcodec),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--folders", nargs="+", type=Path, default=[])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--docs", type=Path, help="write the JSON and the table here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    readers = {name: reader for name, (_, reader) in READERS.items() if find_version(name)}
    print("versions  " + ", ".join(f"{name} {find_version(name)}" for name in readers))
    print(
        f"{'clips/s':28}"
        + "".join(f"{name:>11}" for name in readers)
        + "  over best peer  FFmpeg's"
    )
    results: dict[str, Result] = {}
    for path in arguments.files:
        seconds = measure(path, exact_readers(path, readers), arguments.rounds)
        rates = {name: 1 / statistics.median(times) for name, times in seconds.items()}
        over_best_peer, over_pyav = compare(seconds)
        row = "".join(f"{rates.get(name, math.nan):11.1f}" for name in readers)
        share = ffmpegs_share(path, arguments.rounds)
        print(f"{path.name[-28:]:28}{row}{over_best_peer:16.2f}{share:10.0%}", flush=True)
        results[path.name] = Result(rates, over_best_peer, over_pyav, share)
    folders: dict[str, FolderResult] = {}
    for path in arguments.folders:
        folders[path.name] = measure_folder(path, readers, max(1, arguments.rounds // 3))
        print(folders_as_table({path.name: folders[path.name]}).splitlines()[-1], flush=True)

    over_best, over_pyav = geometric_means([*results.values()])
    # A file that lies in one of the folders has its say there.
    alone = [p.name for p in arguments.files if folder_of(p, arguments.folders) is None]
    kinds = [*folders.values(), *(results[name] for name in alone)]
    slowest = min(results, key=lambda name: results[name].clips_per_second["stmnet"])
    print(f"geometric mean over the best peer of each file  {over_best:.2f}")
    print(f"geometric mean over plain PyAV                  {over_pyav:.2f}")
    drawn = draw(arguments.files, results, arguments.folders, folders) if folders else {}
    if folders:
        by_kind = geometric_means(kinds)
        print(f"the same of whole folders and other files       {by_kind[0]:.2f}, {by_kind[1]:.2f}")
        for name, told in drawn.items():
            print(
                f"files like these, {name:30} {told['median']:.2f}, at least {told['aim']} in "
                f"{told['reached']:.0%} of the draws"
            )
    print(f"slowest file                                    {slowest}")
    if arguments.docs:
        content = {
            "rounds": arguments.rounds,
            "versions": {name: find_version(name) for name in readers},
            "files": {name: asdict(result) for name, result in results.items()},
            "folders": {name: asdict(result) for name, result in folders.items()},
            "over_best_peer": over_best,
            "over_pyav": over_pyav,
            "by_kind": geometric_means(kinds),
            "files_like_these": drawn,
        }
        page = arguments.docs / "benchmarks" / "decode.md"
        save_json(
            arguments.docs / "figures" / "decode.json", "python benchmarks/decode.py", content
        )
        put_table(page, "decode.py", as_table(results))
        put_table(page, "decode.py folders", folders_as_table(folders))


def compare(seconds: dict[str, list[float]]) -> tuple[float, float]:
    """How many times as quick stmnet is as the best of its peers, and as plain PyAV."""
    over = {name: median_ratio(times, seconds["stmnet"]) for name, times in seconds.items()}
    return min(ratio for name, ratio in over.items() if name != "stmnet"), over["PyAV"]


def geometric_means(results: Sequence[Result | FolderResult]) -> tuple[float, float]:
    """Over the best peer of each, and over plain PyAV."""
    return (
        statistics.geometric_mean(result.over_best_peer for result in results),
        statistics.geometric_mean(result.over_pyav for result in results),
    )


def folder_of(file: Path, folders: Sequence[Path]) -> Path | None:
    """The one that a file lies in."""
    return next((folder for folder in folders if folder in file.parents), None)


def draw(
    files: Sequence[Path],
    results: dict[str, Result],
    folders: Sequence[Path],
    of_folders: dict[str, FolderResult],
) -> dict[str, dict[str, float]]:
    """`geometric_means` of files like these: each that lies in a folder gives way to any of it.

    The median of the draws, and how often they reach what is aimed at.
    """
    choices: list[list[tuple[float, float]]] = []
    for file in files:
        folder = folder_of(file, folders)
        if folder is None:
            choices.append([(results[file.name].over_best_peer, results[file.name].over_pyav)])
        else:
            each = of_folders[folder.name]
            choices.append([*zip(each.each_over_best_peer, each.each_over_pyav, strict=True)])
    rng = random.Random(0)
    means = []
    for _ in range(NUM_DRAWS):
        over_best_peer, over_pyav = zip(*map(rng.choice, choices), strict=True)
        means.append(
            (statistics.geometric_mean(over_best_peer), statistics.geometric_mean(over_pyav))
        )
    return {
        name: {
            "median": statistics.median(values),
            "aim": aim,
            "reached": sum(value >= aim for value in values) / NUM_DRAWS,
        }
        for (name, aim), values in zip(AIMS.items(), zip(*means, strict=True), strict=True)
    }


def measure_folder(folder: Path, readers: dict[str, Reader], rounds: int) -> FolderResult:
    over_best_peer, over_pyav = [], []
    not_exact = dict.fromkeys(readers, 0)
    for path in find_videos([folder]):
        exact = exact_readers(path, readers)
        for name in readers.keys() - exact.keys():
            not_exact[name] += 1
        compared = compare(measure(path, exact, rounds))
        over_best_peer.append(compared[0])
        over_pyav.append(compared[1])
    return FolderResult(over_best_peer, over_pyav, not_exact)


def as_table(results: dict[str, Result]) -> str:
    """Clips per second in Markdown, a file a row."""
    names = list(READERS)
    lines = [
        "| file | " + " | ".join(names) + " | over the best peer | over PyAV | FFmpeg's share |",
        "|---" * (len(names) + 4) + "|",
    ]
    for file, result in results.items():
        rates = " | ".join(f"{result.clips_per_second.get(name, math.nan):.1f}" for name in names)
        lines.append(
            f"| `{file}` | {rates} | {result.over_best_peer:.2f} | {result.over_pyav:.2f} "
            f"| {result.ffmpegs_share:.0%} |"
        )
    return "\n".join(lines) + "\n"


def folders_as_table(results: dict[str, FolderResult]) -> str:
    """In Markdown, a folder a row."""
    lines = [
        "| folder | videos | over the best peer | the least | below 0.97 | over PyAV "
        "| not the frames asked for |",
        "|---" * 7 + "|",
    ]
    for folder, result in results.items():
        others = ", ".join(f"{name} {num}" for name, num in result.num_not_exact.items() if num)
        lines.append(
            f"| `{folder}` | {len(result.each_over_pyav)} | {result.over_best_peer:.2f} "
            f"| {min(result.each_over_best_peer):.2f} "
            f"| {sum(ratio < LEVEL for ratio in result.each_over_best_peer)} "
            f"| {result.over_pyav:.2f} | {others or 'none'} |"
        )
    return "\n".join(lines) + "\n"


def exact_readers(path: Path, readers: dict[str, Reader]) -> dict[str, Reader]:
    """Those that return the frames asked for: the others are not compared on this file."""
    exact = {}
    for name, reader in readers.items():
        differences = []
        for seed in range(3):
            expected = read_with_pyav(path, random_segments(seed))
            try:
                frames = reader(path, random_segments(seed))
            except Exception:  # of whatever kind the peers have
                frames = np.empty(0)
            same_shape = frames.shape == expected.shape
            difference = np.abs(frames.astype(int) - expected).mean() if same_shape else math.inf
            differences.append(difference)
        if max(differences) <= MAX_DIFFERENCE:
            exact[name] = reader
    return exact


def measure(path: Path, readers: dict[str, Reader], rounds: int) -> dict[str, list[float]]:
    """The seconds of CPU time that every reader took in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    order = list(readers)
    for number in range(rounds):
        # What ran before leaves its bytes in the caches: nobody always comes after the same one.
        random.Random(number).shuffle(order)
        for name in order:
            start = time.process_time()
            readers[name](path, random_segments(number))
            seconds[name].append(time.process_time() - start)
    return seconds


def ffmpegs_share(path: Path, rounds: int) -> float:
    """The median over the rounds' clips of FFmpeg's share of stmnet's time."""
    spent = 0.0
    decode, add = stmnet_reader._decode_group, RgbImages.add

    def decode_timed(*group: Any, **wanted: Any) -> Iterator[Any]:
        nonlocal spent
        frames = decode(*group, **wanted)
        while True:
            start = time.process_time()
            frame = next(frames, None)
            spent += time.process_time() - start
            if frame is None:
                return
            yield frame

    def add_timed(images: Any, frame: Any) -> None:
        nonlocal spent
        start = time.process_time()
        add(images, frame)
        spent += time.process_time() - start

    shares = []
    with (
        patch.object(stmnet_reader, "_decode_group", decode_timed),
        patch.object(RgbImages, "add", add_timed),
    ):
        for number in range(rounds):
            spent, start = 0.0, time.process_time()
            read_with_stmnet(path, random_segments(number))
            shares.append(spent / (time.process_time() - start))
    return statistics.median(shares)


def median_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """By round, so that a machine whose speed changes slows both."""
    return statistics.median(a / b for a, b in zip(first, second, strict=True))


def random_segments(seed: int) -> Choose:
    """One random frame of each of 8 equal segments, the same for every reader."""
    rng = random.Random(seed)

    def choose(num_frames: int) -> list[int]:
        bounds = [num_frames * k // NUM_SEGMENTS for k in range(NUM_SEGMENTS + 1)]
        return [rng.randrange(start, max(end, start + 1)) for start, end in pairwise(bounds)]

    return choose


def find_version(reader: str) -> str | None:
    try:
        return version(READERS[reader][0])
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
