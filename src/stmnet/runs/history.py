"""The log of a run: one JSON line an epoch, from which its learning curves are drawn again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from stmnet.errors import StmnetError
from stmnet.files import atomic_write_text


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. Losses are cross-entropies in nats, accuracies in [0, 1].

    `epoch` counts from 0, as Lightning does; what is shown of it counts from 1: `number`.
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

    @property
    def number(self) -> int:
        """The epoch as people count, from 1: on curves, in lines and in messages."""
        return self.epoch + 1


def append_history(path: Path, record: EpochRecord) -> None:
    """Add an epoch to the log. Raises `StmnetError` where it cannot be written."""
    try:
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        # Not by appending: a full disk would leave half a line, to which the next one is added.
        atomic_write_text(path, before + json.dumps(asdict(record)) + "\n")
    except OSError as e:
        raise StmnetError(
            f"{path}: cannot be written ({e.strerror}). Make room there, and go on with "
            "resume=True."
        ) from e


def read_history(path: Path) -> tuple[EpochRecord, ...]:
    """The epochs of a log in order; of an epoch that a resumed run repeated, the last record.

    Raises `StmnetError` for a line that is not one of its records.
    """
    if not path.is_file():
        return ()
    names = {entry.name for entry in fields(EpochRecord)}
    records: dict[int, EpochRecord] = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            values = json.loads(line)
            record = EpochRecord(**{name: values[name] for name in names & values.keys()})
        except (AttributeError, TypeError, ValueError) as e:
            raise StmnetError(
                f"{path}: line {number} is not a record of an epoch. Delete that line."
            ) from e
        records[record.epoch] = record
    return tuple(records[epoch] for epoch in sorted(records))
