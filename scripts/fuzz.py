"""Read mutated videos: every one must give frames or one typed error, soon and in little memory.

    python scripts/fuzz.py [--files 2000] [--seed 0]

Small files of four codecs are made, and mutated by a generator with a fixed seed: bits flipped, the
end cut off, a piece in the middle taken out, the header replaced by another file's. Each goes
through `read_frames` in a worker process, and all of them through `stmnet check --decode`. A worker
that dies, needs more than ten seconds for a file or more than 1 GB of memory is a failure; so is an
exception that is not stmnet's. Prints a summary, and exits with 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

import av
import numpy as np

NUM_FRAMES = 40
MAX_SECONDS = 10
MAX_MEBIBYTES = 1000
SOURCES = {
    # without the macroblock tree, whose bytes differ from one encoding to the next
    "h264.mp4": (
        "libx264",
        {"bf": "2", "g": "10", "movflags": "faststart", "x264-params": "mbtree=0"},
    ),
    "hevc.mkv": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=0:keyint=10"}),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "g": "10"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2", "g": "10"}),
}
Mutation = Callable[[bytearray, list[bytes], random.Random], bytearray]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work()

    with tempfile.TemporaryDirectory() as folder:
        paths = mutate(Path(folder), arguments.files, arguments.seed)
        outcomes, slowest, mebibytes = read_all(paths)
        checked = check_all(Path(folder), len(paths))
    print(f"{len(paths)} mutated files, seed {arguments.seed}")
    for outcome, count in sorted(outcomes.items()):
        print(f"  {outcome:40} {count:5}")
    print(f"  slowest file {slowest:.2f} s, most memory {mebibytes:.0f} MiB")
    print(f"stmnet check --decode  {checked}")
    failures = sum(count for outcome, count in outcomes.items() if outcome.startswith("FAILED"))
    return 1 if failures or checked.startswith("FAILED") else 0


def mutate(folder: Path, num_files: int, seed: int) -> list[Path]:
    """Write the mutated files; their names tell the source and the mutation."""
    sources = {
        name: encode(folder / name, codec, options) for name, (codec, options) in SOURCES.items()
    }
    contents = {name: path.read_bytes() for name, path in sources.items()}
    for path in sources.values():
        path.unlink()
    rng = random.Random(seed)
    (folder / "clips").mkdir()
    paths = []
    for number in range(num_files):
        name = rng.choice(list(contents))
        mutation = rng.choice(list(MUTATIONS))
        others = [data for other, data in contents.items() if other != name]
        mutated = MUTATIONS[mutation](bytearray(contents[name]), others, rng)
        path = folder / "clips" / f"{number:05d}_{mutation}_{name}"
        path.write_bytes(mutated)
        paths.append(path)
    return paths


def flip_bits(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    for _n in range(rng.choice([1, 4, 16, 64])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def flip_bits_of_header(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    for _n in range(rng.choice([1, 4, 16])):
        data[rng.randrange(min(1000, len(data)))] ^= 1 << rng.randrange(8)
    return data


def cut_end(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    return data[: rng.randrange(1, len(data))]


def take_out(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, len(data) // 4)]
    return data


def splice_header(data: bytearray, others: list[bytes], rng: random.Random) -> bytearray:
    other = rng.choice(others)
    length = rng.randrange(8, 2000)
    return bytearray(other[:length]) + data[rng.randrange(length) :]


MUTATIONS: dict[str, Mutation] = {
    "bits": flip_bits,
    "header-bits": flip_bits_of_header,
    "cut": cut_end,
    "gap": take_out,
    "spliced": splice_header,
}


def encode(path: Path, codec: str, options: dict[str, str]) -> Path:
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 255, (8, 24, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    # The same bytes each time: no random numbers of segments, one thread.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=12, options=options)
        stream.codec_context.thread_count = 1
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(NUM_FRAMES):
            image = np.ascontiguousarray(ground[:, number : number + 96])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def read_all(paths: list[Path]) -> tuple[Counter[str], float, float]:
    """Outcomes by kind, the slowest file's seconds, and the most memory of a worker."""
    outcomes: Counter[str] = Counter()
    slowest = mebibytes = 0.0
    worker = start_worker()
    with ThreadPoolExecutor(1) as patience:
        for path in paths:
            start = time.monotonic()
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(f"{path}\n")
            worker.stdin.flush()
            try:
                line = patience.submit(worker.stdout.readline).result(timeout=MAX_SECONDS)
            except FutureTimeoutError:
                worker.kill()
                line = json.dumps({"outcome": f"FAILED: over {MAX_SECONDS} s: {path.name}"})
            if not line:
                line = json.dumps({"outcome": f"FAILED: died: {path.name}"})
            answer = json.loads(line)
            mebibytes = max(mebibytes, answer.get("mebibytes", 0.0))
            if answer.get("mebibytes", 0.0) > MAX_MEBIBYTES:
                answer["outcome"] = f"FAILED: over {MAX_MEBIBYTES} MiB: {path.name}"
            outcomes[answer["outcome"]] += 1
            slowest = max(slowest, time.monotonic() - start)
            if answer["outcome"].startswith("FAILED"):
                worker.kill()
                worker.wait()
                worker = start_worker()
    worker.kill()
    worker.wait()
    return outcomes, slowest, mebibytes


def start_worker() -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, __file__, "--worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert worker.stdout is not None
    worker.stdout.readline()  # it has imported what it needs
    return worker


def work() -> int:
    """Read the files named on stdin, and answer each with a line of JSON."""
    import torch  # noqa: F401  # read_frames would, within the first file's seconds

    from stmnet.errors import StmnetError
    from stmnet.video.frames import probe, read_frames

    print("ready", flush=True)
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        try:
            num_frames = probe(path).num_frames
            frames = read_frames(path, [0, num_frames // 2, num_frames - 1], square_pixels=True)
            outcome = "frames" if frames.shape[0] == 3 else f"FAILED: {tuple(frames.shape)}"
        except StmnetError as error:
            text = str(error)
            is_one_line = "\n" not in text and str(path) in text
            outcome = type(error).__name__ if is_one_line else f"FAILED: message {text!r}"
        except Exception as error:
            outcome = f"FAILED: {type(error).__name__}: {error}: {path.name}"
        kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"outcome": outcome, "mebibytes": kibibytes / 1024}), flush=True)
    return 0


def check_all(folder: Path, num_files: int) -> str:
    """One line on `stmnet check` of all files, as one class of a folder data set."""
    start = time.monotonic()
    stmnet = Path(sys.executable).with_name("stmnet")
    command = [str(stmnet), "check", "folder", "--root", str(folder), "--decode", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        return f"FAILED: exit code {done.returncode}: {done.stderr.strip()[-300:]}"
    splits = json.loads(done.stdout)["splits"].values()
    if sum(split["present"] for split in splits) != num_files:
        return "FAILED: not every file is accounted for"
    kinds = ("unreadable", "truncated", "short")
    found = ", ".join(f"{sum(len(split[kind]) for split in splits)} {kind}" for kind in kinds)
    return f"{num_files} files in {time.monotonic() - start:.0f} s: {found}"


if __name__ == "__main__":
    sys.exit(main())
