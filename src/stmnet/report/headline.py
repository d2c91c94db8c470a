"""The sentence at the head of the report: what the numbers say, and no more than that."""

from __future__ import annotations

from collections.abc import Sequence

from stmnet.evaluation.intervals import BOOTSTRAP_SEED, bootstrap_interval
from stmnet.evaluation.metrics import is_correct
from stmnet.evaluation.results import ModelResult

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def percent(fraction: float, digits: int = 1) -> str:
    """Write a fraction as a percentage: 0.9801 is 98.0 %."""
    return f"{100 * fraction:.{digits}f}{NARROW_SPACE}%"


def state_finding(results: Sequence[ModelResult]) -> str:
    """Say in plain words how good the networks are and whether one of them is ahead.

    Networks are compared on the same clips: one counts as ahead only if the paired 95 % bootstrap
    interval of the difference in top-1 excludes zero.
    """
    if len(results) == 1:
        return _describe(results[0])
    best, second = sorted(results, key=_num_correct, reverse=True)[:2]
    return " ".join([_compare(best, second), *_explain_orderless(results)])


def _describe(result: ModelResult) -> str:
    num_clips, num_classes = result.probabilities.shape
    return (
        f"{result.name} names the right class for {_num_correct(result):,} of {num_clips:,} clips, "
        f"{percent(_top1(result))}; an even guess among {num_classes} classes "
        f"would be right for {percent(1 / num_classes)}."
    )


def _compare(best: ModelResult, second: ModelResult) -> str:
    num_clips = len(best.targets)
    if _num_correct(best) == _num_correct(second):
        return (
            f"{best.name} and {second.name} are level: "
            f"each gets {percent(_top1(best))} of {num_clips:,} clips right."
        )
    low, high = _difference_interval(best, second)
    points = 100 * (_top1(best) - _top1(second))
    interval = f"95{NARROW_SPACE}% interval {_signed(low)} to {_signed(high)}"
    if low <= 0:
        return (
            f"{best.name} gets {percent(_top1(best))} of {num_clips:,} clips right and "
            f"{second.name} {percent(_top1(second))}, but a difference of {points:.1f} points "
            f"({interval}) is too small to say that one is better."
        )
    return (
        f"{best.name} is ahead: it gets {percent(_top1(best))} of {num_clips:,} clips right, "
        f"{second.name} {percent(_top1(second))}. The difference is {points:.1f} points "
        f"({interval})."
    )


def _explain_orderless(results: Sequence[ModelResult]) -> list[str]:
    orderless = [result.name for result in results if result.model.startswith("tsn_")]
    if not orderless or len(orderless) == len(results):
        return []
    return [
        f"{orderless[0]} scores every frame on its own and averages, "
        "so it cannot use the order of the frames."
    ]


def _difference_interval(best: ModelResult, second: ModelResult) -> tuple[float, float]:
    ahead = is_correct(best.probabilities, best.targets).double()
    behind = is_correct(second.probabilities, second.targets).double()
    return bootstrap_interval(ahead - behind, seed=BOOTSTRAP_SEED)


def _num_correct(result: ModelResult) -> int:
    return int(is_correct(result.probabilities, result.targets).sum())


def _top1(result: ModelResult) -> float:
    return _num_correct(result) / len(result.targets)


def _signed(fraction: float) -> str:
    return f"{100 * fraction:.1f}".replace("-", "\N{MINUS SIGN}")
