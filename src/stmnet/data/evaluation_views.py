"""The views of videos that an evaluation scores, cut from their frames (section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stmnet.data.clip_datasets import EvaluationClips, Sample
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_clips
from stmnet.data.sampling import center_segment_indices, random_clips, seeded_generator
from stmnet.data.view_plan import ViewPlan
from stmnet.datasets.clip_list import ClipList
from stmnet.errors import VideoError


def choose_clips(
    plan: ViewPlan, num_frames: int, num_segments: int, *seeds: int
) -> list[list[int]]:
    """Frame numbers of each clip; the same draw for the same `seeds`, whatever came before."""
    if not plan.num_random_clips:
        return [center_segment_indices(num_frames, num_segments)]
    return random_clips(
        num_frames,
        num_segments,
        seeded_generator(*seeds),
        num_clips=plan.num_random_clips,
        sampling=plan.sampling,
    )


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

        def choose(num_frames: int) -> list[list[int]]:
            return choose_clips(self.plan, num_frames, num_segments, self.seed, place)

        try:
            frames, members = read_clips(clip, choose, by_time=self.preprocessing.by_time)
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
