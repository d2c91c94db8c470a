"""Compare read_frames with a full decode by plain PyAV, on every video of some folders.

    python scripts/exact.py FOLDER... [--sets 3] [--seed 0]

Of each video, the number of frames that its packets promise is compared with the number that is
decoded, and so are the bytes of random sets of eight frames, repeated and in any order. Prints the
files that differ, and exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import av
import numpy as np

from stmnet.video.frames import probe, read_frames
from stmnet.video.video_paths import find_videos

NUM_FRAMES = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--sets", type=int, default=3, help="of frames, of each video")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    rng = random.Random(arguments.seed)
    videos = find_videos(arguments.folders)
    differing = [path for path in videos if not is_exact(path, rng, arguments.sets)]
    for path in differing:
        print(f"differs: {path}")
    print(f"{len(videos) - len(differing)} of {len(videos)} videos are exact")
    return 1 if differing else 0


def is_exact(path: Path, rng: random.Random, num_sets: int) -> bool:
    """Whether the packets' number of frames and the bytes of random frames are a full decode's."""
    num_frames = probe(path).num_frames
    sets = [[rng.randrange(num_frames) for _ in range(NUM_FRAMES)] for _ in range(num_sets)]
    wanted = {index for indices in sets for index in indices}
    decoded: dict[int, np.ndarray] = {}
    num_decoded = 0
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.best("video")):
            if num_decoded in wanted:
                decoded[num_decoded] = frame.to_ndarray(format="rgb24")
            num_decoded += 1
    return num_decoded == num_frames and all(
        np.array_equal(
            read_frames(path, indices).permute(0, 2, 3, 1).numpy(),
            np.stack([decoded[index] for index in indices]),
        )
        for indices in sets
    )


if __name__ == "__main__":
    raise SystemExit(main())
