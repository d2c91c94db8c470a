"""What the studies' numbers rest on: intervals, lists without leaks, runs that are kept."""

from __future__ import annotations

import io
import json
import logging
import math
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from studies import real_video, runs, twins, two_processes
from studies.lists import split_by_recording, write_lists
from studies.motion import correct_by_scheme
from studies.real_video import InReverse, answers, room_table
from studies.runs import Outcome, Run, finish_all, record, recorded
from studies.so_far import first_seeds
from studies.tables import cell, class_mean, crossed_interval, difference, each_seed, table

from stmnet.datasets.class_folders import ListedPart
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError
from stmnet.runs.history import EpochRecord
from stmnet.runs.recipe import Recipe
from stmnet.training.progress import OnProgress, TrainingProgress

NORMAL_95 = 1.959964


# ---- intervals ----


def one_label(num_clips: int) -> torch.Tensor:
    return torch.zeros(num_clips, dtype=torch.int64)


def half_width(interval: tuple[float, float]) -> float:
    return (interval[1] - interval[0]) / 2


def test_seeds_that_agree_leave_the_clips_alone_to_vary() -> None:
    right = (torch.arange(400) % 5 > 0).double()  # 80 %
    interval = crossed_interval(right.repeat(3, 1), one_label(400))
    assert half_width(interval) == pytest.approx(NORMAL_95 * math.sqrt(0.8 * 0.2 / 400), rel=0.1)
    assert sum(interval) / 2 == pytest.approx(0.8, abs=0.005)


