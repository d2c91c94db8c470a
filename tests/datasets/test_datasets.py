"""Published lists to published counts, and what read_split does about what is not there."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stmnet.datasets import jester
from stmnet.datasets.clip_list import UNLABELED, ClipList
from stmnet.datasets.hmdb51 import LABEL_NAMES
from stmnet.datasets.motion import MIRRORED
from stmnet.datasets.splits import DATASETS, read_split
from stmnet.errors import DatasetError
from stmnet.motion.classes import LABEL_NAMES as MOTION_LABELS

# From the sets' own pages; HMDB-51 has 70 + 30 clips a class.
UCF101 = {1: (9_537, 3_783), 2: (9_586, 3_734), 3: (9_624, 3_696)}


def listed(name: str, root: Path, split: str) -> ClipList:
    """The lists alone: the folder holds no video."""
    clip_list = DATASETS[name].read(root, split, pytest.fail)
    assert not clip_list.clips
    return clip_list


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ucf101s_published_lists(shared: Path, tmp_path: Path, number: int) -> None:
    (tmp_path / "ucfTrainTestlist").symlink_to(shared / "annotations" / "ucf101")
    name = "ucf101" if number == 1 else f"ucf101_split{number}"
    train, test = (listed(name, tmp_path, split) for split in ("train", "test"))
    assert (len(train.missing), len(test.missing)) == UCF101[number]
    assert not set(train.missing) & set(test.missing)
    assert len(train.label_names) == 101
    assert train.label_names == tuple(sorted(train.label_names, key=str.lower))
    assert listed(name, tmp_path, "validation").missing == test.missing


def test_ucf101s_clips_load_through_the_official_split(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").symlink_to(shared / "annotations" / "ucf101")
    (tmp_path / "videos").symlink_to(shared / "videos" / "ucf101")
    with pytest.raises(
        DatasetError, match=r"of the 9,537 videos .* are not there, the first: .*g08"
    ):
        read_split("ucf101", tmp_path, "train")
    train = read_split("ucf101", tmp_path, "train", allow_missing=True)
    test = read_split("ucf101", tmp_path, "test", allow_missing=True)
    there = {path.name for path in (shared / "videos" / "ucf101").rglob("*.avi")}
    assert len(there) > 200
    assert {clip.video.name for clip in (*train.clips, *test.clips)} == there
    assert len(train.clips) + len(test.clips) == len(there)
    assert len(train.missing) == 9_537 - len(train.clips)
    for clip in (*train.clips, *test.clips):
        assert clip.video.is_file()
        assert clip.video.parent.name == train.label_names[clip.label]
    # Groups 1 to 7 are the test part of split 1.
    assert {clip.video.stem[-6:-4] for clip in test.clips} <= {f"{n:02}" for n in range(1, 8)}
    assert {clip.video.stem[-6:-4] for clip in train.clips} <= {f"{n:02}" for n in range(8, 26)}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_hmdb51s_tsn_style_lists(shared: Path, tmp_path: Path, number: int) -> None:
    (tmp_path / "annotations").symlink_to(shared / "annotations" / "hmdb51")
    name = "hmdb51" if number == 1 else f"hmdb51_split{number}"
    train, test = (listed(name, tmp_path, split) for split in ("train", "test"))
    assert (len(train.missing), len(test.missing)) == (3_570, 1_530)
    assert len(set(train.missing) | set(test.missing)) == 5_100
    # The class's name is in every clip's name, whatever id the list gives it.
    for video in (*train.missing, *test.missing):
        assert f"_{video.parent.name}_" in f"_{video.stem}"


def test_jesters_published_lists(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").symlink_to(shared / "annotations" / "jester")
    for split, count in (("train", 118_562), ("validation", 14_787), ("test", 14_743)):
        assert len(listed("jester", tmp_path, split).missing) == count
    (tmp_path / "20bn-jester-v1" / "34870").mkdir(parents=True)
    (tmp_path / "20bn-jester-v1" / "109621").mkdir()
    clip_list = read_split("jester", tmp_path, "train", allow_missing=True)
    assert clip_list.label_names[clip_list.clips[0].label] == "Drumming Fingers"
    assert len(clip_list.label_names) == 27
    assert DATASETS["jester"].read(tmp_path, "test", pytest.fail).clips[0].label == UNLABELED

    mirrored = clip_list.mirrored_labels()
    names = clip_list.label_names
    assert {(names[a], names[b]) for a, b in enumerate(mirrored) if a < b} == {
        ("Swiping Left", "Swiping Right"),
        ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
        ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    }
    without = ClipList((), tuple(n for n in names if n != "Swiping Left"), jester.MIRRORED)
    with pytest.raises(DatasetError, match="'Swiping Left', which is not among the labels"):
        without.mirrored_labels()


def test_motions_mirrors() -> None:
    clip_list = ClipList((), MOTION_LABELS, MIRRORED)
    names = clip_list.label_names
    assert {(names[a], names[b]) for a, b in enumerate(clip_list.mirrored_labels()) if a < b} == {
        ("Moving something left", "Moving something right"),
        ("Turning something clockwise", "Turning something anticlockwise"),
    }


def test_published_counts_add_up() -> None:
    # The totals of the paper (section 4.1) and of Jester's page.
    totals = {
        "something_v1": 108_499, "something_v2": 220_847, "ucf101": 13_320, "ucf101_split2": 13_320,
        "ucf101_split3": 13_320, "jester": 148_092, "kinetics400": 236_763 + 19_095,
    }  # fmt: skip
    for name, total in totals.items():
        published = DATASETS[name].published.values()
        assert sum(count or 0 for count in published) == DATASETS[name].total == total
    # HMDB-51's splits leave clips out.
    assert all(DATASETS[f"hmdb51{part}"].total == 6_766 for part in ("", "_split2", "_split3"))


# ---- HMDB-51's official lists and UCF-101's layouts, made small ----


def test_hmdb51s_official_lists(tmp_path: Path) -> None:
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    for name, number in itertools.product(LABEL_NAMES, (1, 2)):
        (lists / f"{name}_test_split{number}.txt").touch()
    (lists / "wave_test_split1.txt").write_text("20 years (a)_wave_u_0.avi 1 \nb_wave_1.avi 2 \n")
    (lists / "ride_bike_test_split1.txt").write_text("c_ride_bike_0.avi 0 \nd_ride_bike_1.avi 1 \n")
    (lists / "wave_test_split2.txt").write_text("b_wave_1.avi 1 \n")
    for video in ("wave/20 years (a)_wave_u_0.avi", "wave/b_wave_1.avi", "ride_bike/d_ride_bike_1"):
        (tmp_path / video).parent.mkdir(exist_ok=True)
        (tmp_path / video).touch()

    train = read_split("hmdb51", tmp_path, "train")
    assert train.label_names == LABEL_NAMES == tuple(sorted(LABEL_NAMES))
    assert [(str(c.video.relative_to(tmp_path)), c.label) for c in train.clips] == [
        ("ride_bike/d_ride_bike_1", 30),
        ("wave/20 years (a)_wave_u_0.avi", 50),
    ]
    assert [c.video.name for c in read_split("hmdb51", tmp_path, "test").clips] == ["b_wave_1.avi"]
    split2 = read_split("hmdb51_split2", tmp_path, "train")
    assert [c.video.name for c in split2.clips] == ["b_wave_1.avi"]

    (lists / "wave_test_split1.txt").write_text("b_wave_1.avi 1\nb_wave_2.avi 3\n")
    with pytest.raises(DatasetError, match=r"wave_test_split1\.txt:2: expected `clip.avi 0`"):
        read_split("hmdb51", tmp_path, "train")
    (lists / "wave_test_split1.txt").write_text("b_wave_1.avi 1\nb_wave_1.avi 2\n")
    with pytest.raises(DatasetError, match=r"split1\.txt:2: b_wave_1.avi is '2' here and '1' in"):
        read_split("hmdb51", tmp_path, "train")
    (lists / "wave_test_split1.txt").write_text("b_wave_1.avi 1\n")
    (lists / "act_test_split1.txt").write_text("b.avi 1\n")
    with pytest.raises(DatasetError, match="'act' is not a class of HMDB-51"):
        read_split("hmdb51", tmp_path, "train")


def test_hmdb51s_classes_without_a_list_are_named(tmp_path: Path) -> None:
    (tmp_path / "wave_test_split1.txt").write_text("b_wave_1.avi 1\n")
    (tmp_path / "b_wave_1").mkdir()
    message = r": 50 of the 51 classes' lists are not there, the first: brush_hair_test_split1.txt"
    with pytest.raises(DatasetError, match=message):
        read_split("hmdb51", tmp_path, "train")
    wrong: list[str] = []
    assert len(DATASETS["hmdb51"].read(tmp_path, "train", wrong.append).clips) == 1
    assert len(wrong) == 1


def test_hmdb51s_frame_folders_lie_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "val_rgb_split1.txt").write_text("frames/x_wave_u_0 42 50\n")
    (tmp_path / "frames" / "x_wave_u_0").mkdir(parents=True)
    (clip,) = read_split("hmdb51", tmp_path, "validation").clips
    assert (clip.video, clip.label) == (tmp_path / "frames" / "x_wave_u_0", 50)
    for wrong, message in (
        ("x_wave_u_0 42", "expected `clip number_of_frames class_id`"),
        ("x_wave_u_0 42 51", "class 51 is not 0 to 50"),
        (f"x_wave_u_0 42 {'5' * 5_000}", "class 5{20} is not 0 to 50"),
        ("frames/x 3 5", "x is '5' here and '4' in a line before"),
    ):
        (tmp_path / "val_rgb_split1.txt").write_text(f"x 3 4\n{wrong}\n")
        with pytest.raises(DatasetError, match=rf"val_rgb_split1\.txt:2: {message}"):
            read_split("hmdb51", tmp_path, "test")


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    (tmp_path / "classInd.txt").write_bytes(b"1 Archery\r\n2 Biking\r\n")
    (tmp_path / "trainlist01.txt").write_bytes(
        b"Biking/v_Biking_g08_c01.avi 2\r\nArchery/v_Archery_g08_c01.avi 1\r\n"
    )
    (tmp_path / "testlist01.txt").write_bytes(b"Biking/v_Biking_g01_c01.avi\r\n")
    return tmp_path


@pytest.mark.parametrize(
    "layout", ["{0}/{1}.avi", "videos/{0}/{1}.avi", "UCF-101/{0}/{1}.AVI", "frames/{1}/00001.jpg"]
)
def test_ucf101s_layouts(ucf: Path, layout: str) -> None:
    for name in ("Biking", "Archery"):
        path = ucf / layout.format(name, f"v_{name}_g08_c01")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    clips = read_split("ucf101", ucf, "train").clips
    assert [(clip.video.name.partition(".")[0], clip.label) for clip in clips] == [
        ("v_Biking_g08_c01", 1),
        ("v_Archery_g08_c01", 0),
    ]
    assert all(clip.video.exists() for clip in clips)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trainlist01.txt", "Biking/a.avi 2\nBiking/b.avi 1\n", ":2: Biking is class 2 in"),
        ("trainlist01.txt", "\nSkiing/a.avi 3\n", ":2: 'Skiing' is not among the 2 classes"),
        ("trainlist01.txt", "a.avi 2\n", ":1: expected `Class/clip.avi`, found 'a.avi 2'"),
        ("classInd.txt", "1 Archery\n2 Archery\n", ":2: 'Archery' is a class already"),
        (
            "trainlist01.txt",
            "Biking/a\0.avi 2\n",
            ":1: 'Biking/a\\x00.avi' is not a valid file name",
        ),
        ("classInd.txt", "1 Archery\n3 Biking\n", ":2: expected `2 ClassName`, found '3 Biking'"),
        ("classInd.txt", b"1 Arch\xe9ry\n", ": not UTF-8 text"),
    ],
)
def test_ucf101s_wrong_lines(ucf: Path, name: str, content: str | bytes, message: str) -> None:
    (ucf / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError) as caught:
        read_split("ucf101", ucf, "train")
    assert f"{name}{message}" in str(caught.value)


# ---- what is missing ----


def test_missing_videos(ucf: Path) -> None:
    with pytest.raises(DatasetError, match="none of the 2 videos of the train list is there"):
        read_split("ucf101", ucf, "train", allow_missing=True)
    (ucf / "Biking").mkdir()
    (ucf / "Biking" / "v_Biking_g08_c01.avi").touch()
    with pytest.raises(DatasetError) as caught:
        read_split("ucf101", ucf, "train")
    message = str(caught.value)
    assert "1 of the 2 videos of the train list are not there" in message
    assert str(ucf / "Archery" / "v_Archery_g08_c01.avi") in message
    assert "stmnet check ucf101" in message
    assert "with allow_missing: true" in message
    clip_list = read_split("ucf101", ucf, "train", allow_missing=True)
    assert clip_list.missing == (ucf / "Archery" / "v_Archery_g08_c01.avi",)
    assert clip_list.left_out() == "1 of 2 clips left out (not there)"


def test_exclusions(ucf: Path) -> None:
    for name in ("Biking", "Archery"):
        (ucf / name).mkdir()
        (ucf / name / f"v_{name}_g08_c01.avi").touch()
    assert read_split("ucf101", ucf, "train").left_out() == ""
    bad = ucf / "bad.txt"
    bad.write_text("Archery/v_Archery_g08_c01.avi\tthe file is empty\nSkiing/x.avi\tgone\n")
    clip_list = read_split("ucf101", ucf, "train", exclude=bad)
    assert [clip.video.parent.name for clip in clip_list.clips] == ["Biking"]
    assert clip_list.left_out() == "1 of 2 clips left out (data.exclude)"

    # What is missing and excluded is not reported again.
    (ucf / "Archery" / "v_Archery_g08_c01.avi").unlink()
    assert len(read_split("ucf101", ucf, "train", exclude=bad).excluded) == 1

    bad.write_text("Biking/v_Biking_g08_c01.avi\tx\ty\tz\n")
    with pytest.raises(DatasetError, match=r"bad\.txt:1: expected `video<TAB>reason"):
        read_split("ucf101", ucf, "train", exclude=bad)
    bad.write_text("Biking/v_Biking_g08_c01.avi\nArchery/v_Archery_g08_c01.avi\n")
    with pytest.raises(DatasetError, match=r"bad\.txt: leaves no clip of the train list"):
        read_split("ucf101", ucf, "train", exclude=bad)
    with pytest.raises(DatasetError, match=r"gone\.txt: no such file\. Write it with"):
        read_split("ucf101", ucf, "train", exclude=ucf / "gone.txt")


# ---- what no list may hold ----


def one_list(root: Path, dataset: str, *lines: tuple[str, str]) -> Path:
    """A training list of these videos and labels, in the set's own form; video "1" is there."""
    form = {
        "jester": "{};{}",
        "something_v1": "{};{}",
        "something_v2": '{{"id": "{}", "template": "{}"}}',
        "kinetics400": "{1},{0},0,10,train",
        "folder": "{},{}",
    }[dataset]
    (root / "1").mkdir()
    if dataset == "folder":
        (root / "val.csv").write_text("1,wave\n")
    else:
        (root / "labels.csv").write_text("wave\njump\n")
        (root / "labels.json").write_text('{"wave": 0, "jump": 1}')
    written = [form.format(video, label) for video, label in lines]
    if dataset == "something_v2":
        path, text = root / "train.json", "[" + ",\n".join(written) + "]"
    else:
        path, text = root / "train.csv", "\n".join(written)
    path.write_text(text)
    return path


