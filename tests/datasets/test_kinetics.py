"""Kinetics-400: its csv, both ways to name a file, and the copies that miss some."""

from __future__ import annotations

from pathlib import Path

import pytest

from stmnet.datasets.kinetics import parse_rows
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError

HEADER = "label,youtube_id,time_start,time_end,split\n"
TRAIN = HEADER + (
    "riding a bike,-a_b-c_d_e1,12,22,train\n"
    '"petting animal (not cat)",0000000000A,3,13,train\n'
    "air drumming,zzzzzzzzzz9,101,111,train\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "validate.csv").write_text(HEADER + "riding a bike,vvvvvvvvvvv,0,10,validate\n")
    return tmp_path


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    ("bike", "cat", "drums"),
    [
        (
            "train/riding a bike/-a_b-c_d_e1_000012_000022.mp4",
            "train/petting animal (not cat)/0000000000A.webm",
            "train/air_drumming/zzzzzzzzzz9_000101_000111.mkv",
        ),
        (
            "videos_train/riding_a_bike/-a_b-c_d_e1.mp4",
            "videos_train/petting_animal_(not_cat)/0000000000A_000003_000013.mp4",
            "videos_train/zzzzzzzzzz9_000101_000111.MP4",
        ),
    ],
)
def test_both_namings(root: Path, bike: str, cat: str, drums: str) -> None:
    expected = [touch(root / name) for name in (bike, cat, drums)]
    clip_list = read_split("kinetics400", root, "train")
    assert [clip.video for clip in clip_list.clips] == expected
    assert clip_list.label_names == ("air drumming", "petting animal (not cat)", "riding a bike")
    assert [clip.label for clip in clip_list.clips] == [2, 1, 0]
    assert clip_list.mirrored_labels() == [0, 1, 2]


def test_another_part_of_the_same_video_is_another_clip(root: Path) -> None:
    touch(root / "train/air drumming/zzzzzzzzzz9_000055_000065.mp4")
    touch(root / "train/riding a bike/-a_b-c_d_e1.mp4")
    clip_list = read_split("kinetics400", root, "train", allow_missing=True)
    assert len(clip_list.clips) == 1
    assert clip_list.missing[1].name == "zzzzzzzzzz9_000101_000111.mp4"


def test_missing_files_are_left_out_only_if_that_is_allowed(root: Path) -> None:
    touch(root / "train/riding a bike/-a_b-c_d_e1.mp4")
    with pytest.raises(DatasetError, match="2 of the 3 videos of the train list are not there"):
        read_split("kinetics400", root, "train")
    assert len(read_split("kinetics400", root, "train", allow_missing=True).missing) == 2
    with pytest.raises(DatasetError, match="none of the 1 videos of the validation list"):
        read_split("kinetics400", root, "validation", allow_missing=True)


def test_the_test_list_counts_once_it_has_labels(root: Path) -> None:
    val = touch(root / "val/riding_a_bike/vvvvvvvvvvv.mp4")
    assert [clip.video for clip in read_split("kinetics400", root, "test").clips] == [val]
    (root / "test.csv").write_text("youtube_id,time_start,time_end,split\nttttttttttt,0,10,test\n")
    assert [clip.video for clip in read_split("kinetics400", root, "test").clips] == [val]
    (root / "test.csv").write_text(HEADER + "zumba,ttttttttttt,0,10,test\n")
    test = touch(root / "test/zumba/ttttttttttt.mp4")
    clip_list = read_split("kinetics400", root, "test")
    assert [clip.video for clip in clip_list.clips] == [test]
    # One order for all splits.
    assert clip_list.label_names == read_split("kinetics400", root, "validation").label_names


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("riding a bike,vvvvvvvvvvv,zero,10,train", r"train\.csv:5: expected `label,youtube_id,"),
        ("riding a bike,vvvvvvvvvvv", r"train\.csv:5: expected `label,youtube_id,"),
        (",vvvvvvvvvvv,0,10,train", r"train\.csv:5: expected `label,youtube_id,"),
        (
            '"riding a bike,v,0,10,train\n' * 5_000,
            r"train\.csv:5: not CSV: its quotes do not m",
        ),
        ("riding a bike,v,1e999,10,train", r"train\.csv:5: expected `label,youtube_id,"),
        ("riding a bike,v,-10,0,train", r"train\.csv:5: expected `label,youtube_id,"),
        ("riding a bike,v,20,10,train", r"train\.csv:5: expected `label,youtube_id,"),
        ("riding a bike,v,0,nan,train", r"train\.csv:5: expected `label,youtube_id,"),
        (f"riding a bike,v,{'1' * 5_000},10,train", r"train\.csv:5: expected `label,youtube_id,"),
        (f"riding a bike,{'v' * 140_000},0,10,train", r"train\.csv:5: .*too long"),
    ],
)
def test_wrong_lines_are_named(root: Path, line: str, message: str) -> None:
    (root / "train.csv").write_text(TRAIN + line)
    with pytest.raises(DatasetError, match=message):
        read_split("kinetics400", root, "train")


def test_lists_without_a_header_are_in_the_published_order() -> None:
    rows = parse_rows(TRAIN, Path("train.csv"))
    assert (rows[0].line, rows[0].label) == (2, "riding a bike")
    bare = parse_rows(TRAIN.removeprefix(HEADER), Path("train.csv"))
    assert [row[1:] for row in bare] == [row[1:] for row in rows]
    assert bare[0].line == 1


def test_the_published_label_maps(shared: Path, root: Path) -> None:
    maps = shared / "annotations" / "kinetics"
    published = (maps / "label_map_k400.txt").read_text().splitlines()
    # The two published lists differ in the last line's end, and in nothing else.
    assert (maps / "tsm_kinetics_label_map.txt").read_text().splitlines() == published
    assert len(published) == 400
    assert published == sorted(published)

    (root / "label_map_k400.txt").symlink_to(maps / "label_map_k400.txt")
    touch(root / "train/riding_a_bike/-a_b-c_d_e1.mp4")
    (root / "train.csv").write_text(HEADER + "riding a bike,-a_b-c_d_e1,12,22,train\n")
    (clip,) = read_split("kinetics400", root, "train").clips
    assert published[clip.label] == "riding a bike"
    (root / "train.csv").write_text(HEADER + "riding a cloud,-a_b-c_d_e1,12,22,train\n")
    with pytest.raises(DatasetError, match=r"train\.csv:2: 'riding a cloud' is not among the 400"):
        read_split("kinetics400", root, "train")
