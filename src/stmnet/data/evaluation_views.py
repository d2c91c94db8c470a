"""The views of a video that a test scores: clips in time by crops in space (section 4.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from stmnet.data.clip_datasets import EvaluationClips, Sample
from stmnet.data.option_types import Sampling
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_clips
from stmnet.data.sampling import center_segment_indices, random_clips, seeded_generator
from stmnet.datasets.clip_list import ClipList
from stmnet.errors import StmnetError, VideoError

CENTER = "center"


@dataclass(frozen=True)
class ViewPlan:
    """Which views of a video are scored.

    `num_random_clips` are drawn by the rule `sampling`; 0 stands for the one clip of the middle
    frames. Of each, `num_crops` squares are cut: 1 in the center as for the center view, or 3
    along the long side.

    Paper silent: what a single crop is. Ours is that of the center view.
    """

    num_random_clips: int
    num_crops: int
    sampling: Sampling = "segments"

    @classmethod
    def parse(cls, text: str, sampling: Sampling = "segments") -> Self:
        """Read "center", "30" (the paper's 10x3) or CLIPSxCROPS. Raises `StmnetError`."""
        if text == CENTER:
            return cls(0, 1, sampling)
        found = re.fullmatch(r"([1-9]\d*)x([13])", "10x3" if text == "30" else text)
        if found is None:
            raise StmnetError(
                f"--views {text}: give center, 30 or CLIPSxCROPS with 1 or 3 crops, as 10x3."
            )
        return cls(int(found[1]), int(found[2]), sampling)

    def __str__(self) -> str:
        return f"{self.num_random_clips}x{self.num_crops}" if self.num_random_clips else CENTER

    @property
    def num_views(self) -> int:
        """How many views a video has."""
        return max(1, self.num_random_clips) * self.num_crops

    def in_words(self) -> str:
        """For people: "10 random clips x 3 crops"."""
        if not self.num_random_clips:
            return "center"
        clips = f"{self.num_random_clips} random clip{'s' * (self.num_random_clips > 1)}"
        drawn = "" if self.sampling == "segments" else f" ({self.sampling})"
        return f"{clips}{drawn} x {'3 crops' if self.num_crops == 3 else 'center crop'}"

    def choose_clips(self, num_frames: int, num_segments: int, *seeds: int) -> list[list[int]]:
        """Frame numbers of each clip; the same draw for the same `seeds`, whatever came before."""
        if not self.num_random_clips:
            return [center_segment_indices(num_frames, num_segments)]
        return random_clips(
            num_frames,
            num_segments,
            seeded_generator(*seeds),
            num_clips=self.num_random_clips,
            sampling=self.sampling,
        )


CENTER_VIEW = ViewPlan(0, 1)


class VideoViews(EvaluationClips):
    """All views of every video: frames (V, T, 3, H, W), the crops of one clip after the other.

    Number n of the list draws from `seed` and n, wherever n stands among `places`, the numbers
    that are asked for. Memory: all frames that are chosen, as large as they are stored.
    """

    def __init__(
        self,
        clip_list: ClipList,
        preprocessing: Preprocessing,
        plan: ViewPlan,
        *,
        seed: int,
        places: Sequence[int],
    ) -> None:
        super().__init__(clip_list, preprocessing)
        self.plan = plan
        self.seed = seed
        self.places = places
        if plan.num_crops == 3:
            self.view = preprocessing.three_crop_view

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        place = self.places[index]
        clip = self.clips[place]
        num_segments = self.preprocessing.num_frames

        def choose_clips(num_frames: int) -> list[list[int]]:
            return self.plan.choose_clips(num_frames, num_segments, self.seed, place)

        try:
            frames, members = read_clips(clip, choose_clips, by_time=self.preprocessing.by_time)
        except VideoError as error:
            return Sample(None, clip.label, place, unreadable=str(error))
        return Sample(self._cut(frames, members), clip.label, place)

    def _cut(self, frames: Tensor, members: Tensor) -> Tensor:
        """(F, 3, H, W) and the (clips, T) of them -> (clips * crops, T, 3, crop, crop)."""
        # Every frame is cropped once, and gathered as it lies in memory, channels last.
        crops: Tensor = self.view(frames).movedim(-3, -1)
        first_of_crop = len(frames) * torch.arange(self.plan.num_crops)
        rows = (members[:, None] + first_of_crop[:, None]).flatten(0, 1)
        return crops.reshape(-1, *crops.shape[-3:])[rows].movedim(-1, -3)
