"""Frames by number are those of a full decode; damage is named."""

from __future__ import annotations

import gc
import random
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from stmnet.errors import TruncatedVideoError, VideoError
from stmnet.video.frames import probe, read_frames
from stmnet.video.reader import VideoFile
from stmnet.video.video_paths import find_videos
from tests.conftest import VideoWriter, decode_all, write_audio, write_gif, write_video

CODECS = [
    # name, codec, options
    ("b_frames.mp4", "libx264", {"bf": "3", "g": "12"}),
    ("all_intra.mp4", "libx264", {"g": "1"}),
    ("vp9.webm", "libvpx-vp9", {"g": "10"}),
    ("mpeg4.avi", "mpeg4", {"bf": "2", "g": "9"}),
    ("hevc.mkv", "libx265", {"x265-params": "log-level=none"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), CODECS)
def test_frames_are_those_of_a_full_decode(
    make_video: VideoWriter, name: str, codec: str, options: dict[str, str]
) -> None:
    path = make_video(name, codec=codec, options=options, num_frames=29)
    expected = decode_all(path)
    indices = [17, 3, 3, 28, 0, 11]
    frames = read_frames(path, indices)
    assert frames.shape == (6, 3, 72, 96)
    np.testing.assert_array_equal(frames.permute(0, 2, 3, 1).numpy(), expected[indices])


@pytest.mark.parametrize(("name", "codec", "options"), CODECS)
def test_probe_counts_what_can_be_decoded(
    make_video: VideoWriter, name: str, codec: str, options: dict[str, str]
) -> None:
    path = make_video(name, codec=codec, options=options, num_frames=31, fps=25)
    info = probe(path)
    assert info.num_frames == len(decode_all(path)) == 31
    assert info.fps == 25
    assert info.duration_seconds == pytest.approx(31 / 25)
    assert (info.width, info.height) == (96, 72)
    assert not info.is_truncated


def test_real_files_read_as_a_full_decode(shared: Path) -> None:
    files = [
        shared / "videos/clips/demo.mp4",
        shared / "videos/clips/webm/task5_0.webm",
        *sorted((shared / "videos/ucf101").glob("*/*.avi"))[::80],
    ]
    for path in files:
        expected = decode_all(path)
        info = probe(path)
        assert info.num_frames == len(expected), path
        assert not info.is_truncated, path
        indices = [len(expected) - 1, 0, len(expected) // 2]
        frames = read_frames(path, indices).permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(frames, expected[indices], err_msg=str(path))


def test_a_cut_file_says_so_and_gives_what_is_there(
    make_video: VideoWriter, tmp_path: Path
) -> None:
    whole = make_video(
        "whole.mp4", num_frames=40, options={"g": "1"}, container_options={"movflags": "faststart"}
    )
    expected = decode_all(whole)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    info = probe(cut)
    assert info.is_truncated
    assert 5 < info.num_frames < 35
    with pytest.raises(TruncatedVideoError, match=r"cut\.mp4: frame 39 .* can be decoded") as error:
        read_frames(cut, [39])
    assert 0 < error.value.num_decoded <= info.num_frames
    last = error.value.num_decoded - 1
    frames = read_frames(cut, [0, last - 1]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(frames, expected[[0, last - 1]])


@pytest.mark.parametrize("name", ["videos/ucf101", "videos/clips/webm"])
def test_real_cut_files_are_recognized_as_such(shared: Path, tmp_path: Path, name: str) -> None:
    whole = sorted(path for path in (shared / name).rglob("*") if path.is_file())[0]
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert probe(cut).is_truncated


def test_a_packet_of_impossible_size_ends_the_file(make_video: VideoWriter, tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    data = bytearray(make_video("whole.mp4", num_frames=12, options=options).read_bytes())
    sizes = data.find(b"stsz") + 16  # of every packet, 32 bits each (ISO/IEC 14496-12, 8.7.3.2)
    damaged = tmp_path / "damaged.mp4"

    data[sizes + 4 * 7] |= 0x20  # one bit; FFmpeg: "cannot allocate memory"
    damaged.write_bytes(data)
    assert probe(damaged).num_frames < 12
    assert probe(damaged).is_truncated
    with pytest.raises(TruncatedVideoError, match=r"frame 11 .* only \d can be decoded"):
        read_frames(damaged, [11])

    data[sizes] |= 0x20
    damaged.write_bytes(data)
    with pytest.raises(VideoError, match=r"damaged\.mp4: the video stream has no frames"):
        probe(damaged)
    with pytest.raises(VideoError, match=r"damaged\.mp4"):
        read_frames(damaged, [0])


def test_unreadable_files_are_named_with_a_remedy(make_video: VideoWriter, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is no video at all.\n" * 50)
    write_audio(tmp_path / "sound.mp4")
    no_index = make_video("no_index.mp4")
    no_index.write_bytes(no_index.read_bytes()[: no_index.stat().st_size // 2])
    for name, reason in [
        ("missing.mp4", "no such file. Give the path of a video file."),
        ("empty.mp4", "the file is empty. Download or copy it again."),
        ("text.mp4", "not a readable video .*Download it again, or remove it."),
        ("sound.mp4", r"no video stream \(audio only\). Remove it from the list of videos."),
        ("no_index.mp4", r"not a readable video \(an mp4 whose frame table is cut off"),
        (".", "no frames in this folder"),
    ]:
        for read in (probe, lambda path: read_frames(path, [0])):
            with pytest.raises(VideoError, match=reason) as error:
                read(tmp_path / name)
            assert str(error.value).startswith(str(tmp_path / name))
            assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "codec", "options"), CODECS)
def test_a_closed_file_frees_its_decoder_at_once(
    make_video: VideoWriter, name: str, codec: str, options: dict[str, str]
) -> None:
    """Not when Python's collector next comes by: workers would hold hundreds of decoders."""
    path = make_video(name, codec=codec, options=options, num_frames=40)
    gc.disable()
    try:
        with VideoFile(path) as video:
            video.read([35])
            held = [weakref.ref(video), weakref.ref(video._index)]
        del video
        assert [reference() for reference in held] == [None, None]
    finally:
        gc.enable()


def test_files_of_two_sizes_are_read_side_by_side_in_threads(make_video: VideoWriter) -> None:
    paths = [
        make_video("small.mp4", codec="libx264", options={}, num_frames=20),
        make_video("large.mp4", codec="libx264", options={}, num_frames=20, width=128, height=96),
    ]
    expected = [decode_all(path)[[3, 17]] for path in paths]
    with ThreadPoolExecutor(4) as threads:
        read = list(threads.map(lambda n: read_frames(paths[n % 2], [3, 17]), range(24)))
    for number, frames in enumerate(read):
        np.testing.assert_array_equal(frames.permute(0, 2, 3, 1).numpy(), expected[number % 2])


def test_negative_index_is_refused(make_video: VideoWriter) -> None:
    with pytest.raises(VideoError, match="frame -1 was asked for"):
        read_frames(make_video("a.mp4"), [0, -1])


def test_indices_may_be_whatever_holds_whole_numbers(make_video: VideoWriter) -> None:
    path = make_video("a.mp4")
    expected = read_frames(path, [2, 0, 2])
    for indices in (np.array([2, 0, 2]), torch.tensor([2, 0, 2]), (n for n in (2, 0, 2))):
        torch.testing.assert_close(read_frames(path, indices), expected, rtol=0, atol=0)
    with pytest.raises(TypeError, match="integer"):
        read_frames(path, [1.5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no frame indices"):
        read_frames(path, [])


@pytest.mark.parametrize("name", ["a.mp4", "a.3gp"])
def test_codecs_that_state_their_size_in_each_frame(make_video: VideoWriter, name: str) -> None:
    codec = "h263" if name == "a.3gp" else "mpeg4"
    info = probe(make_video(name, codec=codec, width=128, height=96))
    assert (info.width, info.height) == (128, 96)


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "clips" / "a.gif", num_frames=40)
    write_video(tmp_path / "clips" / "b.mp4")
    (tmp_path / "clips" / "poster.png").touch()
    assert find_videos([tmp_path / "clips"]) == [path, tmp_path / "clips" / "b.mp4"]
    info = probe(path)
    assert (info.num_frames, info.fps, info.width, info.height) == (40, 12.5, 96, 72)
    decoded = decode_all(path)
    chosen = random.Random(0).sample(range(40), 12)
    np.testing.assert_array_equal(read_frames(path, chosen).permute(0, 2, 3, 1), decoded[chosen])


def test_find_videos_keeps_files_and_opens_folders(make_video: VideoWriter, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    video = make_video("one.mp4")
    shutil.copy(video, folder / "b.MP4")
    shutil.copy(video, folder / "deep" / "a.webm")
    (folder / "notes.txt").touch()
    found = find_videos([video, folder])
    assert found == [video, folder / "b.MP4", folder / "deep" / "a.webm"]
    (tmp_path / "none").mkdir()
    with pytest.raises(VideoError, match="none: no video in this folder"):
        find_videos([tmp_path / "none"])
