"""`stmnet check`: every kind of damage is reported, and left out by the list it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from stmnet.cli.main import main
from stmnet.curation.check import Examined, check, examine_video, examine_videos
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError
from stmnet.video.video_info import VideoInfo
from tests.conftest import write_audio, write_video

OPENING, CLOSING = "Opening something", "Closing something"
WELL = ["1", "2", "3"]
DAMAGED = {
    "missing": ["10"],
    "unreadable": ["20", "21", "22"],
    "truncated": ["30"],
    "short": ["40"],
}
SPLITS = ("train", "validation")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["check", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Something-Something set: train has one of each kind of damage, validation is well."""
    root = tmp_path_factory.mktemp("damaged")
    (root / "videos").mkdir()
    (root / "labels.json").write_text(json.dumps({OPENING: "1", CLOSING: "0"}))
    ids = [*WELL, *(video for videos in DAMAGED.values() for video in videos)]
    entries = [f'{{"id": "{video}", "template": "Opening [something]"}}' for video in ids]
    # Line 2 + len(ids) names no label of the list.
    entries.append('{"id": "1", "template": "Eating [something]"}')
    (root / "train.json").write_text("[\n" + ",\n".join(entries) + "\n]")
    (root / "validation.json").write_text(f"[{entries[0]}]")

    for video in WELL:
        write_video(root / "videos" / f"{video}.mp4")
    (root / "videos" / "20.webm").touch()
    (root / "videos" / "21.webm").write_bytes(b"no video at all " * 100)
    write_audio(root / "videos" / "22.mp4")
    whole = write_video(
        root / "videos" / "30.mp4", num_frames=48, container_options={"movflags": "+faststart"}
    )
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    write_video(root / "videos" / "40.mp4", num_frames=5)
    return root


@pytest.fixture(params=[False, True], ids=["probe", "decode"])
def decode(request: pytest.FixtureRequest) -> list[str]:
    return ["--decode"] if request.param else []


def test_each_kind_of_damage_is_reported(
    capsys: pytest.CaptureFixture[str], root: Path, tmp_path: Path, decode: list[str]
) -> None:
    exclusions = tmp_path / "lists" / "bad.txt"
    code, out, _ = run(
        capsys, "something_v2", "--root", root, "--split", *SPLITS, "--json",
        "--processes", 2, "--exclusions", exclusions, *decode,
    )  # fmt: skip
    assert code == 1
    report = json.loads(out)
    assert (report["dataset"], report["ok"], report["published"]) == (
        "something_v2",
        False,
        220_847,
    )
    train = report["splits"]["train"]
    found = {kind: [Path(each["video"]).stem for each in train[kind]] for kind in DAMAGED}
    assert found == DAMAGED
    assert (train["published"], train["listed"], train["present"]) == (168_913, 9, 8)
    assert not train["counts_agree"]
    (wrong_line,) = train["wrong_lines"]
    assert "train.json:11: video 1 has the label 'Eating something'" in wrong_line
    empty, no_video, audio = (each["reason"] for each in train["unreadable"])
    assert "empty" in empty
    assert "not a readable video" in no_video
    assert "audio only" in audio
    assert "5 frames, fewer than 8" in train["short"][0]["reason"]
    assert train["short"][0]["video"] == "videos/40.mp4"
    validation = report["splits"]["validation"]
    assert not any(validation[kind] for kind in DAMAGED)

    # The list has each of them once, with the kind and the reason, and training takes it.
    lines = [line.split("\t") for line in exclusions.read_text().splitlines()]
    assert {Path(video).stem: reason.partition(":")[0] for video, reason in lines} == {
        video: kind for kind, videos in DAMAGED.items() for video in videos
    }
    entries = json.loads((root / "train.json").read_text())
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "videos").symlink_to(root / "videos")
    (whole / "labels.json").symlink_to(root / "labels.json")
    (whole / "train.json").write_text(json.dumps(entries[:-1]))
    with pytest.raises(DatasetError, match="1 of the 9 videos"):
        read_split("something_v2", whole, "train")
    clip_list = read_split("something_v2", whole, "train", exclude=exclusions)
    assert [clip.video.stem for clip in clip_list.clips] == WELL
    assert clip_list.left_out() == "6 of 9 clips left out (data.exclude)"


def test_the_table(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    code, out, err = run(
        capsys, "something_v2", "--root", root, "--processes", 1, "--num-frames", 5
    )
    assert code == 1
    assert err == ""
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line[:1].isalpha()}
    # published, listed, present, missing, unreadable, cut off, too short, wrong lines
    assert rows["train"][:8] == ["168,913", "9", "8", "1", "3", "1", "0", "1"]
    assert "no test.json there" in out
    assert str(root / "videos" / "10.webm") in out


