"""The learning rate by the calendar of section 4.2 and by closed forms; what the network sees."""

from __future__ import annotations

import math

import pytest
import torch

from stmnet.data.clips import Batch
from stmnet.data.transforms import Preprocessing
from stmnet.recognizer import Card
from stmnet.training.module import ActionModule, learning_rate_factor
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


class Recording(torch.nn.Module):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.scores = torch.nn.Parameter(torch.zeros(2))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        self.seen.append(clips)
        return self.scores.expand(len(clips), 2)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_training_sees_the_drawn_colors_and_validation_does_not() -> None:
    # Mean 0 and deviation 1 leave [0, 1]; mean 0.5 and deviation 0.5 make it [-1, 1].
    preprocessing = Preprocessing(2, 4, 4, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    network = Recording()
    module = ActionModule(
        network,
        Card("any", ("left", "right"), preprocessing),
        OptimizerRecipe(),
        learning_rate=0.01,
        training_loader=None,  # type: ignore[arg-type]
        max_unreadable=0,
    )
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 2, 3, 4, 4), generator=generator, dtype=torch.uint8)
    colors = 0.3 * torch.rand(2, 3, 6, generator=generator)
    labels = torch.tensor([0, 1])
    module.training_step(Batch(frames, labels, colors, []), 0)
    module.validation_step(Batch(frames, labels, None, []), 0)
    module.training_step(Batch(frames, labels, None, []), 1)
    trained, validated, uncolored = network.seen
    for clip, color, seen in zip(frames.double(), colors.double(), trained, strict=True):
        for frame, seen_frame in zip(clip, seen, strict=True):
            mean = frame.mean(dim=(1, 2), keepdim=True).expand(3, 4, 4)
            mixed = torch.einsum("ij,jyx->iyx", color, torch.cat([frame, mean]))
            expected = mixed.clamp(0, 255) / 127.5 - 1
            torch.testing.assert_close(seen_frame.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(validated, frames / 127.5 - 1)
    assert torch.equal(uncolored, validated)
