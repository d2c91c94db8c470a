"""What is written is whole or not there, and takes no other thing's place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stmnet.files import atomic_write


def write(path: Path, text: str) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(text)


def test_what_stood_there_stays_until_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write(path, "first")

    def write_half() -> None:
        with atomic_write(path) as unfinished:
            unfinished.write_text("sec")
            assert path.read_text() == "first"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "first"}
    write(path, "second")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "second"}


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link in a circle"])
def test_only_regular_files_are_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/null")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(path.name)
    before = path.lstat()
    with pytest.raises(OSError) as raised:  # noqa: PT011  the words are what matters
        write(path, "text")
    assert raised.value.strerror in (
        "Not a regular file",
        "Is a directory",
        "Too many levels of symbolic links",
    )
    assert path.lstat() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("there", [True, False])
def test_the_file_that_a_link_names_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    if there:
        (tmp_path / "disk/a.txt").write_text("before")
    link = tmp_path / "link"
    link.symlink_to("disk/a.txt")
    write(link, "after")
    assert link.is_symlink()
    assert (tmp_path / "disk/a.txt").read_text() == "after"
    assert {p.name for p in tmp_path.rglob("*")} == {"disk", "a.txt", "link"}
