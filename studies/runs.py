"""The runs of a study: each is trained and tested once, kept, and read by the next command.

What is kept of a run is one JSON file, WORK/results/NAME.json. It is written when the run is
tested, so that a study that was killed goes on with the first run that has none, and takes that
one up from its last checkpoint. The checkpoints of a finished run are deleted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stmnet.cli.printing import show_notes
from stmnet.cli.train import shown_progress
from stmnet.data.view_plan import CENTER, ViewPlan
from stmnet.datasets.clip_list import ClipList
from stmnet.evaluation.scoring import Scoring, score_clips
from stmnet.files import atomic_write
from stmnet.memory import keep_freed_memory
from stmnet.profiling.machine import describe_machine
from stmnet.recognizer import Recognizer, load
from stmnet.runs.history import read_history
from stmnet.runs.recipe import load_recipe
from stmnet.runs.resuming import can_resume, delete_history_without_checkpoint
from stmnet.runs.run_files import HISTORY, LAST_CHECKPOINT
from stmnet.training.run import train

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "studies" / "results"

Answers = dict[str, list[int]]
"""The labels that a network gives the clips of a test list, by how these were shown to it."""


@dataclass(frozen=True)
class Run:
    """`stmnet train RECIPE OVERRIDES --seed SEED --output OUTPUT`, and the test of what it made.

    Tested are the weights of the last epoch: none is chosen by its accuracy.
    """

    name: str
    recipe: str
    overrides: tuple[str, ...]
    seed: int
    processes: int = 1

    def words(self, output: Path) -> list[str]:
        """What follows the recipe on the command line."""
        return [*self.overrides, "--seed", str(self.seed), "--output", str(output)]


@dataclass(frozen=True)
class Outcome:
    """What is kept of a run. `seconds` of training; `made_with` names commit, date and machine."""

    run: Run
    answers: Answers
    seconds: float
    made_with: dict[str, Any]

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Outcome:
        """The inverse of `dataclasses.asdict`, by way of JSON."""
        run = plain["run"] | {"overrides": tuple(plain["run"]["overrides"])}
        return cls(**plain | {"run": Run(**run)})


Test = Callable[[Run, Recognizer], Answers]


def study_parser(description: str) -> argparse.ArgumentParser:
    """The options that every study has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/studies"), help="where it works")
    parser.add_argument(
        "--only", nargs="+", default=[], help="the runs whose names begin so; nothing is recorded"
    )
    parser.add_argument(
        "--so-far", action="store_true", help="train nothing more; record the runs that are done"
    )
    parser.add_argument(
        "--pages", action="store_true", help="train nothing; tables again from studies/results"
    )
    return parser


def finish_all(
    runs: Iterable[Run],
    work: Path,
    test: Test,
    *,
    only: Sequence[str] = (),
    so_far: bool = False,
) -> list[Outcome]:
    """Train and test the runs that have not been, one after the other, a line each.

    With `only`, no more than those whose names begin with one of its words; `so_far` leaves out
    those that have not been. What training prints goes to WORK/logs. Raises `StmnetError`.
    """
    keep_freed_memory()  # as `stmnet` does
    outcomes = []
    for run in runs:
        if only and not run.name.startswith(tuple(only)):
            continue
        path = work / "results" / f"{run.name}.json"
        if not path.is_file():
            if so_far:
                continue
            output = work / "runs" / run.name
            outcome = _finish(run, work, output, test)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as unfinished:
                unfinished.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
            # Not before: a killed study would find a run without weights.
            for weights in (*output.glob("*.ckpt"), *output.glob("*.safetensors")):
                weights.unlink()
            print(f"{run.name}: trained in {outcome.seconds:.0f} s", flush=True)
        outcomes.append(Outcome.from_dict(json.loads(path.read_text(encoding="utf-8"))))
        if outcomes[-1].run != run:
            raise SystemExit(f"{path}: is of other settings than the study's. Remove it.")
    return outcomes


