"""`stmnet generate`: data sets that stmnet makes itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stmnet.cli.arguments import Verbs, add_verb, path, positive_int, seed_int
from stmnet.errors import escaped

if TYPE_CHECKING:
    from stmnet.motion.generate import SplitSizes


def add_parser(verbs: Verbs) -> None:
    """Its arguments."""
    verb = add_verb(
        verbs,
        "generate",
        run,
        "Generate the motion set: 12 actions that differ in motion only.",
        examples=(
            "stmnet generate motion --out motion   # 2,880 clips, as the demo trains on",
            "stmnet generate motion --out tiny --train 2 --validation 1 --test 1 --seed 7",
        ),
    )
    verb.add_argument("dataset", choices=("motion",), help="the data set")
    verb.add_argument("--out", type=path, required=True, metavar="DIR", help="folder to write")
    verb.add_argument(
        "--seed", type=seed_int, default=0, metavar="N", help="seed of the clips (default 0)"
    )
    for split, num_clips in (("train", 180), ("validation", 10), ("test", 50)):
        verb.add_argument(
            f"--{split}",
            type=positive_int,
            metavar="N",
            help=f"{split} clips of each class (default {num_clips})",
        )
    verb.add_argument(
        "--processes",
        type=positive_int,
        metavar="N",
        help="worker processes (default: one for each CPU)",
    )


def run(arguments: argparse.Namespace) -> int:
    """`stmnet generate motion --out DIR`."""
    from stmnet.motion.generate import SplitSizes

    sizes = {split: getattr(arguments, split) for split in ("train", "validation", "test")}
    given = {split: size for split, size in sizes.items() if size is not None}
    generate_with_progress(
        arguments.out,
        seed=arguments.seed,
        clips_per_class=SplitSizes(**given),
        processes=arguments.processes,
    )
    print(f"data  {escaped(str(arguments.out))}")
    return 0


def generate_with_progress(
    root: Path, *, seed: int, clips_per_class: SplitSizes, processes: int | None = None
) -> None:
    """Generate the motion set under `root`, with its progress on stderr."""
    from stmnet.cli.progress import ProgressBar
    from stmnet.motion.generate import generate

    with ProgressBar("clips") as progress:
        generate(
            root,
            seed=seed,
            clips_per_class=clips_per_class,
            processes=processes,
            on_clip=progress.show,
        )
