"""The log of a run: one JSON line an epoch, from which its learning curves are drawn again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. Losses are cross-entropies in nats, accuracies in [0, 1].

    `seconds` is the epoch's time with its validation, `clips_per_second` of training alone.
    `learning_rate` is the last step's, `train_correlation` the correlation loss of Twins Training.
    Logs of earlier versions do not have all of these.
    """

    epoch: int
    train_loss: float
    train_top1: float
    validation_loss: float
    validation_top1: float
    seconds: float = 0.0
    learning_rate: float | None = None
    clips_per_second: float | None = None
    train_correlation: float | None = None


def append_history(path: Path, record: EpochRecord) -> None:
    """Add an epoch to the log."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def read_history(path: Path) -> tuple[EpochRecord, ...]:
    """The epochs of a log in order; of an epoch that a resumed run repeated, the last record."""
    if not path.is_file():
        return ()
    names = {entry.name for entry in fields(EpochRecord)}
    records: dict[int, EpochRecord] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        record = EpochRecord(**{name: values[name] for name in names & values.keys()})
        records[record.epoch] = record
    return tuple(records[epoch] for epoch in sorted(records))