LISTED = ["jester", "something_v1", "something_v2", "kinetics400", "folder"]


@pytest.mark.parametrize("dataset", LISTED)
def test_a_clip_has_one_label(tmp_path: Path, dataset: str) -> None:
    path = one_list(tmp_path, dataset, ("1", "wave"), ("1", "wave"), ("1", "jump"))
    with pytest.raises(DatasetError) as error:
        read_split(dataset, tmp_path, "train")
    assert str(error.value).startswith(f"{path}:3: ")
    assert "is 'jump' here and 'wave' in a line before. Remove one of them." in str(error.value)
    wrong: list[str] = []
    # A line that is there twice says the same twice, and is two clips.
    assert len(DATASETS[dataset].read(tmp_path, "train", wrong.append).clips) == 2
    assert len(wrong) == 1


@pytest.mark.parametrize("name", ["1" * 5_000, f"{'1' * 5_000}/1"])
@pytest.mark.parametrize("dataset", LISTED)
def test_names_that_no_file_has_are_named(tmp_path: Path, dataset: str, name: str) -> None:
    path = one_list(tmp_path, dataset, ("1", "wave"), (name, "jump"))
    with pytest.raises(DatasetError) as error:
        read_split(dataset, tmp_path, "train")
    assert str(error.value).startswith(f"{path}:2: '")
    assert "1111 is not a valid file name" in str(error.value)
    assert len(str(error.value)) < 300 + len(str(path))


@pytest.mark.parametrize("name", ["1\0", "1\0/2"])
@pytest.mark.parametrize("dataset", [name for name in LISTED if name != "something_v2"])
def test_a_nul_character_is_named(tmp_path: Path, dataset: str, name: str) -> None:
    path = one_list(tmp_path, dataset, ("1", "wave"), (name, "jump"))
    with pytest.raises(DatasetError) as error:
        read_split(dataset, tmp_path, "train")
    assert str(error.value).startswith(f"{path}:2: '")
    assert "1\\x00" in str(error.value)


def test_a_path_that_is_too_long_is_missing(tmp_path: Path) -> None:
    one_list(tmp_path, "jester", ("1", "wave"), ("a/" * 3_000 + "a", "jump"))
    assert len(read_split("jester", tmp_path, "train", allow_missing=True).missing) == 1