def test_a_set_that_is_well(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, decode: list[str]
) -> None:
    for name in ("wave/1.mp4", "wave/2.mp4", "jump/1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / name, num_frames=9)
    code, out, _ = run(capsys, "folder", "--root", tmp_path, "--processes", 1, "--json", *decode)
    report = json.loads(out)
    assert (code, report["ok"]) == (0, True)
    # "test" would be validation once more.
    assert {name: split["present"] for name, split in report["splits"].items()} == {
        "train": 2,
        "validation": 1,
    }


def test_one_frame_that_is_left_is_told_in_the_singular(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for num_frames, number in [(1, "1 frame"), (2, "2 frames")]:
        info = VideoInfo(num_frames, 12.0, num_frames / 12, 32, 24, is_truncated=True)
        monkeypatch.setattr("stmnet.curation.check.probe", lambda path, info=info: info)
        assert examine_video(Path("a.mp4"), decode=False).reason == (
            f"a.mp4: cut off: only {number} can be read; its header promises more."
        )


def write_frames(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        picture = Image.new("RGB", (32, 24), (number, 40, 200))
        picture.save(folder / f"{number:05}.jpg")


def test_folders_of_frames(tmp_path: Path) -> None:
    frames = tmp_path / "20bn-jester-v1"
    for name in ("1", "2", "3", "4"):
        write_frames(frames / name, range(1, 10) if name != "3" else range(1, 4))
    (frames / "2" / "00005.jpg").unlink()
    (frames / "4" / "00009.jpg").write_bytes(b"no picture")
    (frames / "5").mkdir()
    (tmp_path / "labels.csv").write_text("Thumb Up\nThumb Down\n")
    (tmp_path / "train.csv").write_text("".join(f"{name};Thumb Up\n" for name in range(1, 7)))
    found = {
        decode: {
            f.clip.video.name: f.kind
            for f in check(
                "jester", tmp_path, splits=["train"], processes=1, decode=decode
            ).findings()
        }
        for decode in (False, True)
    }
    assert found[False] == {"2": "truncated", "3": "short", "5": "unreadable", "6": "missing"}
    assert found[True] == found[False] | {"4": "unreadable"}


def test_parts_of_a_recording(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", num_frames=24)
    path = tmp_path / "all.csv"
    path.write_text(
        "a.mp4,x,0,10\na.mp4,x,10,17\na.mp4,x,20,30\na.mp4,x,16\na.mp4,x,24\na.mp4,x,30,40\n"
    )
    report = check("folder", path, splits=["train"], processes=1)
    found = [(f.kind, f.clip.start_frame, f.clip.end_frame) for f in report.findings()]
    assert found == [
        ("short", 10, 17),
        ("truncated", 20, 30),
        ("truncated", 24, None),
        ("truncated", 30, 40),
    ]
    video = tmp_path / "a.mp4"
    assert [f.reason for f in report.findings()[1:]] == [
        f"{video}: 24 frames, fewer than the list's 30.",
        f"{video}: the clip starts at frame 24, and the video has 24.",
        f"{video}: the clip starts at frame 30, and the video has 24.",
    ]
    report.write_exclusions(tmp_path / "bad.txt")
    clips = read_split("folder", path, "train", exclude=tmp_path / "bad.txt").clips
    assert [clip.start_frame for clip in clips] == [0, 16]

    report.write_exclusions(tmp_path / "bad.txt")  # one list takes another's place
    for other in (path, video):
        before = other.read_bytes()
        assert main(["check", "folder", "--root", str(path), "--exclusions", str(other)]) == 2
        with pytest.raises(DatasetError, match="is there, and not as `stmnet check` writes it"):
            report.write_exclusions(other)
        assert other.read_bytes() == before


def test_an_empty_list_of_exclusions_leaves_out_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "set/wave").mkdir(parents=True)
    for name in ("1.mp4", "2.mp4"):
        write_video(tmp_path / "set/wave" / name, num_frames=9)
    exclusions = tmp_path / "bad.txt"
    arguments = ("folder", "--root", tmp_path / "set", "--processes", 1, "--exclusions", exclusions)
    for _ in range(2):  # and an empty list is a list, which another replaces
        code, _, err = run(capsys, *arguments)
        assert (code, err) == (0, f"0 clips to leave out are in {exclusions}\n")
        assert exclusions.read_bytes() == b""
        clips = read_split("folder", tmp_path / "set", "train", exclude=exclusions)
        assert (len(clips.clips), clips.excluded) == (1, ())


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_exclusions_take_no_device_s_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "bad.txt"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/full")
    before = path.stat()
    # Before the videos are read: there is no such folder.
    code, out, err = run(capsys, "folder", "--root", tmp_path / "none", "--exclusions", path)
    assert (code, out) == (2, "")
    assert err == (
        f"stmnet: {path}: cannot be written (Not a regular file). Choose another file.\n"
    )
    assert path.stat() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--root", "."], "unknown data set 'nothing'"),
        (["jester", "--root", "nowhere"], "nowhere: no labels.csv there"),
        (["folder", "--root", ".", "--split", "all"], "unknown split 'all'"),
    ],
)
def test_what_the_user_can_mend(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_published_counts(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").symlink_to(shared / "annotations" / "hmdb51")
    report = check("hmdb51", tmp_path, processes=1).to_json()
    assert report["published"] == 6_766
    counts = {name: (s["listed"], s["counts_agree"]) for name, s in report["splits"].items()}
    assert counts == {"train": (3_570, True), "test": (1_530, True)}


def test_kinetics_lists_name_more_than_anyone_has(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("zumba,a,0,10\n")
    (split,) = check("kinetics400", tmp_path, splits=["train"], processes=1).splits
    assert (split.published, split.num_listed, split.counts_agree) == (236_763, 1, False)


def end_the_process(video: Path) -> Examined:
    if video.stem == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return examine_video(video, decode=False)


def test_a_video_that_ends_its_process_is_unreadable(tmp_path: Path) -> None:
    well = write_video(tmp_path / "well.mp4")
    deadly = tmp_path / "deadly.mp4"
    examined = examine_videos(
        [deadly, well],
        decode=False,
        processes=1,
        on_video=lambda done, total: None,
        examine=end_the_process,
    )
    assert examined[well] == Examined(24)
    assert examined[deadly].kind == "unreadable"
    assert "it ended the process that read it (SIGKILL)" in examined[deadly].reason


NAMES = (
    os.fsdecode(b"caf\xe9.mp4"),
    "tab\there.mp4",
    "line\nend.mp4",
    "return\rhere.mp4",
    " in front.mp4",
    '"quoted".mp4',
    "back\\slash\\t.mp4",
    "\u3000wide.mp4",
    "behind ",
)


def test_names_of_any_bytes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in NAMES:
        video = tmp_path / "wave" / (name if "." in name else f"{name}/00001.jpg")
        video.parent.mkdir(parents=True, exist_ok=True)
        video.touch()
    empty = tmp_path / os.fsdecode(b"\xe9tude")
    empty.mkdir()
    exclusions = tmp_path / "bad.txt"
    arguments = ("folder", "--root", tmp_path, "--processes", 1)
    code, out, err = run(capsys, *arguments, "--json", "--exclusions", exclusions)
    assert (code, err) == (1, f"{len(NAMES)} clips to leave out are in {exclusions}\n")
    found = [each["video"] for s in json.loads(out)["splits"].values() for each in s["unreadable"]]
    plain = {rf"wave/{name}".encode("utf-8", "backslashreplace").decode() for name in NAMES}
    assert set(found) == plain
    wrong = rf"{tmp_path}/\udce9tude: no video in this class's folder."
    assert json.loads(out)["splits"]["train"]["wrong_lines"][0].startswith(wrong)
    assert wrong in run(capsys, *arguments)[1]
    empty.rmdir()

    # Each line leaves out its own video, and training reads all of them again.
    lines = exclusions.read_text(encoding="utf-8").splitlines(keepends=True)
    clips = {s: read_split("folder", tmp_path, s).clips for s in ("train", "validation")}
    assert {clip.video.name for s in clips for clip in clips[s]} == set(NAMES)
    excluded = []
    for line in lines:
        exclusions.write_text(line)
        for split in clips:
            left_out = read_split("folder", tmp_path, split, exclude=exclusions).excluded
            excluded += [video.name for video in left_out]
    assert sorted(excluded) == sorted(NAMES)


def test_names_that_were_written_as_they_are(tmp_path: Path) -> None:
    for name in (b"caf\xe9.mp4", b'"one quote.mp4', b"other.mp4", b"last.mp4"):
        (tmp_path / "train" / "wave" / os.fsdecode(name)).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / "wave" / os.fsdecode(name)).touch()
    (tmp_path / "test" / "wave").mkdir(parents=True)
    (tmp_path / "test" / "wave" / "1.mp4").touch()
    exclusions = tmp_path / "unreadable.txt"
    exclusions.write_bytes(b'train/wave/caf\xe9.mp4\tcut off\ntrain/wave/other.mp4\n"one\n')
    clips = read_split("folder", tmp_path, "train", exclude=exclusions).clips
    assert [clip.video.name for clip in clips] == ['"one quote.mp4', "last.mp4"]


def test_processes_that_probe_need_no_torch(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4")
    code = (
        "import sys; from pathlib import Path; from stmnet.curation.check import examine_video;"
        f"assert examine_video(Path({str(video)!r}), decode=False).num_frames == 24;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
