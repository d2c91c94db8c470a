"""CPU seconds to parse each published list under a folder of annotations: no disk, no videos.

    python benchmarks/lists.py ANNOTATIONS [--json]

ANNOTATIONS holds ucf101/, hmdb51/, ssv2/, jester/ and so on; a set that is not there is left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stmnet.datasets import hmdb51, kinetics, something, ucf101
from stmnet.datasets.lists import ids_of, parse_labels, parse_semicolons, read_text

REPEATS = 3

Parse = Callable[[], Sequence[object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rows = []
    for path, parse in jobs(arguments.annotations):
        seconds, count = measure(parse)
        name = path.relative_to(arguments.annotations).as_posix()
        rows.append({"list": name, "entries": count, "cpu_seconds": round(seconds, 4)})
        if not arguments.json:
            print(f"{name:52} {count:>8,} entries  {seconds:8.4f} s")
    if arguments.json:
        print(json.dumps({"lists": rows}, indent=1))


def measure(parse: Parse) -> tuple[float, int]:
    """The least CPU seconds of a few passes, and the entries."""
    times = []
    count = 0
    for _ in range(REPEATS):
        start = time.process_time()
        count = len(parse())
        times.append(time.process_time() - start)
    return min(times), count


def jobs(annotations: Path) -> Iterator[tuple[Path, Parse]]:
    """Every list that is there, and how to parse it, the reading of its text included."""
    for path in sorted((annotations / "ucf101").glob("*list0*.txt")):
        index = path.with_name("classInd.txt")
        names = ucf101.parse_class_index(read_text(index), index)
        yield path, partial(_parse, ucf101.parse_ucf101, path, label_names=names)
    for path in sorted((annotations / "hmdb51").glob("*_rgb_split?.txt")):
        yield path, partial(_parse, hmdb51.parse_tsn, path)
    for name in ("ssv1", "jester"):
        yield from _labeled(annotations / name, ".csv", parse_labels, parse_semicolons)
    yield from _labeled(
        annotations / "ssv2", ".json", something.parse_label_ids, something.parse_v2
    )
    for path in sorted((annotations / "kinetics").glob("*.csv")):
        yield path, partial(_parse, kinetics.parse_rows, path)


def _labeled(
    folder: Path, suffix: str, parse_labels: Callable[..., Sequence[str]], parse: Callable[..., Any]
) -> Iterator[tuple[Path, Parse]]:
    """The lists of a folder that need the list of labels beside them."""
    for labels in sorted(folder.glob(f"*labels{suffix}")):
        ids = ids_of(parse_labels(read_text(labels), labels))
        for path in sorted(folder.glob(f"*{suffix}")):
            if path != labels:
                is_test = path.stem.endswith("test")
                yield path, partial(_parse, parse, path, ids=ids, unlabeled=is_test)


def _parse(parse: Callable[..., Sequence[object]], path: Path, **options: Any) -> Sequence[object]:
    return parse(read_text(path), path, **options)


if __name__ == "__main__":
    main()
