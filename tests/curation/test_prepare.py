"""Preparing a data set: laid out as before, resumable after any kill, nothing dropped unsaid."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stmnet.cli.main import main
from stmnet.curation.prepare import _Job, _make, estimate, prepare
from stmnet.curation.prepared_tree import UNREADABLE_FILE, survey
from stmnet.datasets.exclusions import exclude_clips
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError
from stmnet.locks import LOCK
from stmnet.video.frames import read_frames
from stmnet.video.transcode import Shape
from tests.conftest import STMNET, decode_all, moving_bars, write_audio, write_gif, write_video

SHAPE = Shape(short_side=64, key_frame_interval=4)


def write_frames(folder: Path, num_frames: int, width: int, height: int) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(moving_bars(num_frames, width, height), start=1):
        Image.fromarray(image).save(folder / f"{number:05}.jpg", quality=95)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Videos of three families, frames, lists, one cut file, two unreadable ones, and odds."""
    root = tmp_path / "in"
    (root / "videos/deeper").mkdir(parents=True)
    write_video(root / "videos/a.mp4")
    write_video(root / "videos/deeper/b.webm", codec="libvpx-vp9")
    write_video(root / "videos/deeper/c.AVI", codec="mpeg4")
    write_video(root / "videos/cut.mp4", num_frames=60, container_options={"movflags": "faststart"})
    cut(root / "videos/cut.mp4")
    (root / "videos/text.mp4").write_text("no video")
    write_audio(root / "videos/audio.mp4")
    write_frames(root / "frames/1", 5, 96, 72)
    write_frames(root / "frames/2", 3, 48, 32)
    (root / "labels.json").write_text('{"a": "0"}')
    (root / "lists").mkdir()
    (root / "lists/train.csv").write_text("a;b\n")
    (root / "archive.zip").write_bytes(b"zip")
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_copy_is_laid_out_as_the_original(root: Path, tmp_path: Path) -> None:
    before = contents(root)
    out = tmp_path / "out"
    summary = prepare("folder", root, out, shape=SHAPE, processes=2)
    assert contents(root) == before
    assert set(contents(out)) == set(before) - {
        "archive.zip",
        "videos/text.mp4",
        "videos/audio.mp4",
    } | {"prepare.json", "unreadable.txt"}
    assert (out / "labels.json").read_bytes() == before["labels.json"]
    assert (out / "lists/train.csv").read_bytes() == before["lists/train.csv"]
    assert decode_all(out / "videos/a.mp4").shape == (24, 64, 84, 3)
    assert decode_all(out / "videos/deeper/c.AVI").shape == (24, 64, 84, 3)
    assert summary.num_videos == 8
    assert summary.num_done == 6
    assert summary.left_out == (Path("archive.zip"),)
    assert summary.bytes_out == sum(
        len(data) for name, data in contents(out).items() if name.startswith(("videos", "frames"))
    )


