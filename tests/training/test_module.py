"""The learning rate by the calendar of section 4.2, and by closed forms."""

from __future__ import annotations

import math

import pytest

from stmnet.training.module import learning_rate_factor
from stmnet.training.recipe import OptimizerRecipe


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1), (29.999, 1), (30, 0.1), (39.9, 0.1), (40, 0.01), (59.9, 0.01), (60, 1e-3), (69, 1e-3)],
)
def test_steps_of_section_4_2(epoch: float, factor: float) -> None:
    assert learning_rate_factor(epoch, OptimizerRecipe()) == pytest.approx(factor)


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
def test_warmup_is_a_straight_line_from_zero(schedule: str) -> None:
    recipe = OptimizerRecipe(epochs=10, warmup_epochs=2, schedule=schedule, milestones=[8])
    assert learning_rate_factor(0, recipe) == 0
    assert learning_rate_factor(0.5, recipe) == pytest.approx(0.25)
    assert learning_rate_factor(2, recipe) == pytest.approx(1)


@pytest.mark.parametrize("epoch", [0, 3, 6, 10, 12])
def test_cosine_ends_at_zero(epoch: float) -> None:
    recipe = OptimizerRecipe(epochs=12, schedule="cosine")
    expected = (1 + math.cos(math.pi * epoch / 12)) / 2
    assert learning_rate_factor(epoch, recipe) == pytest.approx(expected)
