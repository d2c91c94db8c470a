"""What the studies on the motion set share: little data of its own, a recipe, and the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stmnet.cli.generate import generate_with_progress
from stmnet.datasets.splits import read_split
from stmnet.motion.generate import SplitSizes
from stmnet.recognizer import Recognizer
from studies.runs import Answers, Outcome, Run, answers_to

DATA_SEED = 40
# The validation clips decide nothing; the training loop asks for some.
SIZES = SplitSizes(train=40, validation=2, test=50)
SEEDS = (0, 1, 2)
EPOCHS = 10

RECIPES = {"stm": "motion_stm.yaml", "tsm": "motion_tsn.yaml", "tsn": "motion_tsn.yaml"}
# The demo's recipes, and in all rows the distortions of section 4.2 (they have hardly any):
# short sides of 256, 288 and 320 pixels for crops of 224, at this set's size, and colors.
SETTINGS = (
    *("--optimizer.learning_rate", "0.05"),
    *("--augmentation.short_sides", "[54,62,69]"),
    *("--augmentation.brightness", "0.2"),
    *("--augmentation.contrast", "0.2"),
    *("--augmentation.saturation", "0.2"),
    *("--augmentation.grayscale_probability", "0.1"),
)


def data_root(work: Path) -> Path:
    """Where the generated clips lie."""
    return work / "motion"


def generate(work: Path) -> None:
    """Make the clips, unless they are there."""
    generate_with_progress(data_root(work), seed=DATA_SEED, clips_per_class=SIZES)


def motion_run(
    network: str,
    scheme: str,
    seed: int,
    work: Path,
    *,
    epochs: int = EPOCHS,
    more: Sequence[str] = (),
) -> Run:
    """A network ("stm", "tsm" or "tsn") trained on the little data, by the scheme of this name."""
    words = (
        *("--model.name", f"{network}_resnet18", "--data.root", str(data_root(work))),
        *("--optimizer.epochs", str(epochs), *SETTINGS, *more),
    )
    name = f"{network}-{scheme}-seed{seed}"
    return Run(name, f"recipes/{RECIPES[network]}", words, seed)


def test_clips(work: Path) -> dict[str, list[Any]]:
    """The columns of the test list."""
    return {"label": [clip.label for clip in read_split("motion", data_root(work), "test").clips]}


def test_on_motion(run: Run, recognizer: Recognizer, work: Path) -> Answers:
    """The answers on the 600 test clips."""
    return {"ordered": answers_to(recognizer, read_split("motion", data_root(work), "test"))}


def correct_by_scheme(
    outcomes: Sequence[Outcome], clips: dict[str, list[Any]]
) -> dict[str, Tensor]:
    """For every "network-scheme" which clips were answered right: (seeds, clips) float."""
    labels = torch.tensor(clips["label"])
    rows: dict[str, list[Tensor]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.run.seed):
        right = torch.tensor(outcome.answers["ordered"]) == labels
        rows.setdefault(outcome.run.name.rpartition("-")[0], []).append(right.double())
    return {name: torch.stack(of_seeds) for name, of_seeds in rows.items()}
