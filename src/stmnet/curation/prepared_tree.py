"""The folders of `prepare`: what is in the original, and what the copy keeps beside the videos."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from stmnet.datasets.exclusions import name_as_read, name_as_written, printable
from stmnet.errors import DatasetError
from stmnet.files import atomic_write, atomic_write_text
from stmnet.locks import LOCK
from stmnet.video.codings import CODINGS
from stmnet.video.shrink import IMAGE_SUFFIXES
from stmnet.video.transcode import FORMAT_VERSION, Shape
from stmnet.video.video_paths import VIDEO_SUFFIXES

LIST_SUFFIXES = frozenset({".csv", ".json", ".txt"})
SETTINGS_FILE = "prepare.json"
UNREADABLE_FILE = "unreadable.txt"
UNFINISHED = ".*.partial"


@dataclass(frozen=True)
class Plan:
    """What is under a root, sorted, relative to it. `videos` are files and folders of frames;
    `left_out` is what is neither a video nor a list.
    """

    root: Path
    videos: tuple[Path, ...]
    lists: tuple[Path, ...]
    left_out: tuple[Path, ...]


def survey(root: Path, out: Path) -> Plan:
    """Look through `root`. A folder of frames holds images, but no video and no other folder.

    GIFs are copied as they are: beside images as files of their folder, else as videos.

    Raises `DatasetError` for a root without any video, or if one folder lies in the other.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder. Set root to the data set's.")
    here, there = root.resolve(), out.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise DatasetError(f"{out}: lies in {root} or holds it. Choose a folder beside it.")
    videos: list[Path] = []
    lists: list[Path] = []
    left_out: list[Path] = []
    for folder, has_folders, files in _folders(root):
        name = folder.relative_to(root)
        kinds = {Path(file).suffix.lower() for file in files}
        if name.parts and not has_folders and kinds & IMAGE_SUFFIXES and not kinds & set(CODINGS):
            videos.append(name)
            continue
        for file in files:
            suffix = Path(file).suffix.lower()
            if suffix in VIDEO_SUFFIXES:
                videos.append(name / file)
            elif suffix not in LIST_SUFFIXES:
                left_out.append(name / file)
            elif str(name / file) not in (SETTINGS_FILE, UNREADABLE_FILE):
                lists.append(name / file)
    if not videos:
        raise DatasetError(
            f"{root}: no video ({', '.join(sorted(VIDEO_SUFFIXES))}) and no folder of frames "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}) in it. Set root to the data set's folder."
        )
    return Plan(root, tuple(sorted(videos)), tuple(sorted(lists)), tuple(sorted(left_out)))


def _folders(root: Path) -> Iterator[tuple[Path, bool, list[str]]]:
    """Every folder below, with whether it has folders, and its files; nothing that is hidden."""
    been_in: set[tuple[int, int]] = set()
    # Data sets are often laid out with links to other disks; links may also lead in circles.
    for folder, folders, files in os.walk(root, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in been_in:
            folders.clear()
            continue
        been_in.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), bool(folders), [name for name in files if not name.startswith(".")]


def size_in_bytes(path: Path) -> int:
    """Of a file, or of the files in a folder."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
    return path.stat().st_size


# ---- beside the videos ----


def claim(out: Path, dataset: str, shape: Shape, *, only_look: bool = False) -> None:
    """Make sure that `out` is the copy with these settings; write them there if it is new.

    Raises `DatasetError` if it holds other data, the copy with other settings, or none that can be
    read.
    """
    settings = {"version": FORMAT_VERSION, "dataset": dataset, **asdict(shape)}
    path = out / SETTINGS_FILE
    if not os.path.lexists(path):
        if out.is_dir() and any(map(_is_data, out.iterdir())):
            raise DatasetError(
                f"{out}: holds data but no {SETTINGS_FILE}, so it may be another's. "
                "Delete that folder or choose another."
            )
        if not only_look:
            atomic_write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    found = _read_settings(path)
    differing = [name for name in settings if found.get(name) != settings[name]]
    if differing:
        was = ", ".join(f"{name} {found.get(name)!r}" for name in differing)
        asked = ", ".join(f"{name} {settings[name]!r}" for name in differing)
        raise DatasetError(
            f"{out}: was begun with {was}; asked for: {asked}. "
            "Ask for the same, choose another folder, or delete that one."
        )


def _is_data(path: Path) -> bool:
    return path.name != LOCK and not path.match(UNFINISHED)


def _read_settings(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        wrong = e.strerror if isinstance(e, OSError) else "not JSON"
    else:
        if isinstance(found, dict):
            return found
        wrong = f"{type(found).__name__} instead of an object"
    raise DatasetError(
        f"{path}: not the settings that prepare writes ({wrong}), so it is unknown how the videos "
        "beside it were made. Delete that folder or choose another."
    )


def copy_lists(plan: Plan, out: Path) -> None:
    """Copy the lists that are not there yet."""
    for name in plan.lists:
        if not (out / name).exists():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(out / name) as unfinished:
                shutil.copyfile(plan.root / name, unfinished)


def remove_unfinished(out: Path) -> None:
    """Delete what processes that were killed left half written."""
    for folder, folders, files in os.walk(out):
        for name in (*folders, *files):
            path = Path(folder, name)
            if not path.match(UNFINISHED):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        folders[:] = [name for name in folders if not Path(name).match(UNFINISHED)]


def note_damage(out: Path, name: Path, damage: str) -> None:
    """Note at once, in a line of its own, what is wrong with a video that is written all the same.

    The process may be killed right after, and its caller too.
    """
    # One short write to a file that is open for appending is not torn apart by others.
    with (out / UNREADABLE_FILE).open("a", encoding="utf-8") as file:
        file.write(_line(name, damage))


def write_unreadable(out: Path, unreadable: dict[Path, str]) -> dict[Path, str]:
    """Write the list of videos that are not there or not whole, and return it.

    `unreadable` are this run's; damage that was noted is taken over, for this run or an earlier
    one wrote what could be decoded. The list has the form of those that `stmnet check` writes.
    """
    path = out / UNREADABLE_FILE
    noted = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
            written, _, reason = line.partition("\t")
            name = name_as_read(written)
            if reason and (out / name).exists():
                noted[Path(name)] = reason
    everything = dict(sorted((noted | unreadable).items()))
    if everything:
        atomic_write_text(path, "".join(_line(name, reason) for name, reason in everything.items()))
    else:
        path.unlink(missing_ok=True)
    return everything


def _line(name: Path, reason: str) -> str:
    return printable(f"{name_as_written(name.as_posix())}\t{' '.join(reason.split())}\n")