def _finish(run: Run, work: Path, output: Path, test: Test) -> Outcome:
    log = work / "logs" / f"{run.name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    delete_history_without_checkpoint(output)
    with log.open("a", encoding="utf-8", buffering=1) as file:
        if run.processes == 1:
            with redirect_stdout(file):
                _train(run, output)
        else:
            command = _torchrun(run, output)
            subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=True)
    answers = test(run, load(output / LAST_CHECKPOINT))
    seconds = sum(record.seconds for record in read_history(output / HISTORY))
    return Outcome(run, answers, round(seconds, 1), _made_with())


def _train(run: Run, output: Path) -> None:
    recipe = load_recipe(ROOT / run.recipe, run.words(output))
    # The library prints nothing: lines and notes are the command line's.
    with show_notes("stdout"), shown_progress() as on_progress:
        train(recipe, resume=can_resume(output), on_progress=on_progress)


def _torchrun(run: Run, output: Path) -> list[str]:
    resume = ["--resume"] if can_resume(output) else []
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"),
        *("--nproc-per-node", str(run.processes), str(Path(sys.executable).with_name("stmnet"))),
        *("train", str(ROOT / run.recipe), *run.words(output), *resume),
    ]


def answers_to(recognizer: Recognizer, clip_list: ClipList, views: str = CENTER) -> list[int]:
    """The label that a network gives each clip, by `views` as `stmnet test --views` takes them."""
    scoring = Scoring(ViewPlan.parse(views), num_workers=1)
    probabilities, _ = score_clips(recognizer, clip_list, scoring)
    answers: list[int] = probabilities.argmax(dim=1).tolist()
    return answers


def _made_with() -> dict[str, Any]:
    return {
        "commit": _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"),
        "date": time.strftime("%Y-%m-%d"),
        **asdict(describe_machine()),
    }


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


# ---- what a study leaves in the checkout ----


def record(name: str, command: str, clips: dict[str, list[Any]], outcomes: list[Outcome]) -> None:
    """Write studies/results/NAME.json: columns on the test clips, and a line a run."""
    runs = ",\n  ".join(json.dumps(asdict(outcome), separators=(",", ":")) for outcome in outcomes)
    columns = ",\n  ".join(
        f"{json.dumps(key)}: {json.dumps(column, separators=(',', ':'))}"
        for key, column in clips.items()
    )
    text = (
        f'{{\n "command": {json.dumps(command)},\n "clips": {{\n  {columns}\n }},\n'
        f' "runs": [\n  {runs}\n ]\n}}\n'
    )
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.json").write_text(text, encoding="utf-8")


def recorded(name: str) -> tuple[dict[str, list[Any]], list[Outcome]]:
    """The columns and the outcomes of studies/results/NAME.json."""
    path = RECORDED / f"{name}.json"
    if not path.is_file():
        raise SystemExit(f"{path}: not there. Leave out --pages to run the study.")
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["clips"], [Outcome.from_dict(plain) for plain in content["runs"]]


def where_and_when(outcomes: Sequence[Outcome], planned: Sequence[Run]) -> str:
    """A line on machine, versions, commits, dates and time, for under a table.

    It says so where some of the `planned` runs are still to be done.
    """
    made = [outcome.made_with for outcome in outcomes]
    commits = ", ".join(dict.fromkeys(m["commit"] for m in made))
    days = sorted({m["date"] for m in made})
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    so_far = ""
    if len(outcomes) < len(planned):
        so_far = (
            f"**Unfinished: {len(outcomes)} of {len(planned)} trainings.** Rows of one seed have "
            "intervals over clips alone; differences are of the seeds that both rows have. "
        )
    return (
        f"{so_far}{len(outcomes)} trainings, {minutes:.0f} minutes in all; "
        f"{made[0]['device_name']}, {made[0]['cores']} cores, "
        f"torch {made[0]['versions']['torch']}; "
        f"{' to '.join(dict.fromkeys((days[0], days[-1])))}; commit {commits}.\n"
    )
