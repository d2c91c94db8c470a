"""Trainings side by side: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stmnet.cli.side_by_side import train_side_by_side
from stmnet.motion.generate import SplitSizes, generate
from stmnet.runs.history import read_history

NETWORKS = {"STM": "motion_stm", "TSN": "motion_tsn"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "motion"
    generate(root, seed=0, clips_per_class=SplitSizes(3, 1, 1), processes=1)
    return root


def trainings(data: Path, out: Path, *, epochs: int) -> dict[str, list[str]]:
    return {
        name: [
            recipe,
            *("--data.root", str(data), "--output", str(out / name.lower())),
            *("--optimizer.epochs", str(epochs), "--data.num_workers", "0"),
        ]
        for name, recipe in NETWORKS.items()
    }


def test_both_train_and_every_line_says_whose_it_is(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_side_by_side(trainings(data, tmp_path, epochs=1)) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in NETWORKS:
        assert (tmp_path / name.lower() / "model.safetensors").is_file()
        assert sum(line.startswith(f"{name}  epoch 1/1  loss") for line in lines) == 1
    assert {line.split()[0] for line in lines} == set(NETWORKS)


def test_the_first_error_is_the_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert train_side_by_side({"STM": ["nowhere.yaml"], "TSN": ["--help"]}) == 2
    out, err = capfd.readouterr()
    assert "nowhere.yaml" in err
    assert "TSN  usage: stmnet train" in out, "the other one is not ended"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_both_where_they_are(
    data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    program = (
        "import json, sys\n"
        "from stmnet.cli.side_by_side import train_side_by_side\n"
        "sys.exit(train_side_by_side(json.loads(sys.argv[1])))\n"
    )

    demo = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(trainings(data, tmp_path, epochs=500))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    seen: set[str] = set()
    while seen < set(NETWORKS):
        line = demo.stdout.readline()
        assert line, demo.stderr.read()
        if "epoch" in line:
            seen.add(line.split()[0])
    os.killpg(demo.pid, number)
    _, stderr = demo.communicate(timeout=120)
    assert demo.returncode == 128 + number
    assert stderr.count("stopped by") == 2
    for name in NETWORKS:
        folder = tmp_path / name.lower()
        assert (folder / "last.ckpt").is_file()
        assert not (folder / "model.safetensors").exists()
        assert len(read_history(folder / "history.jsonl")) >= 1


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []

    class Ended:
        stdout = None

        def __init__(self, command: list[str], *, env: dict[str, str], **_: object) -> None:
            started.append(env)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr("subprocess.Popen", Ended)
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert train_side_by_side({"a": [], "b": []}) == 0
    assert [env["OMP_NUM_THREADS"] for env in started] == ["3", "3"]
