"""A clip's frames: of a file, a folder, a part of a recording, at a varying rate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_center, read_clip, read_clips
from stmnet.datasets.clip_list import Clip
from stmnet.errors import VideoError
from stmnet.video.frames import read_frames
from stmnet.video.reader import VideoFile
from tests.conftest import VideoWriter, decode_all
from tests.video.test_exactness import encode


def test_a_part_of_a_recording_is_a_clip_of_its_own(make_video: VideoWriter) -> None:
    video = make_video("long.mp4", num_frames=60)
    lengths: list[int] = []

    def choose(num_frames: int) -> list[int]:
        lengths.append(num_frames)
        return [0, num_frames - 1]

    frames = read_clip(Clip(video, 0, start_frame=20, end_frame=50), choose)
    assert lengths == [30]
    assert torch.equal(frames, read_frames(video, [20, 49]))
    # A list may round its last segment up.
    assert torch.equal(read_clip(Clip(video, 0, 50, 70), choose), read_frames(video, [50, 59]))
    with pytest.raises(VideoError, match=r"long.mp4: the clip starts at frame 60, .* has 60"):
        read_clip(Clip(video, 0, 60, 70), choose)


def test_every_segment_of_the_room_is_read(shared: Path) -> None:
    video = sorted((shared / "videos" / "room").glob("*.mp4"))[0]
    clip = Clip(video, 0, start_frame=102, end_frame=179)
    preprocessing = Preprocessing(num_frames=8, short_side=128, crop_size=112)
    frames = read_center(clip, preprocessing)
    expected = decode_all(video)[[102 + (2 * k + 1) * 77 // 16 for k in range(8)]]
    assert torch.equal(frames.permute(0, 2, 3, 1), torch.from_numpy(expected))


def test_by_time_the_slow_part_of_a_video_is_sampled_more(tmp_path: Path) -> None:
    # 20 frames in 0.8 s, then 20 that take 3.2 s.
    times = [4 * t for t in range(20)] + [80 + 16 * t for t in range(20)]
    video = encode(tmp_path / "a.mp4", "libx264", times=times, num_frames=40)
    by_index = Preprocessing(num_frames=8, short_side=64, crop_size=64)
    by_time = Preprocessing(num_frames=8, short_side=64, crop_size=64, by_time=True)
    expected = torch.from_numpy(decode_all(video)).permute(0, 3, 1, 2)
    # The middles of eight equal segments of frames; and those of the parts of 39 gaps' time:
    # parts 2, 7, 12, ... are shown at 2.5, 7.5, ... times 384 / 39 hundredths.
    frames = [(2 * k + 1) * 40 // 16 for k in range(8)]
    assert torch.equal(read_center(Clip(video, 0), by_index), expected[frames])
    hundredths = [(part + 0.5) * times[-1] / 39 for part in frames]
    shown = [max(n for n, time in enumerate(times) if time <= at) for at in hundredths]
    assert shown != frames
    assert torch.equal(read_center(Clip(video, 0), by_time), expected[shown])


def test_pixels_are_square_where_the_file_says_they_are_not(tmp_path: Path) -> None:
    video = encode(tmp_path / "wide.mp4", "libx264", options={"x264-params": "sar=3/2"})
    assert read_frames(video, [3]).shape == (1, 3, 64, 80)
    square = read_frames(video, [3], square_pixels=True)
    assert square.shape == (1, 3, 64, 120)
    narrow = torch.nn.functional.interpolate(square.float(), size=(64, 80), mode="area")
    assert (narrow - read_frames(video, [3]).float()).abs().mean() < 6
    assert read_clip(Clip(video, 0), lambda _: [3]).shape == (1, 3, 64, 120)


def test_a_cut_video_is_sampled_from_what_is_there(make_video: VideoWriter, tmp_path: Path) -> None:
    whole = make_video(
        "whole.mp4", num_frames=40, options={"g": "1"}, container_options={"movflags": "faststart"}
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    lengths: list[int] = []

    def choose_last(num_frames: int) -> list[int]:
        lengths.append(num_frames)
        return [num_frames - 1]

    remarks: list[str] = []
    frames = read_clip(Clip(cut, 0), choose_last, remark=remarks.append)
    (remark,) = remarks
    assert remark == (
        f"{cut}: ends after {lengths[-1]} frames, before the length its header states (a cut "
        "file?); these are used."
    )
    last = lengths[-1] - 1
    assert 5 < last < 35
    expected = torch.from_numpy(decode_all(whole)).permute(0, 3, 1, 2)[last]
    # The last frame may be cut in its own middle: its upper part is whole.
    assert torch.equal(frames[0, :, :4], expected[:, :4])


def test_each_frame_is_decoded_once(
    make_video: VideoWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video("long.mp4", num_frames=50)
    asked: list[list[int]] = []
    read = VideoFile.read

    def count(self: VideoFile, indices: list[int], **options: bool) -> torch.Tensor:
        asked.append(list(indices))
        return read(self, indices, **options)

    monkeypatch.setattr(VideoFile, "read", count)
    chosen = [[3, 20, 20], [4, 5, 49], [3, 4, 20]]
    frames, members = read_clips(Clip(video, 0, 0, 50), lambda num_frames: chosen)
    assert asked == [[3, 4, 5, 20, 49]]
    everything = torch.from_numpy(decode_all(video)).permute(0, 3, 1, 2)
    for clip, indices in zip(members, chosen, strict=True):
        assert torch.equal(frames[clip], everything[indices])


def test_a_video_by_time_has_the_frames_on_screen(make_video: VideoWriter) -> None:
    video = make_video("constant.mp4", num_frames=30)
    clip = Clip(video, 0, 10, 30)
    frames, members = read_clips(clip, lambda num_frames: [[0, num_frames - 1]], by_time=True)
    everything = torch.from_numpy(decode_all(video)).permute(0, 3, 1, 2)
    assert torch.equal(frames[members[0]], everything[[10, 29]])
