"""Cross-entropy, the correlation loss (Eq. 8, 9) and the objective of Twins Training (Eq. 10).

DDP averages gradients over the ranks. Every loss here is scaled so that this mean is the gradient
of one process that holds the clips of all, however unevenly they are distributed; a rank without
any clip must still compute its losses, for the others wait for its sums.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.autograd import Function

from stmnet.runs.recipe import CorrelationBatch
from stmnet.training.distributed import is_distributed, world_size


class StepLosses(NamedTuple):
    """`loss` is to be differentiated on this rank; the rest, of all ranks, is to be shown.

    `cross_entropy` is in nats, `top1` in [0, 1]; both are means over all views of all clips.
    """

    loss: Tensor
    num_clips: Tensor
    cross_entropy: Tensor
    top1: Tensor
    correlation: Tensor | None = None

    def shown(self) -> dict[str, Tensor]:
        """What is shown of a step, by its name in the log."""
        shown = {"loss": self.cross_entropy, "top1": self.top1}
        return shown if self.correlation is None else shown | {"correlation": self.correlation}


class ClassificationObjective(nn.Module):
    """The mean cross-entropy over the clips of all ranks, and over the views of each.

    `class_weights` (K,) weigh the clips by their label; the mean stays one over clips.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None) -> None:
        super().__init__()
        # It is not to be found among the network's weights in a checkpoint.
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> StepLosses:
        """Logits (V, N, K) of V views of N clips and their labels (N,); N may be zero."""
        num_views = len(logits)
        logits, targets = _exact(logits.flatten(0, 1)), labels.repeat(num_views)
        summed = F.cross_entropy(logits, targets, self.class_weights, reduction="sum")
        # NaN scores would all count as the first class.
        is_right = (logits.argmax(dim=1) == targets) & logits.isfinite().all(dim=1)
        num_targets = summed.new_tensor(len(targets))
        sums = _sum_over_ranks(torch.stack([num_targets, summed.detach(), is_right.sum()]))
        total = sums[0].clamp(min=1)
        return StepLosses(
            loss=summed * world_size() / total,
            num_clips=sums[0] / num_views,
            cross_entropy=sums[1] / total,
            top1=sums[2] / total,
        )


class CorrelationLoss(nn.Module):
    """The correlation loss of two views' logits (Eq. 9), whose C (Eq. 8) should be the identity.

    C is of the clips of all ranks (`batch` "global") or of this rank alone ("local").
    `off_diagonal_weight` is beta. Computed in float32 at least, also under autocast.
    """

    def __init__(self, *, off_diagonal_weight: float, batch: CorrelationBatch) -> None:
        super().__init__()
        self.off_diagonal_weight = off_diagonal_weight
        self.batch = batch

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(N, K) and (N, K), the same clips in the same order -> a scalar; N may be zero."""
        correlation = cross_correlation(first, second, batch=self.batch)
        diagonal = correlation.diagonal()
        # From the matrix without its diagonal, not by a difference of sums that cancel.
        others = correlation - torch.diag(diagonal)
        intra_class = (1 - diagonal).square().sum()
        inter_class = others.square().sum()
        return intra_class + self.off_diagonal_weight * inter_class


class TwinsObjective(ClassificationObjective):
    """L = (L_cls^A + L_cls^B) / 2 + lambda L_cor (Eq. 10); `correlation_weight` is lambda.

    Where gradients of several micro-batches are accumulated, C is of the clips of each.
    """

    def __init__(
        self,
        correlation: CorrelationLoss,
        *,
        correlation_weight: float,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(class_weights)
        self.correlation = correlation
        self.correlation_weight = correlation_weight

    def forward(self, logits: Tensor, labels: Tensor) -> StepLosses:
        """Logits (2, N, K) of both distortions of N clips and their labels (N,)."""
        losses = super().forward(logits, labels)
        correlation = self.correlation(*logits)
        return losses._replace(
            loss=losses.loss + self.correlation_weight * correlation,
            correlation=_mean_over_ranks(correlation.detach()),
        )


def cross_correlation(first: Tensor, second: Tensor, *, batch: CorrelationBatch) -> Tensor:
    """C of Eq. 8: (N, K) and (N, K) -> (K, K) in [-1, 1].

    Paper silent: a class whose column is zero has no correlation with any; C is zero there.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = _exact(first), _exact(second)
        products = first.T @ second
        squares = torch.stack([first.square().sum(dim=0), second.square().sum(dim=0)])
        if batch == "global":
            # One message: the sums under the root are over all ranks too.
            sums = _sum_over_ranks(torch.cat([products, squares]))
            products, squares = sums[:-2], sums[-2:]
        is_zero = squares < torch.finfo(squares.dtype).tiny
        norms = torch.where(is_zero, 1, squares).sqrt()
        return products / (norms[0][:, None] * norms[1])


def class_weights_of(labels: Tensor, num_classes: int) -> Tensor:
    """The inverse frequency of each class, one on the mean over clips: (N,) int64 -> (K,).

    A class without clips has the weight zero, which no clip asks for.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    weights = len(labels) / (num_classes * counts.clamp(min=1))
    return torch.where(counts > 0, weights, 0)


def _exact(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _mean_over_ranks(values: Tensor) -> Tensor:
    return _sum_over_ranks(values) / world_size()


def _sum_over_ranks(values: Tensor) -> Tensor:
    summed: Tensor = _SumOverRanks.apply(values) if is_distributed() else values
    return summed


class _SumOverRanks(Function):
    """The sum, with a gradient (`torch.distributed.all_reduce` has none).

    Every rank must compute the same loss from the sum. Each then has its part of what moving its
    own values does to the sum of their losses; all parts are equal.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * world_size()
