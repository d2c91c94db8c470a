"""Means over the clips of an epoch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Means of named values over clips, which a checkpoint can hold in mid-epoch.

    They stay on the device that the values are on, so that adding to them waits for nothing.
    """

    # torchmetrics' MeanMetric is not this: its sum grows in float32 (over 20,000 steps three times
    # as far from the exact mean), its state is in no checkpoint, and each value of the objective
    # would need one of its own, with its device, its synchronization and its handling of NaN set.

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that was added."""
        self._num_clips: Tensor | None = None
        self._means: dict[str, Tensor] = {}

    def add(self, num_clips: Tensor, **means: Tensor) -> None:
        """Add the means over `num_clips` more clips, scalars as they are."""
        # Moving the mean, and no growing sum, keeps float32 exact enough for any epoch.
        before = self._num_clips
        now = num_clips if before is None else before.to(num_clips) + num_clips
        share = num_clips / now.clamp(min=1)
        for name, mean in means.items():
            known = self._means[name].to(mean) if name in self._means else torch.zeros_like(mean)
            self._means[name] = known + (mean - known) * share
        self._num_clips = now

    @property
    def num_clips(self) -> float:
        """How many clips were added."""
        return 0.0 if self._num_clips is None else float(self._num_clips)

    def compute(self) -> dict[str, float]:
        """The means by name; empty where nothing was added."""
        return {name: float(mean) for name, mean in self._means.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"num_clips": self._num_clips, "means": dict(self._means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._num_clips = state["num_clips"]
        self._means = dict(state["means"])
