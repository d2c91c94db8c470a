"""Which views of a video are scored: clips in time by crops in space (section 4.2); no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from stmnet.data.option_types import Sampling
from stmnet.errors import StmnetError

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
                f"views {text!r}: give center, 30 or CLIPSxCROPS with 1 or 3 crops, as 10x3."
            )
        return cls(int(found[1]), int(found[2]), sampling)

    def __str__(self) -> str:
        return f"{self.num_random_clips}x{self.num_crops}" if self.num_random_clips else CENTER

    @property
    def num_views(self) -> int:
        """How many views a video has."""
        return max(1, self.num_random_clips) * self.num_crops

    def describe(self) -> str:
        """For people: "10 random clips x 3 crops"."""
        if not self.num_random_clips:
            return "center"
        clips = f"{self.num_random_clips} random clip{'s' * (self.num_random_clips > 1)}"
        drawn = "" if self.sampling == "segments" else f" ({self.sampling})"
        return f"{clips}{drawn} x {'3 crops' if self.num_crops == 3 else 'center crop'}"


CENTER_VIEW = ViewPlan(0, 1)