def test_clips_that_agree_leave_the_seeds_to_vary_with_the_unbiased_variance() -> None:
    of_seeds = torch.randn(40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    interval = crossed_interval(of_seeds[:, None].repeat(1, 5), one_label(5))
    standard_error = float(of_seeds.std(correction=1)) / math.sqrt(40)
    assert half_width(interval) == pytest.approx(NORMAL_95 * standard_error, rel=0.1)


def test_both_vary_at_once() -> None:
    generator = torch.Generator().manual_seed(4)
    of_seeds = torch.randn(30, 1, generator=generator, dtype=torch.float64)
    of_clips = 5 * torch.randn(1, 500, generator=generator, dtype=torch.float64)
    interval = crossed_interval(of_seeds + of_clips, one_label(500))
    variance = float(of_seeds.var(correction=1)) / 30 + float(of_clips.var()) / 500
    assert half_width(interval) == pytest.approx(NORMAL_95 * math.sqrt(variance), rel=0.1)


def test_clips_of_one_recording_count_as_one() -> None:
    right = (torch.arange(50) % 2).double().repeat_interleave(10)[None]  # (1, 500)
    groups = [str(clip // 10) for clip in range(500)]
    alone = half_width(crossed_interval(right, one_label(500)))
    together = half_width(crossed_interval(right, one_label(500), groups=groups))
    assert alone == pytest.approx(NORMAL_95 * math.sqrt(0.25 / 500), rel=0.1)
    assert together == pytest.approx(NORMAL_95 * math.sqrt(0.25 / 50), rel=0.1)


def test_the_mean_of_classes_is_not_the_mean_of_clips() -> None:
    labels = torch.tensor([0] * 30 + [1] * 10)
    always_first = (labels == 0).double().repeat(2, 1)
    assert float(class_mean(always_first, labels)) == 0.5
    # Whatever is drawn, one class is all right and the other all wrong.
    assert crossed_interval(always_first, labels) == (0.5, 0.5)
    low, high = crossed_interval(always_first, one_label(40))
    assert low < 0.75 < high


def test_a_class_that_was_not_drawn_is_left_out() -> None:
    values, labels = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0, 0, 1])
    assert float(class_mean(values, labels, torch.tensor([2, 1, 0]))) == pytest.approx(2 / 3)


def test_labels_and_groups_are_as_many_as_clips() -> None:
    with pytest.raises(ValueError, match="3 labels and 4 groups for 4 clips"):
        crossed_interval(torch.zeros(1, 4), one_label(3))
    with pytest.raises(ValueError, match="4 labels and 2 groups for 4 clips"):
        crossed_interval(torch.zeros(1, 4), one_label(4), groups=["a", "b"])


def test_cells() -> None:
    assert cell(torch.ones(2, 4)) == "100.0 [100.0, 100.0]"
    assert cell(-torch.ones(2, 4) / 8, signed=True) == "−12.5 [−12.5, −12.5]"
    assert cell(torch.ones(2, 4) / 8, signed=True) == "+12.5 [+12.5, +12.5]"
    assert each_seed(torch.tensor([[1.0, 0.0], [1.0, 1.0]])) == "50.0, 100.0"
    assert table(["", "a"], [["b", "1"]]) == "|  | a |\n| --- | --- |\n| b | 1 |\n"


def test_differences_are_of_the_seeds_that_both_have() -> None:
    plain = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert difference(torch.tensor([[1.0, 1.0]]), plain).tolist() == [[0.0, 1.0]]
    assert difference(plain, plain).tolist() == [[0.0, 0.0], [0.0, 0.0]]


# ---- lists ----


def recordings() -> list[ListedPart]:
    """Eleven recordings; every third has both classes."""
    rows = []
    for number in range(11):
        labels = ["standup"] * (1 + number % 4) + ["sitdown"] * (number % 3 == 0)
        rows += [
            ListedPart(f"{number}.mp4", label, 50 * i, 50 * i + 40)
            for i, label in enumerate(labels)
        ]
    return rows


def test_no_recording_is_in_two_folds_and_every_clip_is_in_one() -> None:
    rows = recordings()
    folds = split_by_recording(rows, 4)
    assert sorted(row for fold in folds for row in fold) == sorted(rows)
    videos = [{row.video for row in fold} for fold in folds]
    assert sum(len(of_fold) for of_fold in videos) == 11
    # Four recordings have the rarer class: one in each fold.
    assert [sum(row.label == "sitdown" for row in fold) for fold in folds] == [1, 1, 1, 1]
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 4


def test_folds_do_not_depend_on_the_order_of_the_list() -> None:
    rows = recordings()
    by_video = sorted(rows, key=lambda row: (row.video, row.start_frame), reverse=True)
    named = [{row.video for row in fold} for fold in split_by_recording(rows, 4)]
    assert named == [{row.video for row in fold} for fold in split_by_recording(by_video, 4)]


def test_more_folds_than_recordings() -> None:
    with pytest.raises(DatasetError, match="11 recordings cannot make 12 folds"):
        split_by_recording(recordings(), 12)


def test_written_lists_are_read_as_they_were_meant(tmp_path: Path) -> None:
    rows = recordings()
    (tmp_path / "videos").mkdir()
    for row in rows:
        (tmp_path / "videos" / row.video).touch()
    test, train = rows[:4], rows[4:]
    write_lists(tmp_path / "fold", "../videos", train, test)
    read = {split: read_split("folder", tmp_path / "fold", split) for split in ("train", "test")}
    for split, meant in (("train", train), ("test", test)):
        assert read[split].label_names == ("sitdown", "standup")
        assert [
            ListedPart(
                clip.video.name,
                read[split].label_names[clip.label],
                clip.start_frame,
                clip.end_frame,
            )
            for clip in read[split].clips
        ] == meant
    few = read_split("folder", tmp_path / "fold", "validation").clips
    assert sorted(clip.label for clip in few) == [0, 0, 1, 1]
    assert set(few) <= set(read["train"].clips)


# ---- unfinished studies ----


@dataclass
class Study:
    """A study whose clips and runs are made up: two clips a run, of labels 0 and 1."""

    work: Path
    main: Callable[[], None]
    planned: list[Run]
    page: Path
    record: Path

    def keep(self, is_done: Callable[[Run], bool], is_right: Callable[[Run], bool]) -> None:
        """Leave on the disk what the runs that are done would have left."""
        folder = self.work / "results"
        folder.mkdir(parents=True)
        for run in filter(is_done, self.planned):
            given = [0, 1] if is_right(run) else [1, 0]
            made = outcome("", 0, dict.fromkeys(("ordered", "reversed", "30", "center"), given))
            plain = asdict(made) | {"run": asdict(run)}
            (folder / f"{run.name}.json").write_text(json.dumps(plain))

    def rows(self) -> dict[str, list[str]]:
        """The cells of the page's rows, intervals left out, by what a row is first called."""
        lines = [line for line in self.page.read_text().splitlines() if line.startswith("|")]
        cells = [[cell.strip().partition(" [")[0] for cell in x.split("|")[1:-1]] for x in lines]
        # Of rows that are called the same, the first network's.
        return {next(filter(None, row), ""): row for row in reversed(cells)}


PAGES = {
    "twins": ("studies/twins.md", ("studies.twins", "studies.twins lambda")),
    "two_processes": ("studies/two_processes.md", ("studies.two_processes",)),
    "ucf": ("studies/few_clips.md", ("studies.real_video ucf",)),
    "room": ("studies/sitting_standing.md", ("studies.real_video room",)),
}


def made_up(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    def clips(num_folds: int = 1) -> dict[str, list[Any]]:
        groups = [f"{fold}{place}" for fold in range(num_folds) for place in "ab"]
        return {"label": [0, 1] * num_folds, "recording": groups, "group": groups}

    work = tmp_path / "work"
    module: ModuleType
    if name in real_video.STUDIES:
        module, arguments = real_video, [name]
        _, plan, test, _, table = real_video.STUDIES[name]
        test_clips = clips(real_video.NUM_FOLDS if name == "room" else 1)
        unmade = (lambda *_: None, plan, test, lambda _: test_clips, table)
        monkeypatch.setitem(real_video.STUDIES, name, unmade)
        planned = plan(work)
    else:
        module, arguments = {"twins": twins, "two_processes": two_processes}[name], []
        generates = "generate" if name == "twins" else "generate_with_progress"
        monkeypatch.setattr(module, generates, lambda *_, **__: None)
        monkeypatch.setattr(module, "test_clips", lambda _: clips(), raising=False)
        planned = module.planned_runs(work)
    page, marks = PAGES[name]
    (tmp_path / "docs" / "studies").mkdir(parents=True)
    text = "".join(f"<!-- {mark}: table -->\n<!-- {mark}: end -->\n" for mark in marks)
    (tmp_path / "docs" / page).write_text(text)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(runs, "RECORDED", tmp_path)
    monkeypatch.setattr(sys, "argv", ["study", *arguments, "--so-far", "--work", str(work)])
    return Study(work, module.main, planned, tmp_path / "docs" / page, tmp_path / f"{name}.json")


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("twins", "tsm-plain_twice-seed0"),
        ("two_processes", "stm-processes_2-seed0"),
        ("ucf", "ucf-scratch-seed0"),
        ("room", "room-tsn-fold3-seed0"),
    ],
)
@pytest.mark.parametrize("is_any_done", [True, False])
def test_too_few_runs_are_said_before_anything_is_recorded(
    name: str, lacks: str, is_any_done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made_up(name, tmp_path, monkeypatch)
    study.keep(lambda run: is_any_done and run.name != lacks, lambda run: True)
    before = study.page.read_text()
    with pytest.raises(SystemExit) as stop:
        study.main()
    message = str(stop.value)
    assert message.startswith("too few runs: ")
    assert "\n" not in message
    assert lacks in message
    assert ("seed0, " not in message) == is_any_done
    assert not study.record.exists()
    assert study.page.read_text() == before


@pytest.mark.parametrize(
    ("name", "ahead", "behind", "difference_row"),
    [
        ("twins", "stm-twins-", "stm-plain-", "*Twins − plain, equal epochs*"),
        ("two_processes", "stm-processes_2", "stm-processes_1", "*difference*"),
        (
            "ucf",
            "ucf-probed-",
            "ucf-scratch-",
            "*partial ImageNet weights, a linear probe first − from scratch*",
        ),
        ("room", "room-stm-", "room-tsn-", "*STM − TSN*"),
    ],
)
def test_an_unfinished_study_compares_the_seeds_that_two_rows_have(
    name: str,
    ahead: str,
    behind: str,
    difference_row: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One row has a second seed, which is all wrong, where the other has none."""
    study = made_up(name, tmp_path, monkeypatch)

    def is_done(run: Run) -> bool:
        # Of the room's other rows a fold of the second seed is done too, which is not a whole seed.
        is_second = run.seed == 1 and (run.name.startswith(ahead) or "-fold0-" in run.name)
        return (run.seed == 0 or is_second) and "lambda" not in run.name

    study.keep(is_done, lambda run: run.seed == 0 and not run.name.startswith(behind))
    study.main()
    rows = study.rows()
    assert "+100.0" in rows[difference_row]
    assert any("50.0" in row for row in rows.values())  # of both seeds of the row ahead
    num_done = sum(map(is_done, study.planned))
    num_shown = num_done - (2 if name == "room" else 0)
    assert f"Unfinished: {num_shown} of {len(study.planned)} trainings" in study.page.read_text()
    assert len(json.loads(study.record.read_text())["runs"]) == num_done
    if name == "twins":
        assert rows["0"] == ["0", "not run", "", ""]


def test_seeds_after_a_gap_do_not_count() -> None:
    def runs_of(row: str, seeds: Iterable[int]) -> list[Run]:
        return [outcome(f"{row}-fold{f}-seed{s}", s, {}).run for s in seeds for f in (0, 1)]

    planned = [*runs_of("a", range(3)), *runs_of("b_fold", range(3))]
    finished = [Outcome(run, {}, 1.0, {}) for run in planned]
    assert first_seeds(finished, planned) == finished
    without = [each for each in finished if each.run.name != "b_fold-fold1-seed1"]
    expected = [*runs_of("a", range(3)), *runs_of("b_fold", [0])]
    assert [each.run for each in first_seeds(without, planned)] == expected
    late = [each for each in finished if each.run.name != "b_fold-fold1-seed0"]
    with pytest.raises(SystemExit, match=r"too few runs: .* trained: b_fold-fold1-seed0\.$"):
        first_seeds(late, planned)
    kept = first_seeds(late, planned, optional=["b_fold"])
    assert [each.run for each in kept] == runs_of("a", range(3))


# ---- runs ----


def outcome(name: str, seed: int, given: dict[str, list[int]], seconds: float = 60.0) -> Outcome:
    made_with = {
        "commit": "abc",
        "date": "2026-01-01",
        "device_name": "CPU",
        "cores": 2,
        "versions": {"torch": "2"},
    }
    return Outcome(Run(name, "recipes/r.yaml", ("--a", "1"), seed), given, seconds, made_with)


def test_a_finished_run_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def finish(run: Run, work: Path, output: Path, test: runs.Test) -> Outcome:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(run.name)
        return outcome(run.name, run.seed, {"ordered": [run.seed]})

    monkeypatch.setattr(runs, "_finish", finish)
    plan = [outcome(f"stm-{seed}", seed, {}).run for seed in range(3)]
    with pytest.raises(KeyboardInterrupt):
        finish_all(plan, tmp_path, lambda run, recognizer: {})
    made.pop()
    finished = finish_all(plan, tmp_path, lambda run, recognizer: {})
    assert made == ["stm-0", "stm-2"]
    assert [o.run for o in finished] == plan
    assert [o.answers["ordered"] for o in finished] == [[0], [1], [2]]
    only = finish_all(plan, tmp_path, lambda run, recognizer: {}, only=["stm-1", "stm-2"])
    assert [o.run.name for o in only] == ["stm-1", "stm-2"]
    plan.append(outcome("stm-3", 3, {}).run)
    assert len(finish_all(plan, tmp_path, lambda run, recognizer: {}, so_far=True)) == 3
    assert made == ["stm-0", "stm-2"]


def test_a_run_of_other_settings_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_finish", lambda *_: outcome("stm-0", 0, {}))
    finish_all([outcome("stm-0", 0, {}).run], tmp_path, lambda run, recognizer: {})
    other = Run("stm-0", "recipes/r.yaml", ("--a", "2"), 0)
    with pytest.raises(SystemExit, match="of other settings"):
        finish_all([other], tmp_path, lambda run, recognizer: {})


def test_pages_of_what_was_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RECORDED", tmp_path)
    with pytest.raises(SystemExit, match="study.json: not there. Leave out --pages"):
        recorded("study")


def test_what_is_recorded_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RECORDED", tmp_path / "results")
    outcomes = [outcome("a", 0, {"ordered": [1, 0]}), outcome("b", 1, {"ordered": [0, 0]})]
    clips = {"label": [1, 0], "recording": ["x", "y"]}
    record("study", "python -m studies.study", clips, outcomes)
    assert recorded("study") == (clips, outcomes)


def test_answers_are_compared_with_labels_by_seed() -> None:
    outcomes = [
        outcome("stm-plain-seed1", 1, {"ordered": [1, 1, 1]}),
        outcome("stm-plain-seed0", 0, {"ordered": [0, 1, 0]}),
        outcome("stm-plain_twice-seed0", 0, {"ordered": [1, 0, 1]}),
    ]
    right = correct_by_scheme(outcomes, {"label": [0, 1, 1]})
    assert right["stm-plain"].tolist() == [[1, 1, 0], [0, 1, 1]]
    assert right["stm-plain_twice"].tolist() == [[0, 0, 1]]


def test_folds_are_joined_in_their_order() -> None:
    outcomes = [
        outcome(f"room-stm-fold{fold}-seed{seed}", seed, {"ordered": [10 * seed + fold]})
        for fold in (2, 0, 1)
        for seed in (1, 0)
    ]
    assert answers(outcomes, "ordered").tolist() == [[0, 1, 2], [10, 11, 12]]


def test_the_room_table_tells_a_network_of_order_from_one_without() -> None:
    labels = [0, 1, 1, 1]
    given = {
        # Right, and turned around with the clip.
        "stm": {"ordered": [0, 1, 1, 1], "reversed": [1, 0, 0, 0]},
        "tsm": {"ordered": [0, 1, 1, 0], "reversed": [0, 1, 1, 1]},
        # The commoner answer, whatever is shown.
        "tsn": {"ordered": [1, 1, 1, 1], "reversed": [1, 1, 1, 1]},
    }
    outcomes = [
        outcome(f"room-{network}-fold0-seed{seed}", seed, answers)
        for network, answers in given.items()
        for seed in (0, 1)
    ]
    clips = {"label": labels, "recording": list("aabb")}
    rows = [
        [part.strip().partition(" [")[0] for part in line.split("|")[1:-1]]
        for line in room_table(clips, outcomes).splitlines()[2:]
    ]
    assert rows[0] == ["STM-18", "100.0", "100.0", "100.0 / 100.0", "100.0", "100.0"]
    assert rows[1] == ["TSM-18", "75.0", "83.3", "100.0 / 66.7", "25.0", "0.0"]
    assert rows[2] == ["TSN-18", "75.0", "50.0", "0.0 / 100.0", "0.0", "50.0"]
    assert rows[3][:3] == ["*STM − TSN*", "+25.0", "+50.0"]


def test_clips_are_turned_around_in_time_only() -> None:
    clips = torch.arange(2 * 4 * 3).view(2, 4, 3, 1, 1)
    turned = InReverse()(clips)
    for frame in range(4):
        assert torch.equal(turned[:, frame], clips[:, 3 - frame])


def test_the_log_of_a_run_has_its_notes_and_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(recipe: Recipe, *, resume: bool, on_progress: OnProgress) -> None:
        logging.getLogger("stmnet.training.run").info("a note")
        record = EpochRecord(0, 2.5, 0.25, 2.25, 0.5, seconds=3.0)
        on_progress(TrainingProgress(1, 1, step=1, num_steps=1, record=record))

    monkeypatch.setattr(runs, "train", train)
    with redirect_stdout(io.StringIO()) as log:
        runs._train(Run("stm", "recipes/motion_stm.yaml", (), 0), tmp_path)
    assert log.getvalue().splitlines() == [
        "a note",
        "epoch 1/1  loss 2.500  top-1 25.0%  validation loss 2.250  top-1 50.0%  3 s",
    ]
