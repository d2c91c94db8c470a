"""What a key frame every N frames costs in bytes and gains in speed.

    python benchmarks/intervals.py VIDEO [--rounds 25] [--docs docs]

The video is prepared with several intervals. Size is relative to the same clip, prepared the same
but for the encoder's default interval of 250. Speed is that of opening a file and reading 8 random
segment frames with stmnet, relative to plain PyAV (decode from the start to the last wanted frame)
on the video as it is. One process on one core, the files take turns, medians of CPU time.

`--docs` writes the JSON and the figure there, and the table into benchmarks/prepared_files.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import torch
from decode import random_segments, read_with_pyav, read_with_stmnet
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pages import put_table, save_figure, save_json

from stmnet.video.codings import DEFAULT_INTERVALS
from stmnet.video.transcode import Shape, transcode

DEFAULT_OF_THE_ENCODER = 250
INTERVALS = (DEFAULT_OF_THE_ENCODER, 32, 16, 12, 8, 6, 4, 2, 1)
MIN_SPEED, MAX_SIZE = 6.0, 2.0
INK, QUIET, ACCENT, ZONE = "#1f2937", "#6b7280", "#c2410c", "#e7f3ec"


@dataclass(frozen=True)
class Point:
    """An interval: the file's bytes, relative to interval 250's, and the speed to PyAV's."""

    interval: int
    num_bytes: int
    size: float
    speed: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--docs", type=Path, help="write the figure, the JSON and the table here")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)

    video = arguments.video
    with tempfile.TemporaryDirectory() as folder:
        files = {k: Path(folder) / f"{k}{video.suffix}" for k in INTERVALS}
        for interval, file in files.items():
            transcode(video, file, Shape(key_frame_interval=interval))
        plain, seconds = measure(video, files, arguments.rounds)
        smallest = files[DEFAULT_OF_THE_ENCODER].stat().st_size
        points = [
            Point(k, size, size / smallest, plain / seconds[k])
            for k, size in ((k, file.stat().st_size) for k, file in files.items())
        ]
        frugal = bytes_with_defaults(video, files[1], Path(folder) / "frugal.mp4")
    chosen = DEFAULT_INTERVALS[video.suffix.lower()]
    table = as_table(points, chosen)
    print(table, end="")
    print(f"plain PyAV on {video.name}: {1 / plain:.1f} clips/s, {video.stat().st_size:,} bytes")
    print(f"x264 with all defaults, crf 20: {frugal:,} bytes")
    if arguments.docs:
        content = {
            "rounds": arguments.rounds,
            "raw_bytes": video.stat().st_size,
            "plain_pyav_clips_per_second": 1 / plain,
            "bytes_with_x264_defaults": frugal,
            "points": [asdict(point) for point in points],
        }
        figures = arguments.docs / "figures"
        command = f"python benchmarks/intervals.py {video.name}"
        save_json(figures / "key_frame_interval.json", command, content)
        save_figure(figures / "key_frame_interval.svg", draw(points, chosen))
        put_table(arguments.docs / "benchmarks" / "prepared_files.md", "intervals.py", table)


def measure(video: Path, files: dict[int, Path], rounds: int) -> tuple[float, dict[int, float]]:
    """Median CPU seconds a clip of plain PyAV on the video, and of stmnet on every file."""
    plain: list[float] = []
    seconds: dict[int, list[float]] = {interval: [] for interval in files}
    for number in range(rounds):
        choose = random_segments(number)
        start = time.process_time()
        read_with_pyav(video, choose)
        plain.append(time.process_time() - start)
        for interval, file in files.items():
            start = time.process_time()
            read_with_stmnet(file, choose)
            seconds[interval].append(time.process_time() - start)
    return statistics.median(plain), {k: statistics.median(times) for k, times in seconds.items()}


def bytes_with_defaults(video: Path, like: Path, target: Path) -> int:
    """The size of the video, of the size of `like`, if x264 is told nothing but the quality."""
    with av.open(str(like)) as container:
        width, height = (getattr(container.streams.video[0], side) for side in ("width", "height"))
    with av.open(str(video)) as frames, av.open(str(target), "w") as container:
        rate = frames.streams.video[0].average_rate
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(frames.decode(video=0)):
            resized = frame.reformat(width, height, "yuv420p", interpolation="BICUBIC")
            # No times: some files state theirs out of order.
            resized.pts, resized.time_base, resized.pict_type = number, 1 / rate, 0
            container.mux(stream.encode(resized))
        container.mux(stream.encode(None))
    return target.stat().st_size


def as_table(points: list[Point], chosen: int) -> str:
    rows = ["| key frame every | bytes | size | speed |", "|---|---|---|---|"]
    for point in points:
        name = f"**{point.interval}**" if point.interval == chosen else f"{point.interval}"
        rows.append(f"| {name} | {point.num_bytes:,} | {point.size:.2f} | {point.speed:.1f} |")
    return "\n".join(rows) + "\n"


def draw(points: list[Point], chosen: int) -> Figure:
    """Speed over size, a point an interval; the corner aimed for is shaded."""
    figure = Figure(figsize=(6.4, 3.7), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    top = 1.12 * max(point.speed for point in points)
    right = max(point.size for point in points) + 0.3
    axes.add_patch(
        Rectangle((0.85, MIN_SPEED), MAX_SIZE - 0.85, top - MIN_SPEED, color=ZONE, linewidth=0)
    )
    axes.text(
        0.9, top * 0.985, "6 times as quick,\nat most twice the bytes", color="#2f6b4a", va="top"
    )
    axes.plot([p.size for p in points], [p.speed for p in points], color=QUIET, linewidth=1.4)
    for point in points:
        is_chosen = point.interval == chosen
        axes.plot(
            point.size,
            point.speed,
            "o",
            color=ACCENT if is_chosen else INK,
            ms=8 if is_chosen else 5,
        )
        axes.annotate(
            f"{point.interval} (default)" if is_chosen else f"{point.interval}",
            (point.size, point.speed),
            xytext=(9, -9),
            textcoords="offset points",
            color=ACCENT if is_chosen else INK,
            weight="bold" if is_chosen else "normal",
        )
    axes.set(xlim=(0.85, right), ylim=(0, top))
    axes.set_xlabel("file size, relative to a key frame every 250", color=INK)
    axes.set_ylabel("clips/s, relative to plain PyAV\non the video as it was", color=INK)
    axes.tick_params(length=0, labelcolor=QUIET)
    axes.grid(color="#e5e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
