"""What the README says of its figure is so: by the maps that the script draws."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor

import stmnet

ROOT = Path(__file__).parents[1]


def height_of(map_: Tensor) -> float:
    """How far down in a map (h, w) its brightness lies on average, from 0 to 1."""
    rows = map_.sum(dim=1)
    return float((rows * torch.arange(len(rows))).sum() / rows.sum() / len(rows))


def test_the_edge_in_front_is_bright_and_what_rests_is_dark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = import_module("motion_figure")
    recognizer = stmnet.load("motion")
    forward = stmnet.read_frames(script.SAMPLE, range(0, 16, 2))
    backward = forward.flip(0)
    assert script.answer(recognizer, forward).startswith("Moving something up, ")
    assert script.answer(recognizer, backward).startswith("Moving something down, ")

    up = [script.above_median(each) for each in script.maps_of(recognizer, forward)]
    down = [script.above_median(each) for each in script.maps_of(recognizer, backward)]
    for t in script.SHOWN:
        # The same picture: against CSTM's map, CMM's lies higher going up and lower going down.
        assert height_of(up[1][t]) < height_of(up[0][t])
        assert height_of(down[1][7 - t]) > height_of(down[0][7 - t])
        for cstm, cmm in (up, down):
            for maps in (cstm, cmm):
                # the star's corner
                height, width = maps.shape[1:]
                star = maps[t, : height // 4, 2 * width // 3 :]
                assert star.max() < 0.25 * maps[t].max()
    assert (ROOT / "docs" / "figures" / "motion.png").stat().st_size < 200_000
