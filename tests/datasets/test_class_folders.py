"""A user's own data set: folders of classes and CSV lists, divided the same way every time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from stmnet.datasets.class_folders import ListedPart, held_out, read_folder
from stmnet.datasets.clip_list import UNLABELED, Clip
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(root: Path, split: str) -> set[str]:
    clips = read_split("folder", root, split).clips
    return {clip.video.relative_to(root).as_posix() for clip in clips}


def test_a_gif_is_a_clip_of_its_class_and_what_a_list_names(tmp_path: Path) -> None:
    touch(tmp_path / "set", "wave/a.gif", "wave/b.GIF", "jump/c.mp4", "jump/still.jpg")
    assert names(tmp_path / "set", "train") | names(tmp_path / "set", "validation") == {
        "wave/a.gif", "wave/b.GIF", "jump/c.mp4"
    }  # fmt: skip
    # Lists name videos with their suffix or without.
    touch(tmp_path / "listed", "a.gif", "b.mp4", "c.gif")
    (tmp_path / "listed/all.csv").write_text("a,x\nb,x\nc.gif,x\n")
    listed = names(tmp_path / "listed", "train") | names(tmp_path / "listed", "validation")
    assert listed == {"a.gif", "b.mp4", "c.gif"}


def test_a_folder_a_class(tmp_path: Path) -> None:
    touch(tmp_path, *[f"{label}/{n}.mp4" for label in ("wave", "jump") for n in range(10)])
    touch(tmp_path, "jump/frames/00001.jpg", "jump/notes.txt", "jump/.hidden.mp4", "readme.md")
    train, validation = names(tmp_path, "train"), names(tmp_path, "validation")
    assert len(train | validation) == 21
    assert not train & validation
    assert "jump/frames" in train | validation
    for label in ("wave", "jump"):
        videos = {name for name in train | validation if name.startswith(label)}
        by_hash = sorted(videos, key=digest)
        assert {name for name in validation if name.startswith(label)} == set(by_hash[:2])
    assert names(tmp_path, "test") == validation
    clip_list = read_split("folder", tmp_path, "train")
    assert clip_list.label_names == ("jump", "wave")
    assert all(c.video.parent.name == clip_list.label_names[c.label] for c in clip_list.clips)


def test_small_classes_keep_a_video_to_learn_from() -> None:
    rows = [ListedPart("a/1", "a"), ListedPart("a/2", "a"), ListedPart("b/1", "b")]
    assert len(held_out(rows)) == 1
    assert not held_out(rows[2:])


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_folders_of_splits(tmp_path: Path, validation: str) -> None:
    touch(tmp_path, "train/wave/1.mp4", "train/jump/2.avi", f"{validation}/wave/3.webm")
    assert names(tmp_path, "train") == {"train/wave/1.mp4", "train/jump/2.avi"}
    clip_list = read_split("folder", tmp_path, "validation")
    assert clip_list.clips == (Clip(tmp_path / validation / "wave" / "3.webm", 1),)
    assert clip_list.label_names == ("jump", "wave")


def test_train_may_be_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.mp4", "bus/1.mp4")
    assert names(tmp_path, "train") == {"train/1.mp4", "bus/1.mp4"}
    touch(tmp_path, "train/2/00001.jpg", "training/1.mp4", "trainer/1.mp4")
    clip_list = read_split("folder", tmp_path, "train")
    assert clip_list.label_names == ("bus", "train", "trainer", "training")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["train.csv"], "train.csv"),
        (["train.csv", "valid.csv"], "train.csv, valid.csv"),
        (["train.csv", "test.csv", "valid.csv"], "test.csv, train.csv, valid.csv"),
        (["train.csv", "val.csv", "validation.csv"], "train.csv, val.csv, validation.csv"),
        (["a.csv", "b.csv"], "a.csv, b.csv"),
        (["train/wave/1.mp4", "train/jump/1.mp4"], "train/"),
        (["train/wave/1/00001.jpg", "train/jump/1/00001.jpg", "notes/a.txt"], "train/"),
        (["train/wave/1.mp4", "valid/wave/1.mp4"], "train/, valid/"),
        (["train/wave/1.mp4", "test/wave/1.mp4", "dev/wave/1.mp4"], "dev/, test/, train/"),
    ],
)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_what_may_be_meant_for_validation_is_not_passed_over(
    tmp_path: Path, files: list[str], found: str, split: str
) -> None:
    touch(tmp_path, *files)
    for path in tmp_path.glob("*.csv"):
        # Folders of the videos are there, which were once taken for classes.
        touch(tmp_path, "videos/a.mp4", "videos/b.mp4")
        path.write_text("videos/a.mp4,wave\nvideos/b.mp4,jump\n")
    with pytest.raises(DatasetError) as error:
        read_split("folder", tmp_path, split)
    ending = "/" if "/" in found else ".csv"
    expected = f"train{ending} with validation{ending} (or val{ending}), test{ending} or both. "
    assert str(error.value).startswith(f"{tmp_path}: found {found}; expected {expected}")
    assert "\n" not in str(error.value)


def test_tables_beside_folders_of_all_splits_are_no_lists(tmp_path: Path) -> None:
    touch(tmp_path, "train/wave/1.mp4", "val/wave/2.mp4")
    for name in ("labels.csv", "notes.csv"):
        (tmp_path / name).write_text("no,list\n")
        assert names(tmp_path, "train") == {"train/wave/1.mp4"}
        assert names(tmp_path, "validation") == {"val/wave/2.mp4"}


def test_a_folder_of_the_system_is_no_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "train/wave/1.mp4", "val/wave/2.mp4", "lost+found/1")
    scan = os.scandir

    def refuse_one(path: Path) -> object:
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse_one)
    assert names(tmp_path, "train") == {"train/wave/1.mp4"}


@pytest.mark.parametrize("name", ["train.csv", "train"])
def test_a_training_part_alone_is_divided_where_it_is_the_root(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *[f"train/wave/{number}.mp4" for number in range(10)])
    if name == "train.csv":
        (tmp_path / name).write_text("".join(f"train/wave/{n}.mp4,wave\n" for n in range(10)))
    parts = [read_split("folder", tmp_path / name, s).clips for s in ("train", "validation")]
    assert [len(clips) for clips in parts] == [8, 2]
    assert {clip.video for clips in parts for clip in clips} == set(tmp_path.glob("train/*/*"))


def test_lists_beside_whole_parts_are_none_of_them(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    for name, video in {"train": "a", "validation": "b", "labels": "c"}.items():
        (tmp_path / f"{name}.csv").write_text(f"{video}.mp4,wave\n")
    assert names(tmp_path, "train") == {"a.mp4"}
    assert names(tmp_path, "validation") == names(tmp_path, "test") == {"b.mp4"}


@pytest.mark.parametrize("name", ["test.csv", "test"])
def test_nothing_is_trained_on_a_test_part(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *[f"test/wave/{number}.mp4" for number in range(10)])
    if name == "test.csv":
        (tmp_path / name).write_text("".join(f"test/wave/{n}.mp4,wave\n" for n in range(10)))
    assert len(names(tmp_path, "test")) == 10
    with pytest.raises(DatasetError, match=f"{tmp_path}: no train part, only test"):
        read_split("folder", tmp_path, "train")


@pytest.mark.parametrize(
    ("content", "clip"),
    [
        ("a.mp4,wave\n", (0, None)),
        ("a.mp4,wave,5,9\n", (5, 9)),
        ("a.mp4,wave,5,\n", (5, None)),
        ("path,label,start_frame,end_frame\na.mp4,wave,5,9\n", (5, 9)),
        ("label,end_frame,video,start_frame,fps\r\nwave,9,a.mp4,5,25\r\n", (5, 9)),
        ('\ufeffvideo,label\n\n"a.mp4", wave\n', (0, None)),
    ],
)
def test_csv_lists(tmp_path: Path, content: str, clip: tuple[int, int | None]) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "train.csv").write_text(content, encoding="utf-8")
    (tmp_path / "validation.csv").write_text("a.mp4,jump\n")
    clip_list = read_split("folder", tmp_path, "train")
    assert clip_list.label_names == ("jump", "wave")
    assert clip_list.clips == (Clip(tmp_path / "a.mp4", 1, *clip),)


@pytest.mark.parametrize(
    "line",
    [
        "a.mp4",
        "a.mp4,",
        ",wave",
        "a.mp4,wave,9,5",
        "a.mp4,wave,-1,5",
        "a.mp4,wave,x,5",
        "a,b,1,2,3",
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, line: str) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "all.csv").write_text(f"a.mp4,wave\n\n{line}\n")
    with pytest.raises(DatasetError, match=r"all\.csv:3: "):
        read_split("folder", tmp_path / "all.csv", "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("video,class\na.mp4,wave\n", "a header needs `path` and `label`; found 'video,class'"),
        ("path,start_frame\na.mp4,3\n", "a header needs `path` and `label`"),
        ("name,label,start_frame\na.mp4,wave,3\n", "a header needs `path` and `label`"),
        ("filename,label\na.mp4,wave\n", "needs `path` and `label`; found 'filename,label'"),
        ("Video_Path,Class,fps\na.mp4,wave,3\n", "a header needs `path` and `label`"),
        ("id,category\na.mp4,wave\n", "a header needs `path` and `label`"),
        ("label,file\nwave,a.mp4\n", "a header needs `path` and `label`"),
        ("a.mp4;wave\n", "has no label. Put commas between the fields."),
        ("a.mp4\twave\n", "has no label. Put commas between the fields."),
    ],
)
def test_a_list_of_another_form_is_told_what_it_lacks(
    tmp_path: Path, content: str, message: str
) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "all.csv").write_text(content)
    with pytest.raises(DatasetError) as error:
        read_split("folder", tmp_path / "all.csv", "train")
    assert message in str(error.value)
    assert "all.csv:1: " in str(error.value)


@pytest.mark.parametrize("lines_after", [["c.mp4,jump"], ['c.mp4,"jump'], ["c.mp4,jump"] * 30_000])
def test_a_quote_that_is_not_closed_takes_in_no_other_line(
    tmp_path: Path, lines_after: list[str]
) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    lines = ["path,label", "a.mp4,wave", 'b.mp4,"wave', *lines_after]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"all\.csv:3: not CSV: its quotes do not match.*b\.mp4"):
        read_split("folder", tmp_path, "train")
    # `stmnet check` goes on: the other lines are read as they are.
    wrong: list[str] = []
    parts = [read_folder(tmp_path, split, wrong.append) for split in ("train", "validation")]
    num_wrong = sum('"' in line for line in lines)
    assert len(wrong) == 2 * num_wrong
    assert sum(len(part.clips) for part in parts) == len(lines) - 1 - num_wrong


def test_quotes_hold_what_a_line_may(tmp_path: Path) -> None:
    touch(tmp_path, "a, b.mp4")
    (tmp_path / "train.csv").write_text('"a, b.mp4","the ""best"" wave"\n')
    (tmp_path / "val.csv").write_text('"a, b.mp4",the "best" wave\n')
    assert read_split("folder", tmp_path, "train").label_names == ('the "best" wave',)


def test_a_clip_has_one_label(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    lines = ["a.mp4,sit,0,20", "a.mp4,stand,20,40", "b.mp4,sit", "a.mp4,sit,0,20", "b.mp4,stand"]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    with pytest.raises(DatasetError) as error:
        read_split("folder", tmp_path / "all.csv", "train")
    # Other parts of a recording have labels of their own, and the same line twice says the same.
    assert "all.csv:5: b.mp4 is 'stand' here and 'sit' in a line before" in str(error.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such folder or list"):
        read_split("folder", tmp_path / "nowhere", "train")


def test_video_is_a_label_like_any_other(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "train.csv").write_text("a.mp4,video\nb.mp4,path\nclip,target\nname,walk\n")
    (tmp_path / "test.csv").write_text("video,label\na.mp4,video\n")
    for name in ("clip", "name"):
        (tmp_path / name).mkdir()
    clip_list = read_split("folder", tmp_path, "train")
    assert clip_list.label_names == ("path", "target", "video", "walk")
    assert len(clip_list.clips) == 4
    # Also in the first line: a folder of frames may be called as columns are.
    (tmp_path / "train.csv").write_text("name,walk\na.mp4,class\n")
    assert len(read_split("folder", tmp_path, "train").clips) == 2


def test_a_test_list_may_have_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "train.csv").write_text("a.mp4,wave\n")
    (tmp_path / "test.csv").write_text("path\na.mp4\n")
    clip_list = read_split("folder", tmp_path, "test", labeled=False)
    assert clip_list.clips == (Clip(tmp_path / "a.mp4", UNLABELED),)
    assert clip_list.label_names == ("wave",)
    with pytest.raises(DatasetError, match="the test list has no labels"):
        read_split("folder", tmp_path, "test")


def test_paths_are_relative_to_the_list(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "videos/b.mp4", "elsewhere/c.mp4")
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "all.csv"
    path.write_text(f"../videos/a.mp4,x\n../videos/b.mp4,x\n{tmp_path}/elsewhere/c.mp4,y\n")
    clips = [c for s in ("train", "validation") for c in read_split("folder", path, s).clips]
    assert {clip.video.resolve() for clip in clips} == {
        tmp_path / name for name in ("videos/a.mp4", "videos/b.mp4", "elsewhere/c.mp4")
    }


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "all.csv").write_text("a.mp4,wave,0,5\nb.mp4,jump\n")
    with pytest.raises(DatasetError, match=r"the first: .*b\.mp4"):
        read_split("folder", tmp_path, "train")
    with pytest.raises(DatasetError, match="the validation list is empty"):
        read_split("folder", tmp_path, "validation")


def test_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither folders of classes nor a CSV list"):
        read_split("folder", tmp_path, "train")
    touch(tmp_path, "wave/1.mp4", "jump/1.txt")
    with pytest.raises(DatasetError, match=r"jump: no video in this class's folder"):
        read_split("folder", tmp_path, "train")


def test_parts_of_a_recording_are_excluded_one_by_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "train.csv").write_text("a.mp4,x,0,5\na.mp4,x,5,9\na.mp4,y,9,\nb.mp4,y\n")
    (tmp_path / "test.csv").write_text("a.mp4,x\n")
    exclude = tmp_path / "bad.txt"
    exclude.write_text("a.mp4\tshort\t0\t5\na.mp4\tcut\t9\t\nc.mp4\tgone\n")
    clips = read_split("folder", tmp_path, "train", exclude=exclude).clips
    assert [(clip.video.name, clip.start_frame) for clip in clips] == [("a.mp4", 5), ("b.mp4", 0)]
    exclude.write_text("a.mp4\n")
    clips = read_split("folder", tmp_path, "train", exclude=exclude).clips
    assert [clip.video.name for clip in clips] == ["b.mp4"]


def test_a_file_is_on_one_side_however_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, *[f"videos/{number}.mp4" for number in range(20)])
    (tmp_path / "linked").symlink_to(tmp_path / "videos")
    forms = ("videos/{}.mp4", "./videos/{}.mp4", "videos/{}", "videos/../videos/{}.mp4")
    forms += ("linked/{}.mp4", f"{tmp_path}/videos/{{}}.mp4")
    lines = [
        f"{form.format(number)},wave,{part},{part + 1}\n"
        for number in range(20)
        for part, form in enumerate(forms)
    ]
    (tmp_path / "all.csv").write_text("".join(lines))
    parts = [read_split("folder", tmp_path, split).clips for split in ("train", "validation")]
    assert [len(clips) for clips in parts] == [16 * len(forms), 4 * len(forms)]
    train, validation = ({clip.video.resolve() for clip in clips} for clips in parts)
    assert not train & validation
    # One way to name them gives the same split as it did, whichever way that is.
    by_hash = sorted(lines[:: len(forms)], key=lambda line: digest(line.partition(",")[0]))
    assert {path.name for path in validation} == {
        Path(line.partition(",")[0]).name for line in by_hash[:4]
    }


def test_names_that_are_not_utf8_are_divided_like_others(tmp_path: Path) -> None:
    found = [b"wave/%c.mp4" % byte for byte in range(0xE0, 0xF4)]
    touch(tmp_path, *map(os.fsdecode, found))
    by_hash = sorted(found, key=lambda name: hashlib.sha256(name).digest())
    assert names(tmp_path, "validation") == set(map(os.fsdecode, by_hash[:4]))


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def test_the_room_set(shared: Path) -> None:
    root = shared / "videos" / "room" / "segments.csv"
    lines = [line.split(",") for line in root.read_text().splitlines()[1:]]
    train, validation = (read_split("folder", root, split) for split in ("train", "validation"))
    assert train.label_names == validation.label_names == tuple(sorted({x[3] for x in lines}))
    clips = (*train.clips, *validation.clips)
    assert {
        (c.video.name, str(c.start_frame), str(c.end_frame), train.label_names[c.label])
        for c in clips
    } == {tuple(line) for line in lines}
    assert len(clips) == len(lines) == 211
    recordings = [{clip.video for clip in part.clips} for part in (train, validation)]
    assert not recordings[0] & recordings[1]
    assert all(recordings)
    # The folder with one list alone in it is the same.
    assert read_split("folder", root.parent, "train").clips == train.clips