def test_what_is_not_whole_is_listed_with_its_reason(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = prepare("folder", root, out, shape=SHAPE, processes=2)
    lines = [line.split("\t") for line in (out / "unreadable.txt").read_text().splitlines()]
    assert [name for name, _ in lines] == ["videos/audio.mp4", "videos/cut.mp4", "videos/text.mp4"]
    reasons = {str(name): reason for name, reason in summary.unreadable.items()}
    assert reasons == dict(lines)
    assert "no video stream (audio only)" in reasons["videos/audio.mp4"]
    assert reasons["videos/cut.mp4"].startswith("cut off after ")
    assert "not a readable video" in reasons["videos/text.mp4"]
    assert 10 < len(decode_all(out / "videos/cut.mp4")) < 60


def test_frames_are_resized_and_small_ones_copied(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare("folder", root, out, shape=SHAPE, processes=1)
    for path in sorted((root / "frames/1").iterdir()):
        with Image.open(path) as big, Image.open(out / "frames/1" / path.name) as small:
            assert small.size == (85, 64)
            difference = np.asarray(big.resize(small.size), float) - np.asarray(small)
            assert np.sqrt(np.mean(difference**2)) < 6
    assert contents(out / "frames/2") == contents(root / "frames/2")


def test_a_damaged_frame_keeps_its_place_and_is_listed(tmp_path: Path) -> None:
    write_frames(tmp_path / "in/1", 3, 96, 72)
    cut(tmp_path / "in/1/00002.jpg")
    write_frames(tmp_path / "in/2", 2, 96, 72)
    for path in (tmp_path / "in/2").iterdir():
        path.write_bytes(b"no image")
    out = tmp_path / "out"
    summary = prepare("jester", tmp_path / "in", out, shape=SHAPE, processes=1)
    assert sorted(path.name for path in (out / "1").iterdir()) == [
        "00001.jpg",
        "00002.jpg",
        "00003.jpg",
    ]
    assert summary.unreadable[Path("1")] == "damaged frames: 1, the first 00002.jpg"
    assert "none of its 2 frames can be decoded" in summary.unreadable[Path("2")]
    assert not (out / "2").exists()


@pytest.mark.parametrize("kind", ["16 bits", "RGBA as JPEG", "palette", "gray and alpha"])
def test_odd_images_are_prepared_as_they_are_read(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "in/1"
    folder.mkdir(parents=True)
    ramp = np.tile(np.linspace(0, 255, 96, dtype=np.uint8), (72, 1))
    clear = np.zeros_like(ramp)
    match kind:
        case "16 bits":
            Image.fromarray(ramp.astype(np.uint16) * 257).save(folder / "1.png")
        case "RGBA as JPEG":
            rgba = np.dstack([ramp, 255 - ramp, ramp // 2, clear])
            Image.fromarray(rgba).save(folder / "1.jpg", format="PNG")
        case "palette":
            Image.fromarray(ramp).convert("P").save(folder / "1.png")
        case "gray and alpha":
            Image.fromarray(np.dstack([ramp, clear])).save(folder / "1.png")
    out = tmp_path / "out"
    summary = prepare("jester", tmp_path / "in", out, shape=SHAPE, processes=1)
    assert summary.unreadable == {}
    before = read_frames(folder, [0]).float()
    after = read_frames(out / "1", [0]).float()
    assert after.shape == (1, 3, 64, 85)
    smaller = torch.nn.functional.interpolate(before, (64, 85), mode="bicubic", antialias=True)
    assert (after - smaller).square().mean().sqrt() < 3


def test_an_image_that_cannot_be_opened_costs_its_folder(tmp_path: Path) -> None:
    for name in ("1", "2", "3", "4"):
        write_frames(tmp_path / "in" / name, 2, 96, 72)
    os.mkfifo(tmp_path / "in/2/00003.jpg")
    os.mkfifo(tmp_path / "in/3/notes")
    (tmp_path / "in/4/00003.jpg").symlink_to("nowhere")
    summary = prepare("jester", tmp_path / "in", tmp_path / "out", shape=SHAPE, processes=1)
    assert summary.num_done == 1
    assert sorted(summary.unreadable) == [Path("2"), Path("3"), Path("4")]
    assert "in/2/00003.jpg: cannot be opened" in summary.unreadable[Path("2")]


def test_names_may_be_as_long_as_file_systems_take(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    write_video(root / f"{'x' * 251}.mp4")
    write_frames(root / ("é" * 127), 2, 96, 72)
    (root / f"{'z' * 251}.csv").write_text("a;b\n")
    summary = prepare("folder", root, out, shape=SHAPE, processes=1)
    assert (summary.num_done, summary.unreadable) == (2, {})
    assert set(contents(out)) == set(contents(root)) | {"prepare.json"}


def test_what_is_there_is_not_made_again(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = prepare("folder", root, out, shape=SHAPE, processes=1)
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in (out / "videos").rglob("*.*")}
    shutil.rmtree(out / "frames/1")
    again = prepare("folder", root, out, shape=SHAPE, processes=2)
    assert (again.num_done, again.num_kept) == (1, 5)
    assert contents(out) == before
    assert {path: path.stat().st_mtime_ns for path in (out / "videos").rglob("*.*")} == times
    assert again.unreadable == first.unreadable


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\rb", " a", "a\x85b", '"a"', "a\udcffb"])
def test_names_that_break_a_line_are_read_again_as_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    for folder in ("train/x", "val/x"):
        (root / folder).mkdir(parents=True)
        write_video(root / folder / "whole.mp4")
    half, text = (root / "train/x" / f"{name} {kind}.mp4" for kind in ("half", "text"))
    shutil.copy(
        write_video(tmp_path / "long.mp4", container_options={"movflags": "faststart"}), half
    )
    cut(half)
    text.write_text("no video")
    (root / f"{name}.zip").touch()
    for _ in range(2):  # the second run takes over what the first noted
        code, said, err = run(
            capsys, "prepare", "folder", "--root", root, "--out", out, "--processes", 1
        )
        assert (code, len(err.splitlines())) == (0, 1)
        assert "incomplete  2" in said
        assert said.encode().decode().splitlines()[-1].startswith("left out    1 files")
        clips = read_split("folder", out, "train")
        assert [clip.video.name for clip in clips.clips] == sorted([half.name, "whole.mp4"])
        left = exclude_clips(clips, out / "unreadable.txt", out)
        assert [clip.video.name for clip in left.clips] == ["whole.mp4"]


def test_a_source_that_was_mended_leaves_the_list(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare("folder", root, out, shape=SHAPE, processes=1)
    write_video(root / "videos/text.mp4")
    write_video(root / "videos/audio.mp4")
    shutil.copy(root / "videos/a.mp4", root / "videos/cut.mp4")
    (out / "videos/cut.mp4").unlink()
    assert prepare("folder", root, out, shape=SHAPE, processes=1).unreadable == {}
    assert not (out / "unreadable.txt").exists()


def test_a_prepared_set_reads_as_the_original(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    (root / "labels.json").write_text(json.dumps({"Going": "0"}))
    (root / "train.json").write_text(
        json.dumps([{"id": "7", "label": "going", "template": "Going", "placeholders": []}])
    )
    (root / "videos").mkdir()
    write_video(root / "videos/7.webm", codec="libvpx-vp9")
    prepare("something_v2", root, tmp_path / "out", shape=SHAPE, processes=1)
    (clip,) = read_split("something_v2", tmp_path / "out", "train").clips
    assert clip.video == tmp_path / "out/videos/7.webm"
    assert clip.label == 0


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    write_video(tmp_path / "disk/a.mp4")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/videos").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/circle").symlink_to(tmp_path / "in")
    plan = survey(tmp_path / "in", tmp_path / "out")
    assert plan.videos == (Path("videos/a.mp4"),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("ucf110 --root IN --out OUT", "unknown data set 'ucf110'. Did you mean 'ucf101'?"),
        ("ucf101 --out OUT", "ucf101: only the motion set can be generated"),
        ("ucf101 --root NONE --out OUT", "no such folder. Set --root"),
        ("ucf101 --root EMPTY --out OUT", "no video ("),
        ("ucf101 --root IN --out IN", "Choose a folder beside it"),
        ("ucf101 --root IN --out IN/prepared", "Choose a folder beside it"),
        ("ucf101 --root IN/videos --out IN", "Choose a folder beside it"),
        ("ucf101 --root IN --out OTHER", "holds data but no prepare.json"),
        ("ucf101 --root IN --out IN/archive.zip/x", "Choose a folder beside it"),
        ("ucf101 --root IN --out FILE/x", "cannot be written (Not a directory)"),
        ("ucf101 --root IN --out OUT --short-side 4", "short_side is 4. Give at least 16."),
        ("ucf101 --root IN --out OUT --short-side 0", "short_side is 0. Give at least 16."),
        ("ucf101 --root IN --out FILE/x --dry-run", "file/x: cannot be written (Not a directory)"),
        ("ucf101 --root IN --out FILE/x/y --dry-run", "cannot be written (Not a directory)"),
        ("ucf101 --root IN --out FILE --dry-run", "file: cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_prepared_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], root: Path, tmp_path: Path, arguments: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").touch()
    (tmp_path / "file").touch()
    for name in ("IN", "OUT", "NONE", "EMPTY", "OTHER", "FILE"):
        arguments = arguments.replace(name, str(tmp_path / name.lower()))
    before = contents(tmp_path)
    code, out, err = run(capsys, "prepare", *arguments.split())
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("shape", "processes", "message"),
    [
        (Shape(15), None, "short_side is 15. Give at least 16."),
        (Shape(64, 0), None, "key_frame_interval is 0. Give at least 1."),
        (SHAPE, 0, "processes is 0. Give at least 1."),
    ],
)
@pytest.mark.parametrize("function", [prepare, estimate])
def test_numbers_that_make_no_sense_are_refused(
    root: Path,
    tmp_path: Path,
    function: Callable[..., object],
    shape: Shape,
    processes: int | None,
    message: str,
) -> None:
    with pytest.raises(DatasetError, match=message):
        function("folder", root, tmp_path / "out", shape=shape, processes=processes)
    assert not (tmp_path / "out").exists()


def test_a_gif_is_a_video_and_is_copied(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    whole = write_gif(root / "x/a.gif", num_frames=20)
    write_video(root / "x/b.mp4")
    (root / "x/text.gif").write_text("no video")
    write_frames(root / "x/frames", 3, 96, 72)
    preview = write_gif(root / "x/frames/preview.gif")
    assert estimate("folder", root, out, shape=SHAPE, processes=1).num_videos == 4
    summary = prepare("folder", root, out, shape=SHAPE, processes=1)
    assert (summary.num_videos, summary.num_done, summary.left_out) == (4, 3, ())
    assert (out / "x/a.gif").read_bytes() == whole.read_bytes()
    assert (out / "x/frames/preview.gif").read_bytes() == preview.read_bytes()
    assert read_frames(out / "x/frames", range(3)).shape == (3, 3, 64, 85)
    assert list(summary.unreadable) == [Path("x/text.gif")]
    assert "not a readable video" in summary.unreadable[Path("x/text.gif")]
    assert not (out / "x/text.gif").exists()


def test_damage_is_noted_before_the_copy_appears(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(root / "frames/3", 3, 96, 72)
    cut(root / "frames/3/00002.jpg")
    out = tmp_path / "out"
    noted = []

    def look(folder: Path, name: Path, damage: str) -> None:
        noted.append((name.as_posix(), (folder / name).exists()))
        raise OSError(28, "No space left on device", str(folder / UNREADABLE_FILE))

    monkeypatch.setattr("stmnet.curation.prepare.note_damage", look)
    out.mkdir()
    for name in ("videos/cut.mp4", "frames/3"):
        outcome = _make(_Job(Path(name), root, out, SHAPE))
        assert outcome.fatal == f"{out}/unreadable.txt: cannot be written (No space left on device)"
    assert noted == [("videos/cut.mp4", False), ("frames/3", False)]
    assert not [path for path in out.rglob("*") if path.is_file() and path.name != LOCK]


def test_other_settings_are_refused_by_name(root: Path, tmp_path: Path) -> None:
    prepare("folder", root, tmp_path / "out", shape=SHAPE, processes=1)
    with pytest.raises(
        DatasetError, match=r"was begun with key_frame_interval 4; .* key_frame_interval 8\. "
    ):
        prepare("folder", root, tmp_path / "out", shape=Shape(64, 8), processes=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (b"", "not the settings that prepare writes (not JSON)"),
        (b'{"version": 1', "not the settings that prepare writes (not JSON)"),
        (b"\xff\xfe", "not the settings that prepare writes (not JSON)"),
        (b"[1]", "not the settings that prepare writes (list instead of an object)"),
        (None, "not the settings that prepare writes (Is a directory)"),
        (b'{"version": "1"}', "was begun with version '1', dataset None, short_side None; asked"),
    ],
)
@pytest.mark.parametrize("verb", ["prepare", "prepare --dry-run"])
def test_settings_that_are_none_are_said_in_one_line(
    capsys: pytest.CaptureFixture[str],
    root: Path,
    tmp_path: Path,
    settings: bytes | None,
    message: str,
    verb: str,
) -> None:
    path = tmp_path / "out/prepare.json"
    path.parent.mkdir()
    path.mkdir() if settings is None else path.write_bytes(settings)
    code, out, err = run(capsys, *verb.split(), "folder", "--root", root, "--out", path.parent)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert "choose another" in err
    assert contents(path.parent) == ({} if settings is None else {path.name: settings})


def test_a_second_run_at_the_same_place_is_refused(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def prepare_again(done: int, total: int) -> None:
        with pytest.raises(DatasetError, match="another run of stmnet prepare is at work there"):
            prepare("folder", root, out, shape=SHAPE, processes=1)

    summary = prepare("folder", root, out, shape=SHAPE, processes=1, on_video=prepare_again)
    assert summary.num_done == 6


def test_the_summary_is_said(
    capsys: pytest.CaptureFixture[str], root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, said, err = run(capsys, "prepare", "folder", "--root", root, "--out", out)
    assert code == 0
    assert "made now    6 of 8 videos" in said
    assert "incomplete  3" in said
    assert "left out    1 files that are neither video nor list, the first archive.zip" in said
    assert err.splitlines() == [
        "stmnet: 3 videos are incomplete (2 of them could not be made at all): "
        f"{out}/unreadable.txt says why, and is a list for data.exclude"
    ]


def test_a_dry_run_tells_the_size_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = estimate("folder", root, out, shape=SHAPE, processes=2)
    code, said, err = run(
        capsys, "prepare", "folder", "--root", root, "--out", out, "--short-side", 64, "--dry-run"
    )
    assert (code, err) == (0, "")
    assert "to make     8 of 8 videos" in said
    assert "estimated from 6 of them" in said
    assert not out.exists()
    summary = prepare("folder", root, out, shape=SHAPE, processes=2)
    # All eight are samples here; what cannot be read is taken to be like the others.
    whole = found.bytes_in * summary.bytes_out / summary.bytes_in
    assert found.bytes_out == pytest.approx(whole, abs=1)


def test_a_disk_that_is_full_is_said_once(root: Path, tmp_path: Path) -> None:
    program = f"""
import os, resource, sys
from stmnet.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))
sys.exit(main(["prepare", "folder", "--root", {str(root)!r}, "--out", {str(tmp_path / "out")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "cannot be written (File too large)" in line
    assert "are finished and kept" in line
    assert not [name for name in contents(tmp_path / "out") if name.endswith(".partial")]
    summary = prepare("folder", root, tmp_path / "out")
    assert summary.num_done + summary.num_kept == 6


# ---- processes that are ended ----


@pytest.fixture(scope="module")
def long_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough work that a run is seldom done before it is killed."""
    folder = tmp_path_factory.mktemp("long")
    root = folder / "in"
    (root / "frames").mkdir(parents=True)
    options = {"num_frames": 50, "width": 320, "height": 240}
    whole = write_video(folder / "a.mp4", container_options={"movflags": "faststart"}, **options)
    web = write_video(folder / "b.webm", codec="libvpx-vp9", **options)
    for number in range(24):
        shutil.copy(whole, root / f"{number:02}.mp4")
    for number in range(24, 30):
        shutil.copy(web, root / f"{number:02}.webm")
    for number in (3, 9, 15):
        cut(root / f"{number:02}.mp4")
    (root / "08.mp4").write_text("no video")
    for number in range(6):
        write_frames(root / f"frames/{number}", 8, 320, 240)
    (root / "list.csv").write_text("a,b\n")
    return root


def start(root: Path, out: Path) -> subprocess.Popen[str]:
    options = ("--short-side", "128", "--processes", "2")
    return subprocess.Popen(
        [STMNET, "prepare", "folder", "--root", root, "--out", out, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def num_finished(out: Path) -> int:
    return sum(1 for path in (*out.glob("[0-9]*.*"), *out.glob("frames/[0-9]*")))


def wait_for(process: subprocess.Popen[str], out: Path, count: int) -> None:
    while num_finished(out) < count and process.poll() is None:
        time.sleep(0.002)


def cpu_ticks(pid: int) -> int:
    # After the name, which may hold anything, in brackets: user time is the twelfth field.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


@pytest.mark.slow
def test_ten_kills_and_a_resume_end_as_one_run(long_root: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(long_root, whole)
    _, errors = process.communicate()
    assert process.returncode == 0, errors

    random_moments = random.Random(0)
    num_kills = num_partial = 0
    while num_kills < 10:
        process = start(long_root, killed)
        wait_for(process, killed, num_finished(killed) + random_moments.randint(0, 2))
        time.sleep(random_moments.uniform(0, 0.1))
        with suppress(ProcessLookupError):  # it has ended, and was seen to
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:  # It was quicker: this test may have to wait for a core.
            assert contents(killed) == contents(whole)
            shutil.rmtree(killed)
            continue
        assert process.returncode == -signal.SIGKILL
        num_kills += 1
        num_partial += len(list(killed.rglob(".*.partial")))
    assert num_partial > 0, "no kill came in the midst of a file"

    from_before = num_finished(killed)
    process = start(long_root, killed)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert ("from before 0" in said) == (from_before == 0)
    assert contents(killed) == contents(whole)
    assert len((whole / "unreadable.txt").read_text().splitlines()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_stops_in_one_line_and_cleans_up(
    long_root: Path, tmp_path: Path, seconds: float
) -> None:
    out = tmp_path / "out"
    process = start(long_root, out)
    # The list is copied right before the processes start.
    while not (out / "list.csv").exists():
        time.sleep(0.002)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert said == ""
    assert len(errors.splitlines()) == 1, errors
    line = errors.strip()
    assert "of 36 videos are finished and kept. The same command goes on." in line
    assert not list(out.rglob(".*.partial"))


@pytest.mark.slow
def test_a_process_that_is_killed_costs_one_video(long_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(long_root, out)
    wait_for(process, out, 3)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("no /proc to find the processes in")
    workers = [
        int(pid)
        for pid in children.read_text().split()
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(workers) == 2
    # One of them is at work, and on a loaded machine the other may not have started yet.
    os.kill(max(workers, key=cpu_ticks), signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    lines = (out / "unreadable.txt").read_text().splitlines()
    (killed,) = [line.split("\t")[0] for line in lines if "SIGKILL" in line]
    listed = {line.split("\t")[0] for line in lines}
    assert listed == {"03.mp4", "08.mp4", "09.mp4", "15.mp4", killed}
    assert num_finished(out) == 34
    assert not (out / killed).exists()
