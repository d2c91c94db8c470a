"""A list of clips of two classes, which many tests load from."""

from __future__ import annotations

import pytest

from stmnet.datasets.clip_list import Clip, ClipList
from tests.conftest import VideoWriter


@pytest.fixture
def clip_list(make_video: VideoWriter) -> ClipList:
    videos = [make_video(f"{i}.mp4", num_frames=6 + 3 * i) for i in range(7)]
    clips = tuple(Clip(video, label=i % 2) for i, video in enumerate(videos))
    return ClipList(clips, ("left", "right"), {"left": "right", "right": "left"})
