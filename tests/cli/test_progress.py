"""One progress bar for all verbs: on a terminal a bar, in a log a line a minute."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import replace

import pytest
from rich.console import Console

from stmnet.cli.progress import SECONDS_BETWEEN_LINES, ProgressBar, format_seconds
from stmnet.cli.train import shown_progress
from stmnet.runs.history import EpochRecord
from stmnet.training.progress import TrainingProgress

MEASURED = TrainingProgress(
    epoch=3,
    num_epochs=70,
    step=120,
    num_steps=1343,
    loss=1.5,
    top1=0.5,
    clips_per_second=12.34,
    seconds_left=3723,
)
RECORD = EpochRecord(2, 2.5, 0.25, 2.25, 0.5, 60.0, 0.01, 8.0)


class Clock:
    """Stands for the time, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("stmnet.cli.progress.time", clock)
    return clock


def test_seconds_are_told_as_precisely_as_an_estimate_deserves() -> None:
    assert [format_seconds(s) for s in (3, 100, 7_000)] == ["3 s", "2 min", "1.9 h"]


def test_a_log_gets_a_line_a_minute(clock: Clock) -> None:
    log = io.StringIO()
    with ProgressBar("videos", Console(file=log)) as progress:
        for done in range(1, 131):
            clock.now += 1
            progress.show(done, 1_000)
    assert log.getvalue().splitlines() == [
        "60 of 1,000 videos, about 16 min left",
        "120 of 1,000 videos, about 15 min left",
    ]


def test_a_training_in_a_log_is_a_line_an_epoch_and_a_line_a_minute_between(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stdout", log)
    unmeasured = TrainingProgress(epoch=3, num_epochs=70, step=4, num_steps=1343)
    with shown_progress() as on_progress:
        on_progress(MEASURED)
        clock.now += SECONDS_BETWEEN_LINES
        on_progress(unmeasured)
        clock.now += SECONDS_BETWEEN_LINES
        on_progress(MEASURED)
        clock.now += 1
        on_progress(replace(MEASURED, step=121))
        clock.now += SECONDS_BETWEEN_LINES
        on_progress(replace(MEASURED, step=2, num_steps=10, split="validation"))
        on_progress(replace(MEASURED, record=RECORD))
        on_progress(replace(MEASURED, record=replace(RECORD, train_correlation=1.25)))
    assert log.getvalue().splitlines() == [
        "epoch 3/70, 4 of 1,343 steps",
        "epoch 3/70, 120 of 1,343 steps, loss 1.500  top-1 50.0%  12.3 clips/s, about 62 min left",
        "epoch 3/70 validation, 2 of 10 steps, loss 1.500  top-1 50.0%  12.3 clips/s, "
        "about 62 min left",
        "epoch 3/70  loss 2.500  top-1 25.0%  validation loss 2.250  top-1 50.0%  60 s",
        "epoch 3/70  loss 2.500  top-1 25.0%  correlation loss 1.25  validation loss 2.250  "
        "top-1 50.0%  60 s",
    ]


def test_a_training_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with shown_progress() as on_progress:
        on_progress(MEASURED)
        time.sleep(0.2)
    shown = terminal.getvalue()
    assert "epoch 3/70" in shown
    assert "120/1343" in shown
    assert "loss 1.500  top-1 50.0%  12.3 clips/s  about 62 min left" in shown


def test_a_log_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 30.0, 61.0, 90.0, 122.0])
    monkeypatch.setattr("stmnet.cli.progress.time.monotonic", lambda: next(clock))
    with ProgressBar("videos") as progress:
        for done in (1_000, 2_000, 3_000, 4_000):
            progress.show(done, 12_000)
    assert capsys.readouterr().err.splitlines() == [
        "2,000 of 12,000 videos, about 5 min left",
        "4,000 of 12,000 videos, about 4 min left",
    ]
    assert [format_seconds(s) for s in (3, 100, 7_000)] == ["3 s", "2 min", "1.9 h"]
