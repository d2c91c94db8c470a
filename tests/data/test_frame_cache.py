"""Frames that are kept: as decoded, within the stated size, for all workers."""

from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stmnet.data import clip_datasets
from stmnet.data.augmentation import Augmentation
from stmnet.data.clip_datasets import EvaluationClips, TrainingClips
from stmnet.data.frame_cache import ENTRY, FrameCache
from stmnet.data.loaders import TrainingLoader
from stmnet.data.preprocessing import Preprocessing
from stmnet.datasets.clip_list import Clip, ClipList
from tests.conftest import VideoWriter, write_video

SIZE = 2 * 3 * 6 * 8


def frames(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, 6, 8), dtype=torch.uint8, generator=generator)


def capacity(entries: int, kept: int) -> int:
    return (entries + 1) * ENTRY.itemsize + kept * SIZE


def test_what_is_put_comes_back_and_what_does_not_fit_is_not_kept() -> None:
    cache = FrameCache(4, capacity(4, kept=2))
    for number in (3, 0, 1):
        assert cache.get(number) is None
        cache.put(number, frames(number))
    assert torch.equal(cache.get(3), frames(3))
    assert torch.equal(cache.get(0), frames(0))
    assert cache.get(1) is None
    assert cache.is_full
    cache.put(0, frames(9))
    assert torch.equal(cache.get(0), frames(0)), "what is kept stays"


def test_the_file_has_no_name_and_is_no_larger_than_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache = FrameCache(2, capacity(2, kept=1))
    cache.put(0, frames(0))
    cache.put(1, frames(1))
    assert os.fstat(cache._descriptor).st_size == capacity(2, kept=1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FrameCache(2, capacity(2, kept=2))

    def no_room(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", no_room)
    cache.put(0, frames(0))
    assert cache.get(0) is None
    assert cache.is_full


def put_some(cache: FrameCache, numbers: range) -> None:
    for number in numbers:
        cache.put(number, frames(number))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_what_they_keep(method: str) -> None:
    cache = FrameCache(40, capacity(40, kept=40))
    context = get_context(method)
    started = [
        context.Process(target=put_some, args=(cache, numbers))
        for numbers in (range(0, 40, 2), range(1, 40, 2), range(0, 40, 3))
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
        assert process.exitcode == 0
    for number in range(40):
        assert torch.equal(cache.get(number), frames(number))


@pytest.fixture(scope="module")
def clip_list(tmp_path_factory: pytest.TempPathFactory) -> ClipList:
    folder = tmp_path_factory.mktemp("clips")
    videos = [
        write_video(folder / f"{n}.mp4", num_frames=9 + n, width=64, height=48) for n in range(6)
    ]
    clips = [Clip(video, n % 2) for n, video in enumerate(videos)]
    return ClipList((*clips, Clip(videos[3], 1, start_frame=2, end_frame=9)), ("a", "b"))


PREPROCESSING = Preprocessing(4, short_side=36, crop_size=32)


def training_clips(
    clip_list: ClipList, cache: FrameCache | None, *, by_time: bool = False, short_side: int = 36
) -> TrainingClips:
    # One short side: augmentation resizes to it by itself, so that a cache changes no pixel.
    augmentation = Augmentation(
        crop="scale_jitter",
        scales=(1.0,),
        num_crop_positions=13,
        short_sides=(short_side,),
        flip_probability=0.5,
        brightness=0.2,
        contrast=0.0,
        saturation=0.0,
        hue=0.0,
        grayscale_probability=0.0,
    )
    preprocessing = Preprocessing(4, short_side=36, crop_size=32, by_time=by_time)
    return TrainingClips(
        clip_list, preprocessing, augmentation, sampling="segments", seed=3, cache=cache
    )


@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("num_kept", [7, 3, 0])
def test_samples_are_those_without_a_cache(
    clip_list: ClipList, by_time: bool, num_kept: int
) -> None:
    num_bytes = 8 * ENTRY.itemsize + sum(
        3 * 36 * 48 * length for length in (9, 10, 11, 12, 13, 14, 7)[:num_kept]
    )
    cached = training_clips(clip_list, FrameCache(7, num_bytes), by_time=by_time)
    plain = training_clips(clip_list, None, by_time=by_time)
    for epoch in range(3):
        for number in range(7):
            with_cache, without = cached[epoch, number], plain[epoch, number]
            assert torch.equal(with_cache.frames, without.frames)
            assert torch.equal(with_cache.colors, without.colors)
            assert with_cache.label == without.label
    assert [cached.cache.get(number) is not None for number in range(7)] == [
        number < num_kept for number in range(7)
    ]


def test_frames_are_resized_first_whether_they_are_kept_or_not(clip_list: ClipList) -> None:
    kept = training_clips(clip_list, FrameCache(7, 2**22), short_side=40)
    full = training_clips(clip_list, FrameCache(7, 0), short_side=40)
    for epoch in range(2):
        for number in range(7):
            assert torch.equal(kept[epoch, number].frames, full[epoch, number].frames)
    assert kept.cache.get(0) is not None
    assert full.cache.get(0) is None


def test_a_clip_is_decoded_once(clip_list: ClipList, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    read_clip = clip_datasets.read_clip

    def counting(clip: Clip, *arguments: object, **options: object) -> Tensor:
        reads.append(clip.video)
        return read_clip(clip, *arguments, **options)

    monkeypatch.setattr(clip_datasets, "read_clip", counting)
    clips = training_clips(clip_list, FrameCache(7, 2**22))
    for epoch in range(3):
        for number in range(7):
            assert clips[epoch, number].frames is not None
    assert sorted(reads) == sorted(clip.video for clip in clip_list.clips)


def test_a_clip_that_is_cut_off_is_remarked_on_in_every_epoch(
    tmp_path: Path, make_video: VideoWriter
) -> None:
    video = make_video("cut.mp4", num_frames=40, container_options={"movflags": "faststart"})
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    clips = training_clips(ClipList((Clip(video, 0),), ("a", "b")), FrameCache(1, 2**22))
    remarks = [clips[epoch, 0].remarks for epoch in range(2)]
    assert remarks[0]
    assert remarks[0] == remarks[1]


def test_center_views_are_kept_as_they_are_scored(clip_list: ClipList) -> None:
    cache = FrameCache(10, 2**22)
    cached = EvaluationClips(clip_list, PREPROCESSING, cache=cache, first=3)
    plain = EvaluationClips(clip_list, PREPROCESSING)
    for _ in range(2):
        for number in range(7):
            assert torch.equal(cached[number].frames, plain[number].frames)
    assert [cache.get(number) is not None for number in range(10)] == 3 * [False] + 7 * [True]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_fill_one_cache(clip_list: ClipList, num_workers: int) -> None:
    def batches(cache: FrameCache | None) -> list[Tensor]:
        loader = TrainingLoader(
            training_clips(clip_list, cache),
            batch_size=3,
            num_workers=num_workers,
            pin_memory=False,
        )
        seen = []
        for epoch in range(2):
            loader.epoch_sampler.set_epoch(epoch)
            seen += [batch.frames.clone() for batch in loader]
        return seen

    cache = FrameCache(7, 2**22)
    for with_cache, without in zip(batches(cache), batches(None), strict=True):
        assert torch.equal(with_cache, without)
    assert sum(cache.get(number) is not None for number in range(7)) >= 6
