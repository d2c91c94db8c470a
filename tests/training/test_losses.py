"""The losses against loops written from Eq. 8-10, in one process and in several."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stmnet.training.losses import (
    ClassificationObjective,
    CorrelationLoss,
    TwinsObjective,
    class_weights_of,
    cross_correlation,
)
from tests.training.processes import run_in_processes

BETA = 0.0039
LAMBDA = 0.01


def random_views(num_clips: int, num_classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(2, num_clips, num_classes, generator=generator, dtype=torch.float64)
    return views[0], views[1]


def eq8_loop(first: Tensor, second: Tensor) -> list[list[float]]:
    """C[i][j] = sum_n a_ni b_nj / (sqrt(sum_n a_ni^2) sqrt(sum_n b_nj^2)), in plain floats."""
    a, b = first.tolist(), second.tolist()
    clips, classes = range(len(a)), range(first.shape[1])
    return [
        [
            math.fsum(a[n][i] * b[n][j] for n in clips)
            / math.sqrt(math.fsum(a[n][i] ** 2 for n in clips))
            / math.sqrt(math.fsum(b[n][j] ** 2 for n in clips))
            for j in classes
        ]
        for i in classes
    ]


def eq9_loop(first: Tensor, second: Tensor, beta: float) -> float:
    correlation = eq8_loop(first, second)
    classes = range(len(correlation))
    intra = math.fsum((1 - correlation[i][i]) ** 2 for i in classes)
    inter = math.fsum(correlation[i][j] ** 2 for i in classes for j in classes if j != i)
    return intra + beta * inter


def correlation_loss(beta: float = BETA, batch: str = "global") -> CorrelationLoss:
    return CorrelationLoss(off_diagonal_weight=beta, batch=batch)


@pytest.mark.parametrize(("num_clips", "num_classes"), [(7, 5), (3, 12), (1, 4), (64, 3)])
@pytest.mark.parametrize("beta", [BETA, 1.0])
def test_the_correlation_loss_is_eq_9(num_clips: int, num_classes: int, beta: float) -> None:
    first, second = random_views(num_clips, num_classes)
    expected = eq9_loop(first, second, beta)
    assert correlation_loss(beta)(first, second).item() == pytest.approx(expected, abs=1e-10)
    correlation = cross_correlation(first, second, batch="global")
    torch.testing.assert_close(
        correlation, torch.tensor(eq8_loop(first, second)).double(), atol=1e-6, rtol=0
    )
    assert correlation.abs().max() <= 1 + 1e-12


@pytest.mark.parametrize("num_clips", [1, 4])
def test_its_gradient_is_that_of_differences(num_clips: int) -> None:
    first, second = random_views(num_clips, 5)
    inputs = (first.requires_grad_(), second.requires_grad_())
    assert torch.autograd.gradcheck(correlation_loss(beta=0.5), inputs)


def test_equal_views_of_orthogonal_columns_have_no_loss() -> None:
    columns = torch.linalg.qr(random_views(9, 6)[0]).Q
    assert correlation_loss()(columns, columns).item() == pytest.approx(0, abs=1e-12)
    # Opposite views are as far from the identity as can be: (1 - -1)^2 for each class.
    assert correlation_loss()(columns, -columns).item() == pytest.approx(4 * 6)


def test_the_scale_of_a_logit_changes_nothing() -> None:
    first, second = random_views(8, 5)
    scales = torch.tensor([1e-3, 0.5, 1, 20, 1e4], dtype=torch.float64)
    expected = correlation_loss()(first, second)
    torch.testing.assert_close(correlation_loss()(first * scales, second), expected)
    torch.testing.assert_close(correlation_loss()(first, second * scales.flip(0)), expected)


def test_means_are_not_subtracted() -> None:
    # Barlow Twins would find nothing in constant columns; Eq. 8 finds them alike.
    constant = torch.ones(4, 2, dtype=torch.float64)
    assert correlation_loss(beta=1.0)(constant, constant).item() == pytest.approx(2)


def test_a_column_of_zeros_is_without_correlation_and_its_gradient_finite() -> None:
    first, second = random_views(6, 4)
    first[:, 2] = 0
    second[:, 0] = 0
    first.requires_grad_()
    correlation = cross_correlation(first, second, batch="global")
    assert torch.equal(correlation[2], torch.zeros(4).double())
    assert torch.equal(correlation[:, 0], torch.zeros(4).double())
    loss = correlation_loss()(first, second)
    loss.backward()
    assert first.grad.isfinite().all()
    assert 1 < loss.item() < 16


def test_under_autocast_it_is_computed_in_float32() -> None:
    first, second = random_views(16, 30)
    first, second = first.bfloat16(), second.bfloat16()
    expected = correlation_loss()(first.double(), second.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = correlation_loss()(first, second)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def twins_objective(batch: str = "global", weights: Tensor | None = None) -> TwinsObjective:
    return TwinsObjective(
        correlation_loss(batch=batch), correlation_weight=LAMBDA, class_weights=weights
    )


def eq10_loop(first: Tensor, second: Tensor, labels: Tensor) -> float:
    classification = 0.0
    for view in (first, second):
        rows = zip(view.tolist(), labels.tolist(), strict=True)
        losses = [math.log(math.fsum(map(math.exp, row))) - row[label] for row, label in rows]
        classification += math.fsum(losses) / len(losses) / 2
    return classification + LAMBDA * eq9_loop(first, second, BETA)


def test_the_objective_is_eq_10() -> None:
    first, second = random_views(9, 4)
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0])
    losses = twins_objective()(torch.stack([first, second]), labels)
    assert losses.loss.item() == pytest.approx(eq10_loop(first, second, labels), abs=1e-10)
    assert losses.correlation.item() == pytest.approx(eq9_loop(first, second, BETA), abs=1e-10)
    right = (first.argmax(1) == labels).sum() + (second.argmax(1) == labels).sum()
    assert losses.top1.item() == pytest.approx(right.item() / 18)
    assert losses.num_clips.item() == 9
    plain = ClassificationObjective()(first[None], labels)
    assert plain.loss.item() == pytest.approx(F.cross_entropy(first, labels).item())
    assert plain.correlation is None


def test_scores_that_are_no_numbers_are_not_right() -> None:
    logits = torch.tensor([[[math.nan, math.nan], [2.0, 1.0], [math.inf, 1.0]]])
    losses = ClassificationObjective()(logits, torch.zeros(3, dtype=torch.int64))
    assert losses.top1 == pytest.approx(1 / 3)


def test_rare_classes_weigh_as_much_as_common_ones() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    logits = random_views(10, 4)[0]
    loss = ClassificationObjective(class_weights_of(labels, 4).double())(logits[None], labels).loss
    of_clips = F.cross_entropy(logits, labels, reduction="none")
    of_classes = [of_clips[labels == label].mean() for label in (0, 1, 3)]
    # The mean over classes of their means, but for the class that no clip is of.
    assert loss.item() == pytest.approx(torch.stack(of_classes).sum().item() / 4)


class Small(nn.Module):
    """A network without batch norm, so that clips do not touch each other before the losses."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5)).double()
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator).double()

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.shape[1] > 0:
            return self.layers(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        nothing = torch.stack([(parameter * 0).sum() for parameter in self.parameters()])
        return nothing.sum().expand(2, 0, 5)


def inputs_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(2, 12, 6, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(5, (12,), generator=generator)


def gradients_of_a_share(rank: int, sizes: list[int], batch: str) -> dict[str, Tensor]:
    """DDP's gradients after the step of this process's clips, and what the step shows."""
    inputs, labels = inputs_and_labels()
    network = DistributedDataParallel(Small())
    mine = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    losses = twins_objective(batch)(network(inputs[:, mine]), labels[mine])
    losses.loss.backward()
    gradients = {name: parameter.grad for name, parameter in network.module.named_parameters()}
    return gradients | losses._replace(loss=losses.loss.detach())._asdict()


def gradients_in_one_process(groups: list[slice]) -> dict[str, Tensor]:
    """Gradients of Eq. 10 with the mean of the correlation losses of the `groups`, by autograd."""
    inputs, labels = inputs_and_labels()
    network = Small()
    logits = network(inputs)
    classification = (F.cross_entropy(logits[0], labels) + F.cross_entropy(logits[1], labels)) / 2
    losses = []
    for group in groups:
        first, second = (F.normalize(view[group], dim=0) for view in logits)
        identity = torch.eye(5).double()
        weights = identity + BETA * (1 - identity)
        losses.append((weights * (first.T @ second - identity).square()).sum())
    correlation = torch.stack(losses).mean()
    (classification + LAMBDA * correlation).backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return gradients | {"cross_entropy": classification.detach(), "correlation": correlation}


@pytest.mark.parametrize("sizes", [[6, 6], [9, 3], [5, 0, 7]], ids=str)
def test_processes_together_have_the_gradients_of_one(tmp_path: Path, sizes: list[int]) -> None:
    expected = gradients_in_one_process([slice(0, 12)])
    shares = run_in_processes(tmp_path, len(sizes), gradients_of_a_share, sizes, "global")
    for share in shares:
        assert share["num_clips"] == 12
        for name, gradient in expected.items():
            torch.testing.assert_close(share[name], gradient, atol=1e-9, rtol=0)


def test_the_local_correlation_is_of_each_process_alone(tmp_path: Path) -> None:
    expected = gradients_in_one_process([slice(0, 8), slice(8, 12)])
    everything = gradients_in_one_process([slice(0, 12)])
    for share in run_in_processes(tmp_path, 2, gradients_of_a_share, [8, 4], "local"):
        for name, gradient in expected.items():
            torch.testing.assert_close(share[name], gradient, atol=1e-9, rtol=0)
    assert not torch.allclose(
        expected["layers.0.weight"], everything["layers.0.weight"], atol=1e-6, rtol=0
    )
