"""What the benchmarks measure is what they say: the parts that could go wrong unseen."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stmnet.models.stm import CMM
from stmnet.models.zoo import build_model
from tests.conftest import decode_all, write_video

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(BENCHMARKS)  # as when they are run as scripts
    return importlib.import_module


def test_optimize_starts_from_the_same_network_in_nchw(
    benchmark: Callable[[str], ModuleType],
) -> None:
    network = build_model("stm_resnet50", num_classes=5, num_frames=4).double().eval()
    clips = torch.randn(2, 4, 3, 32, 32, dtype=torch.double)
    formats = []

    def look(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        formats.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    in_nchw = benchmark("optimize").InNCHW(network)
    in_nchw.network.layer1[0].register_forward_pre_hook(look)
    with torch.no_grad():
        torch.testing.assert_close(in_nchw(clips), network(clips))
    assert formats == [False]


def test_operators_are_those_of_stm_50(benchmark: Callable[[str], ModuleType]) -> None:
    network = build_model("stm_resnet50", num_classes=5, num_frames=2).eval()
    found: Counter[tuple[int, int, int]] = Counter()

    def count(module: nn.Module, inputs: tuple[Tensor]) -> None:
        stride = 1 if isinstance(module.pool, nn.Identity) else 2
        found[inputs[0].shape[1], inputs[0].shape[-1], stride] += 1

    for module in network.modules():
        if isinstance(module, CMM):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        network(torch.randn(1, 2, 3, 224, 224))
    assert {block[:3]: block[3] for block in benchmark("operators").BLOCKS} == found


def test_decode_reads_the_same_frames_and_shares_sum_up(
    benchmark: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    decode = benchmark("decode")
    path = write_video(tmp_path / "a.mp4", num_frames=40)
    choose = decode.random_segments(3)
    chosen = choose(40)
    expected = decode_all(path)[chosen]
    for read in (decode.read_with_stmnet, decode.read_with_pyav):
        np.testing.assert_array_equal(read(path, lambda _: chosen), expected)
    assert 0 < decode.ffmpegs_share(path, 3) < 1


def test_startup_measures_processes_in_turn(benchmark: Callable[[str], ModuleType]) -> None:
    startup = benchmark("startup")
    assert startup.IMPORT_TORCH[1:] == ("-c", "import torch")
    assert startup.PREDICT[1:4] == ("-m", "stmnet", "predict")
    sleep, work = "import time; time.sleep(0.3)", "sum(range(20_000_000))"
    commands = {name: (sys.executable, "-S", "-c", name) for name in (sleep, work)}
    content = startup.measure(commands, rounds=1)
    assert content["seconds"][sleep]["wall"] > 0.3
    assert content["seconds"][sleep]["cpu"] < 0.25
    assert content["seconds"][work]["cpu"] > 0.05
    assert content["cpu_ratio"] > 1.5
    with pytest.raises(subprocess.CalledProcessError):
        startup.run((sys.executable, "-c", "raise SystemExit(2)"))
