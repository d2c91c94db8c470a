"""Testing with views: against a slow reference written from section 4.2, and against one by one."""

from __future__ import annotations

from fractions import Fraction
from math import exp
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stmnet.data.clip_datasets import EvaluationClips
from stmnet.data.evaluation_views import VideoViews, choose_clips
from stmnet.data.loaders import evaluation_loader
from stmnet.data.view_plan import ViewPlan
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.errors import VideoError
from stmnet.evaluation.scoring import (
    Scoring,
    cut_into_pieces,
    mean_over_views,
    score_clips,
    score_pieces,
)
from stmnet.files import packaged_file
from stmnet.motion.classes import LABEL_NAMES
from stmnet.motion.clips import write_video
from stmnet.recognizer import Recognizer, load
from tests.conftest import VideoWriter, decode_all

SAMPLES = [
    packaged_file("samples") / f"{name.lower().replace(' ', '_')}.mp4" for name in LABEL_NAMES
]
THIRTY = ViewPlan.parse("30")
SEED = 5


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load("motion", device="cpu")


def score(recognizer: Recognizer, clip_list: ClipList, scoring: Scoring) -> torch.Tensor:
    pieces = cut_into_pieces(len(clip_list.clips), scoring.plan)
    return torch.cat(list(score_pieces(recognizer, clip_list, scoring, pieces)))


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def scores_by_section_4_2(recognizer: Recognizer, video: Path, place: int) -> list[list[float]]:
    """30 views of a video, one frame and one crop at a time: a list of K probabilities each."""
    preprocessing = recognizer.config.preprocessing
    num_segments, side = preprocessing.num_frames, preprocessing.short_side
    frames = decode_all(video)
    num_frames, height, width = frames.shape[:3]
    state = np.random.SeedSequence((SEED, place)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> 1))
    scores = []
    for _ in range(10):
        # "We randomly sample 10 times from the full-length video", one frame from each of T
        # segments of equal durations.
        clip = []
        for segment in range(num_segments):
            start = int(Fraction(segment * num_frames, num_segments))
            end = max(int(Fraction((segment + 1) * num_frames, num_segments)), start + 1)
            clip.append(frames[int(torch.randint(start, end, (), generator=generator))])
        # "We first scale the shorter spatial side to 256 pixels"
        if width >= height:
            scaled = [resize(frame, side, side * width // height) for frame in clip]
        else:
            scaled = [resize(frame, side * height // width, side) for frame in clip]
        free = max(scaled[0].shape[:2]) - side
        # "and take three crops of 256 x 256 to cover the spatial dimensions and then resize them"
        for offset in (0, free // 2, free):
            top, left = (0, offset) if width >= height else (offset, 0)
            view = np.zeros((1, num_segments, 3, *2 * [preprocessing.crop_size]), np.float32)
            for t, frame in enumerate(scaled):
                crop = frame[top : top + side, left : left + side]
                crop = resize(np.ascontiguousarray(crop), *2 * [preprocessing.crop_size])
                for channel in range(3):
                    level = crop[..., channel] / 255 - preprocessing.mean[channel]
                    view[0, t, channel] = level / preprocessing.std[channel]
            # "and compute the softmax scores individually."
            with torch.no_grad():
                logits = recognizer.network(torch.from_numpy(view))[0].double().tolist()
            total = sum(exp(logit) for logit in logits)
            scores.append([exp(logit) / total for logit in logits])
    return scores


@pytest.mark.slow
def test_thirty_views_are_those_of_section_4_2(
    recognizer: Recognizer, make_video: VideoWriter, tmp_path: Path
) -> None:
    upright = tmp_path / "upright.mp4"
    write_video(upright, decode_all(SAMPLES[8]).transpose(0, 2, 1, 3)[:, :92], fps=12)
    short = make_video("short.mp4", num_frames=3)
    videos = [*SAMPLES, upright, short]
    clip_list = ClipList(tuple(Clip(video, n % 12) for n, video in enumerate(videos)), LABEL_NAMES)
    ours = score(recognizer, clip_list, Scoring(THIRTY, SEED))
    assert ours.shape == (14, 30, 12)
    for place, video in enumerate(videos):
        theirs = torch.tensor(scores_by_section_4_2(recognizer, video, place))
        # Pillow and torchvision round one pixel in a hundred to the next level.
        assert (ours[place] - theirs).abs().max() < 3e-3, video
        # "The final prediction is the averaged softmax scores of all clips."
        mean = [sum(view[label] for view in theirs.tolist()) / 30 for label in range(12)]
        assert mean_over_views(ours)[place].tolist() == pytest.approx(mean, abs=1e-3), video
    right = mean_over_views(ours).argmax(dim=1)[:12] == torch.arange(12)
    assert right.sum() >= 11


def test_the_center_view_is_the_evaluation_of_training(recognizer: Recognizer) -> None:
    clip_list = ClipList(tuple(Clip(video, 3) for video in [*SAMPLES, *SAMPLES[:7]]), LABEL_NAMES)
    clips = EvaluationClips(clip_list, recognizer.config.preprocessing)
    loader = evaluation_loader(clips, batch_size=16, num_workers=0, pin_memory=False)
    expected = torch.cat([recognizer.probabilities(batch.frames) for batch in loader])
    probabilities, targets = score_clips(recognizer, clip_list)
    assert torch.equal(probabilities, expected)
    assert targets.tolist() == [3] * 19


def test_scores_depend_on_place_and_seed_and_not_on_what_is_scored_beside(
    recognizer: Recognizer,
) -> None:
    clip_list = ClipList(tuple(Clip(SAMPLES[4], 0) for _ in range(5)), LABEL_NAMES)
    plan = ViewPlan(2, 1)
    scoring = Scoring(plan, seed=1, batch_size=3, num_workers=0)
    pieces = [range(0, 2), range(2, 4), range(4, 5)]
    together = list(score_pieces(recognizer, clip_list, scoring, pieces))
    (alone,) = score_pieces(recognizer, clip_list, scoring, pieces[1:2])
    assert torch.equal(together[1], alone)
    views = torch.cat(together)
    assert len({tuple(video.flatten().tolist()) for video in views}) == 5, "draws of their own"
    (other,) = score_pieces(recognizer, clip_list, Scoring(plan, seed=2), pieces[1:2])
    assert not torch.equal(other, alone)


def test_a_cut_file_is_drawn_from_anew(recognizer: Recognizer, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(SAMPLES[0].read_bytes()[:9000])
    clip_list = ClipList((Clip(SAMPLES[0], 0), Clip(cut, 0)), LABEL_NAMES)
    views = VideoViews(clip_list, recognizer.config.preprocessing, THIRTY, seed=0, places=[0, 1])
    assert views[1].frames is not None
    assert views[1].frames.shape == views[0].frames.shape == (30, 8, 3, 48, 48)
    assert not torch.equal(views[0].frames, views[1].frames)
    assert torch.equal(views[1].frames, views[1].frames), "the same draw each time"


def test_an_unreadable_clip_fails_by_name(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    clips = (Clip(SAMPLES[0], 0), Clip(tmp_path / "broken.mp4", 1))
    with pytest.raises(VideoError, match="broken.mp4: not a readable video"):
        score(recognizer, ClipList(clips, LABEL_NAMES), Scoring())


def test_a_network_trained_on_dense_clips_is_tested_on_them() -> None:
    for clip in choose_clips(ViewPlan.parse("10x1", "dense"), 300, 8, 0, 0):
        assert clip == [clip[0] + 8 * k for k in range(8)]


@pytest.mark.parametrize("text", ["center", "30", "7x1", "500x3"])
def test_pieces_cover_all_clips_in_order(text: str) -> None:
    plan = ViewPlan.parse(text)
    pieces = cut_into_pieces(1001, plan)
    assert [place for piece in pieces for place in piece] == list(range(1001))
    assert all(len(piece) == len(pieces[0]) for piece in pieces[:-1])
    assert len(pieces[0]) * plan.num_views <= 240 or len(pieces[0]) == 1
