"""A folder of frames is read by the same calls as a video file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stmnet.errors import TruncatedVideoError, VideoError
from stmnet.video.frames import open_frames, probe, read_frames
from stmnet.video.video_paths import find_videos
from tests.conftest import write_gif

NAMES = ["{:05d}.jpg", "img_{:05d}.jpg", "frame{:06d}.jpg", "img_{:05d}.JPEG", "{}.png"]


def write_frames(folder: Path, pattern: str, num_frames: int = 12, start: int = 1) -> np.ndarray:
    """Frames of one color each: (T, 3) of what was written."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    colors = rng.integers(0, 255, (num_frames, 3), dtype=np.uint8)
    for number, color in enumerate(colors, start=start):
        image = np.broadcast_to(color, (20, 30, 3)).copy()
        Image.fromarray(image).save(folder / pattern.format(number), quality=95)
    return colors


@pytest.mark.parametrize("pattern", NAMES)
def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, pattern: str) -> None:
    colors = write_frames(tmp_path / "clip", pattern)
    (tmp_path / "clip" / "notes.txt").touch()
    (tmp_path / "clip" / ".00000.jpg").touch()
    indices = [11, 0, 9, 9, 10]
    frames = read_frames(tmp_path / "clip", indices)
    assert frames.shape == (5, 3, 20, 30)
    assert frames.dtype == torch.uint8
    found = frames.float().mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(found, colors[indices], atol=3)
    info = probe(tmp_path / "clip")
    assert (info.num_frames, info.width, info.height, info.is_truncated) == (12, 30, 20, False)


def test_the_bytes_are_those_of_another_jpeg_decoder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "clip").mkdir()
    image = np.kron(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    Image.fromarray(image).save(tmp_path / "clip" / "00001.jpg", subsampling=0)
    expected = np.asarray(Image.open(tmp_path / "clip" / "00001.jpg"), dtype=int)
    frame = read_frames(tmp_path / "clip", [0])[0].permute(1, 2, 0).numpy().astype(int)
    assert abs(frame - expected).max() <= 1


def test_gray_images_come_as_rgb(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    Image.new("L", (16, 16), 77).save(tmp_path / "clip" / "1.png")
    assert (read_frames(tmp_path / "clip", [0]) == 77).all()


def test_16_bits_come_as_8(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(values * 257).save(tmp_path / "clip" / "1.png")
    frames = read_frames(tmp_path / "clip", [0])
    assert frames.dtype == torch.uint8
    np.testing.assert_array_equal(frames[0], np.stack([values] * 3))


def test_a_folder_is_listed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clip"
    write_frames(folder, "{:05d}.jpg", num_frames=3)
    listed: list[Path] = []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: listed.append(path) or iterdir(path))
    for _ in range(4):
        assert probe(folder).num_frames == 3
    assert listed == [folder]
    (folder / "00004.jpg").write_bytes((folder / "00003.jpg").read_bytes())
    os.utime(folder, ns=(1, 1))
    assert probe(folder).num_frames == 4


def test_damage_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    write_frames(folder, "{:05d}.jpg", num_frames=4)
    with pytest.raises(TruncatedVideoError, match="frame 4 was asked for, but the folder has 4"):
        read_frames(folder, [0, 4])
    with pytest.raises(VideoError, match="frame -1 was asked for"):
        read_frames(folder, [-1])
    (folder / "00002.jpg").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"00002\.jpg: not a readable image"):
        read_frames(folder, [0, 1])
    (folder / "00002.jpg").unlink()
    assert probe(folder).is_truncated, "a number is missing"
    Image.new("RGB", (8, 8)).save(folder / "00002.jpg")
    with pytest.raises(VideoError, match="the images differ in size"):
        read_frames(folder, [0, 1])
    (tmp_path / "none").mkdir()
    with pytest.raises(VideoError, match="none: no frames in this folder"):
        open_frames(tmp_path / "none")
    (tmp_path / "none" / "clip.MP4").touch()
    with pytest.raises(VideoError, match="It holds videos: move them up, beside it"):
        open_frames(tmp_path / "none")


def test_two_images_of_one_number_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    write_frames(folder, "{:05d}.jpg", num_frames=3)
    (folder / "00002.jpg").rename(folder / "00001.png")
    for read in (probe, lambda path: read_frames(path, [0])):
        with pytest.raises(VideoError, match=r"clip: 00001\.jpg and 00001\.png have the same"):
            read(folder)
    assert find_videos([folder]) == [folder], "so that the one who reads it is told"
    (folder / "00001.png").unlink()
    assert probe(folder).is_truncated, "number 2 is missing"


def test_a_folder_of_frames_is_found_as_one_video(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", "{:05d}.jpg", num_frames=2)
    assert find_videos([tmp_path / "clip"]) == [tmp_path / "clip"]
    # What was computed from the frames is none of its own.
    write_frames(tmp_path / "clip/flow", "{:05d}.jpg", num_frames=2)
    assert find_videos([tmp_path / "clip"]) == [tmp_path / "clip"]


def test_folders_of_frames_are_found_below_others(tmp_path: Path) -> None:
    clips = [tmp_path / "data" / name for name in ("1", "2", "more/3")]
    for clip in clips:
        clip.parent.mkdir(parents=True, exist_ok=True)
        write_frames(clip, "{:05d}.jpg", num_frames=2)
    write_frames(tmp_path / "data/.hidden", "{:05d}.jpg", num_frames=2)
    (tmp_path / "data/empty").mkdir()
    assert find_videos([tmp_path / "data"]) == clips
    (tmp_path / "data/more/3.mp4").touch()
    (tmp_path / "data/more/preview_1.jpg").touch()
    assert find_videos([tmp_path / "data"]) == [*clips, tmp_path / "data/more/3.mp4"]


def test_a_gif_among_frames_is_their_preview(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_frames(tmp_path / "data/1", "{:05d}.jpg", num_frames=3)
    write_gif(tmp_path / "data/1/preview.gif")
    assert find_videos([tmp_path / "data"]) == [tmp_path / "data/1"]
    assert find_videos([tmp_path / "data/1"]) == [tmp_path / "data/1"]
    assert probe(tmp_path / "data/1").num_frames == 3
    # A folder of clips may hold an image, too.
    clips = [write_gif(tmp_path / "clips" / name) for name in ("a.gif", "b.gif")]
    shutil.copy(tmp_path / "data/1/00001.jpg", tmp_path / "clips/poster1.jpg")
    assert find_videos([tmp_path / "clips"]) == clips


def test_a_pipe_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    for read in (probe, lambda path: read_frames(path, [0])):
        with pytest.raises(
            VideoError, match=r"a\.mp4: is a pipe or a device\. Save the video as a"
        ):
            read(tmp_path / "a.mp4")


def test_reading_says_nothing_on_stderr(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", "{:05d}.jpg", num_frames=2)
    code = f"import stmnet; print(len(stmnet.read_frames({str(tmp_path / 'clip')!r}, [0, 1])))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("2\n", "")
