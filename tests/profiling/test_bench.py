"""How networks are timed beside each other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stmnet.errors import StmnetError
from stmnet.profiling import bench
from stmnet.profiling.bench import (
    WARM_UP_ROUNDS,
    BenchedModel,
    Mode,
    Workload,
    measure_in_turn,
    num_threads,
)

TINY = Workload(batch=1, size=32, num_classes=3)


class Clock:
    """Time that passes only where a run says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def run(self, name: str, *seconds: float) -> None:
        self.order.append(name)
        self.now += seconds[min(self.order.count(name) - 1, len(seconds) - 1)]


def test_rounds_go_forwards_and_backwards_and_warm_up_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock.now)
    slow_start = (100.0,) * WARM_UP_ROUNDS
    seconds = measure_in_turn(
        [lambda: clock.run("a", *slow_start, 1.0, 4.0), lambda: clock.run("b", *slow_start, 2.0)],
        rounds=2,
        wait=lambda: None,
    )
    assert seconds == [[1.0, 4.0], [2.0, 2.0]]
    assert "".join(clock.order) == "abba" * 2 + "ab" * (WARM_UP_ROUNDS % 2)


def test_ratio_is_the_median_of_the_rounds_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine that is three times as slow in the last rounds: the ratio does not see it.
    first, second = [1.0, 1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 6.0, 6.0, 2.0]
    monkeypatch.setattr(bench, "measure_in_turn", lambda *_, **__: [first, second])
    entries = [BenchedModel("tsn_resnet18", frames=1)] * 2
    one, two = bench.bench(entries, Mode(), Workload(batch=4, size=32, num_classes=3)).speeds
    assert (one.ratio, one.latency_ms, one.videos_per_second) == (1, 3000, pytest.approx(4 / 3))
    assert (two.ratio, two.latency_ms, two.videos_per_second) == (0.5, 2000, 2)


def test_percentiles_are_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Eleven rounds: the second smallest is the 10th percentile, the second largest the 90th.
    first = [1.0] * 11
    second = [2.0, 8.0, 1.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 10.0]
    monkeypatch.setattr(bench, "measure_in_turn", lambda *_, **__: [first, second])
    entries = [BenchedModel("tsn_resnet18", frames=1)] * 2
    one, two = bench.bench(entries, Mode(), TINY, rounds=11).speeds
    assert (one.ratio_p10, one.ratio, one.ratio_p90) == (1, 1, 1)
    assert (two.latency_ms_p10, two.latency_ms, two.latency_ms_p90) == (2000, 4000, 8000)
    assert (two.ratio_p10, two.ratio, two.ratio_p90) == (1 / 8, 1 / 4, 1 / 2)
    monkeypatch.setattr(bench, "measure_in_turn", lambda *_, **__: [[3.0], [3.0]])
    one, _ = bench.bench(entries, Mode(), TINY, rounds=1).speeds
    assert one.latency_ms_p10 == one.latency_ms == one.latency_ms_p90 == 3000


@pytest.mark.parametrize(
    ("models", "workload", "rounds", "message"),
    [
        ([BenchedModel("tsn_resnet18", 0)], TINY, 1, "frames is 0. Give at least 1."),
        ([BenchedModel("tsn_resnet18")], Workload(0), 1, "batch is 0. Give at least 1."),
        ([BenchedModel("tsn_resnet18")], Workload(num_classes=0), 1, "num_classes is 0. Give at"),
        ([BenchedModel("tsn_resnet18")], TINY, 0, "rounds is 0. Give at least 1."),
    ],
)
def test_numbers_below_one_are_refused(
    models: list[BenchedModel], workload: Workload, rounds: int, message: str
) -> None:
    with pytest.raises(StmnetError, match=message):
        bench.bench(models, Mode(), workload, rounds=rounds)


def test_every_network_has_its_own_frames_and_the_mode_is_that_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def spy(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        (clips,) = inputs
        norms = sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())
        seen.append((tuple(clips.shape), clips.dtype, module.training, norms))

    build_model = bench.build_model

    def build_and_watch(name: str, **options: int) -> nn.Module:
        model = build_model(name, **options)
        model.register_forward_pre_hook(spy)
        return model

    monkeypatch.setattr(bench, "build_model", build_and_watch)
    entries = [BenchedModel("tsn_resnet18", frames=2), BenchedModel("tsn_resnet18", frames=3)]
    bench.bench(entries, Mode(dtype="bfloat16"), TINY, rounds=1)
    assert set(seen) == {((1, t, 3, 32, 32), torch.bfloat16, False, 20) for t in (2, 3)}
    seen.clear()
    bench.bench(entries[:1], Mode(optimized=True), TINY, rounds=1)
    assert set(seen) == {((1, 2, 3, 32, 32), torch.float32, False, 0)}
    assert len(seen) == WARM_UP_ROUNDS + 1


def test_threads_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with num_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_compiled_networks_of_one_class_beside_each_other() -> None:
    entries = [BenchedModel("stm_resnet18", frames=2), BenchedModel("tsn_resnet18", frames=2)]
    first, second = bench.bench(entries, Mode(compiled=True), TINY, rounds=1).speeds
    assert first.ratio == 1
    assert second.ratio > 0
