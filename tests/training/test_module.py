"""The learning rate by the calendar of section 4.2 and by closed forms; what the network sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stmnet.data.clip_datasets import Batch
from stmnet.data.preprocessing import Preprocessing
from stmnet.errors import VideoError
from stmnet.models.zoo import build_model
from stmnet.recognizer import ModelConfig
from stmnet.runs.recipe import OptimizerRecipe
from stmnet.training.losses import ClassificationObjective, CorrelationLoss, TwinsObjective
from stmnet.training.module import ActionModule, learning_rate_factor
from stmnet.training.parameter_groups import parameter_groups
from stmnet.training.running_means import RunningMeans


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


@pytest.mark.parametrize(("warmup", "length"), [(0.3, 0.3), (1.5, 1.5), (2, 2), (3, 2), (9, 2)])
def test_warmup_takes_half_of_the_epochs_at_most(warmup: float, length: float) -> None:
    recipe = OptimizerRecipe(epochs=4, warmup_epochs=warmup, schedule="cosine")
    assert recipe.warmup_length == length
    assert learning_rate_factor(length / 4, recipe) == pytest.approx(0.25)
    assert learning_rate_factor(length, recipe) == pytest.approx(1)
    assert learning_rate_factor((length + 4) / 2, recipe) == pytest.approx(0.5)
    assert learning_rate_factor(4, recipe) == pytest.approx(0)


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
        ModelConfig("any", ("left", "right"), preprocessing),
        OptimizerRecipe(),
        objective=ClassificationObjective(),
        learning_rate=0.01,
        training_loader=None,  # type: ignore[arg-type]
        max_unreadable=0,
        seed=0,
        description={},
    )
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 2, 3, 4, 4), generator=generator, dtype=torch.uint8)
    colors = 0.3 * torch.rand(2, 3, 6, generator=generator)
    labels = torch.tensor([0, 1])
    module.training_step(Batch(frames, labels, colors, {}), 0)
    module.validation_step(Batch(frames, labels, None, {}), 0)
    module.training_step(Batch(frames, labels, None, {}), 1)
    trained, validated, uncolored = network.seen
    for clip, color, seen in zip(frames.double(), colors.double(), trained, strict=True):
        for frame, seen_frame in zip(clip, seen, strict=True):
            mean = frame.mean(dim=(1, 2), keepdim=True).expand(3, 4, 4)
            mixed = torch.einsum("ij,jyx->iyx", color, torch.cat([frame, mean]))
            expected = mixed.clamp(0, 255) / 127.5 - 1
            torch.testing.assert_close(seen_frame.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(validated, frames / 127.5 - 1)
    assert torch.equal(uncolored, validated)


def small_module(num_views: int, objective: ClassificationObjective) -> ActionModule:
    torch.manual_seed(2)
    config = ModelConfig("tsn_resnet18", ("a", "b", "c"), Preprocessing(2, 32, 32), {"width": 4})
    loader = SimpleNamespace(num_views=num_views)
    return ActionModule(
        config.build(),
        config,
        OptimizerRecipe(),
        objective=objective,
        learning_rate=0.01,
        training_loader=loader,  # type: ignore[arg-type]
        max_unreadable=0,
        seed=0,
        description={},
    )


def twins_objective() -> TwinsObjective:
    return TwinsObjective(
        CorrelationLoss(off_diagonal_weight=0.0039, batch="global"), correlation_weight=0.01
    )


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_both_views_go_through_the_network_at_once_and_meet_in_the_objective() -> None:
    module = small_module(2, twins_objective())
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (3, 2, 2, 3, 32, 32), generator=generator, dtype=torch.uint8)
    colors = 0.3 * torch.rand(3, 2, 3, 6, generator=generator)
    labels = torch.tensor([0, 2, 1])
    module.network.eval()
    passes = []
    module.network.register_forward_pre_hook(lambda network, inputs: passes.append(inputs[0]))
    loss = module.training_step(Batch(frames, labels, colors, {}), 0)
    assert [len(clips) for clips in passes] == [6]
    first, second = (module(frames[:, view], colors[:, view]) for view in (0, 1))
    expected = (F.cross_entropy(first, labels) + F.cross_entropy(second, labels)) / 2
    expected = expected + 0.01 * module.objective.correlation(first, second)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("num_views", [1, 2])
@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_a_batch_without_clips_gives_every_parameter_a_gradient_of_zero(num_views: int) -> None:
    module = small_module(
        num_views, twins_objective() if num_views == 2 else ClassificationObjective()
    )
    nothing = Batch(torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.int64), None, {})
    module.training_step(nothing, 0).backward()
    assert all(not parameter.grad.any() for parameter in module.parameters())


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_a_clip_is_counted_once_whatever_is_said_of_it(caplog: pytest.LogCaptureFixture) -> None:
    module = small_module(1, ClassificationObjective())
    module.max_unreadable = 2

    def see(step: Callable[[Batch, int], object], unreadable: dict[int, str]) -> None:
        no_frames, no_labels = torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        step(Batch(no_frames, no_labels, None, unreadable), 0)

    # A folder of frames is read anew every epoch, and has several broken images.
    see(module.training_step, {3: "jump/1.jpg: broken"})
    see(module.training_step, {3: "jump/2.jpg: broken"})
    assert caplog.messages == ["left out jump/1.jpg: broken"]
    # Two clips of one recording are two clips, and one line.
    see(module.validation_step, {3: "jump/1.jpg: broken"})
    assert len(caplog.messages) == 1
    checkpoint = {
        "stmnet": module.config.to_dict(),
        "training_loader": None,
        "training_means": RunningMeans().state_dict(),
        "unreadable": module.unreadable,
    }
    resumed = small_module(1, ClassificationObjective())
    resumed.max_unreadable = 2
    resumed.training_loader.load_state_dict = lambda state: None  # type: ignore[method-assign]
    resumed.on_load_checkpoint(checkpoint)
    see(resumed.training_step, {3: "elsewhere/jump/2.jpg: broken"})
    with pytest.raises(VideoError, match="^walk: broken This is unreadable clip number 3, and"):
        see(resumed.training_step, {4: "walk: broken"})


def test_nothing_of_twins_is_left_among_the_weights() -> None:
    weighted = ClassificationObjective(torch.ones(3))
    plain = small_module(1, weighted).state_dict()
    assert plain.keys() == small_module(2, twins_objective()).state_dict().keys()
    assert all(name.startswith("network.") for name in plain)


def test_running_means_are_those_of_all_clips() -> None:
    means = RunningMeans()
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(0, 9, (50,), generator=generator)
    values = torch.randn(50, generator=generator)
    for index, (size, value) in enumerate(zip(sizes, values, strict=True)):
        if index == 20:
            state = means.state_dict()
            means = RunningMeans()
            means.load_state_dict(state)
        means.add(size.float(), loss=value)
    expected = (sizes * values.double()).sum() / sizes.sum()
    assert means.compute()["loss"] == pytest.approx(expected.item(), abs=1e-6)


def test_the_policy_of_tsn_is_what_its_line_does() -> None:
    network = build_model("stm_resnet18", num_classes=5, num_frames=2, width=16)
    recipe = OptimizerRecipe(policy="tsn", weight_decay=1e-3)
    named = {id(parameter): name for name, parameter in network.named_parameters()}
    seen = {}
    for group in parameter_groups(network, recipe, 0.1):
        for parameter in group["params"]:
            seen[named.pop(id(parameter))] = (group["lr"], group["weight_decay"])
    assert not named, "every parameter is in one group"
    assert seen["fc.weight"] == pytest.approx((0.5, 1e-3))
    assert seen["fc.bias"] == pytest.approx((1.0, 0))
    assert seen["conv1.weight"] == seen["layer1.0.conv1.weight"] == pytest.approx((0.1, 1e-3))
    assert seen["bn1.weight"] == seen["bn1.bias"] == pytest.approx((0.1, 0))
    assert seen["layer2.0.conv2.temporal.weight"] == pytest.approx((0.1, 1e-3))
    # ECO's convolutions have biases.
    convolution = nn.Conv2d(1, 1, 1)
    (weights, biases) = parameter_groups(convolution, recipe, 0.1)
    assert (weights["lr"], biases["lr"], biases["weight_decay"]) == pytest.approx((0.1, 0.2, 0))
    (everything,) = parameter_groups(network, OptimizerRecipe(), 0.1)
    assert len(everything["params"]) == len(list(network.parameters()))
