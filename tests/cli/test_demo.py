"""The demo on a set of a few clips, with networks that train for a moment."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from stmnet.cli import demo
from stmnet.cli.main import main
from stmnet.motion import generate


def test_the_samples_are_predicted_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    captured = capsys.readouterr()
    first, head, *rows, second = captured.out.splitlines()
    assert first.startswith("1/4  predicting the sample clips")
    assert head.split() == ["video", "action", "probability"]
    assert len(rows) == 12
    assert rows[0].split()[:3] == ["closing_something.mp4", "Closing", "something"]
    assert second == "2/4  generating the motion set"
    assert len(captured.err.splitlines()) == 1
    assert f"{tmp_path}/file" in captured.err


@pytest.mark.slow
def test_the_demo_ends_in_two_accuracies_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "SplitSizes", partial(generate.SplitSizes, 1, 1, 1))
    for name, recipe in demo.NETWORKS.items():
        tiny = tmp_path / f"{name}.yaml"
        tiny.write_text(f"base: {recipe}\noptimizer: {{epochs: 1}}\ndata: {{batch_size: 4}}\n")
        monkeypatch.setitem(demo.NETWORKS, name, str(tiny))
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seed", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    steps = [line for line in lines if line[1:4] == "/4 "]
    assert [step[0] for step in steps] == ["1", "2", "3", "4"]
    assert [line.split("  ")[0] for line in lines[-3:]] == ["STM top-1", "TSN top-1", "page"]
    page = Path(lines[-1].removeprefix("page").strip())
    assert page == (tmp_path / "demo" / "report.html").resolve()
    assert "stmnet demo --seed 1" in page.read_text()

    # Again: what is there is kept, and nothing is trained.
    weights = tmp_path / "demo" / "stm" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seed", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == lines[-3:]
    assert weights.stat().st_mtime_ns == before
