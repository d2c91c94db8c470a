"""`stmnet test` end to end, of one run and of several: figures against the kept scores."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from stmnet.cli.main import main
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError, StmnetError
from stmnet.evaluation import evaluate
from stmnet.evaluation.options import EvaluationOptions, Shard
from stmnet.evaluation.several_checkpoints import evaluate_checkpoints
from stmnet.files import packaged_file
from stmnet.motion.classes import LABEL_NAMES
from stmnet.recognizer import Recognizer, load
from stmnet.runs.list_summary import digest_of_clips

ACCURACIES = ("top1", "top5", "mean_class_accuracy")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs with data of their own; the second one's has wrong labels, and lacks a class."""
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for number in (1, 2):
        root = folder / f"set{number}"
        shutil.copytree(packaged_file("samples"), root / "videos")
        names = list(LABEL_NAMES)
        if number == 2:
            names[:4] = [names[1], names[0], names[2], names[2]]
        videos = [name.lower().replace(" ", "_") for name in LABEL_NAMES]
        lists = {
            "labels.json": json.dumps({name: str(n) for n, name in enumerate(LABEL_NAMES)}),
            "test.json": json.dumps([{"id": video} for video in videos]),
            "test-answers.csv": "".join(
                f"{video};{name}\n" for video, name in zip(videos, names, strict=True)
            ),
        }
        for name, text in lists.items():
            (root / name).write_text(text)
        run = folder / f"run{number}"
        run.mkdir()
        load("motion").save(run / "model.safetensors")
        data = {"dataset": "motion", "root": str(root), "sampling": "segments"}
        (run / "recipe.yaml").write_text(yaml.safe_dump({"data": data}))
        runs.append(run)
    return runs


def tell(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["test", *map(str, words), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


@pytest.mark.slow
def test_several_runs_are_tested_each_on_its_data(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    told = tell(capsys, *runs, "--views", "2x1")
    assert [test["checkpoint"] for test in told["tests"]] == [str(run) for run in runs]
    for test, run in zip(told["tests"], runs, strict=True):
        (kept,) = (run / "scores").iterdir()
        assert test["scores"] == str(kept)
        assert test["views"] == "2 random clips x center crop, seed 0"
        tensors = load_file(kept)
        scores, targets = tensors["scores"].mean(dim=1), tensors["targets"]
        right = scores.argmax(dim=1) == targets
        assert test["top1"] == pytest.approx(right.double().mean().item())
        for entry, name in zip(test["classes"], LABEL_NAMES, strict=True):
            of_class = right[targets == LABEL_NAMES.index(name)]
            assert (entry["label"], entry["clips"]) == (name, len(of_class))
            if len(of_class):
                assert entry["accuracy"] == pytest.approx(of_class.double().mean().item())
                low, high = entry["interval"]
                assert low <= entry["accuracy"] <= high
            else:
                assert entry["accuracy"] is None
                assert entry["interval"] is None
        page = (run / "report.html").read_text()
        assert f"{100 * test['top1']:.1f}" in page
        assert f"{test['calibration_error']:.3f}" in page
    first, second = told["tests"]
    assert first["top1"] > second["top1"]
    assert first["confused_pairs"] == [] or first["top1"] < 1
    assert second["confused_pairs"][0]["labels"] == list(LABEL_NAMES[:2])
    assert second["confused_pairs"][0]["clips"] == 2
    for name in (*ACCURACIES, "calibration_error"):
        assert told["mean"][name] == pytest.approx((first[name] + second[name]) / 2)
    for name in ACCURACIES:
        low, high = told["mean"][f"{name}_interval"]
        assert low <= told["mean"][name] <= high
    # The same as a table, from the scores that are there.
    assert main(["test", *map(str, runs), "--views", "2x1"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("scored before") == 2
    (mean,) = [line for line in captured.out.splitlines() if line.startswith("mean ")]
    assert f"{told['mean']['top1']:.1%}" in mean


@pytest.mark.slow
def test_checkpoints_of_one_folder_have_pages_of_their_own(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(
        runs[0], tmp_path / "run", ignore=shutil.ignore_patterns("scores", "*.html")
    )
    recognizer = load("motion")
    recognizer.network.fc.weight.data.neg_()
    checkpoints = [run / "model.safetensors", recognizer.save(run / "worse.safetensors")]
    of_run = tell(capsys, run)
    told = tell(capsys, *checkpoints)["tests"]
    assert [test["report"] for test in told] == [
        str(run / f"report-{checkpoint.name}.html") for checkpoint in checkpoints
    ]
    assert of_run["report"] == str(run / "report.html")
    assert of_run["top1"] == told[0]["top1"] > told[1]["top1"]
    for test in (of_run, *told):
        page = Path(test["report"]).read_text()
        assert f"<dd>{test['checkpoint']}</dd>" in page
        assert f"{100 * test['top1']:.1f}" in page


@pytest.mark.slow
def test_it_is_said_where_the_test_clips_chose_the_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in sorted(LABEL_NAMES):
        video = packaged_file("samples") / f"{name.lower().replace(' ', '_')}.mp4"
        for folder in ("both/train", "both/val", "own/train", "own/val", "own/test"):
            (tmp_path / folder / name).mkdir(parents=True)
            shutil.copy(video, tmp_path / folder / name / f"{folder.replace('/', '_')}.mp4")
    config = replace(load("motion").config, label_names=tuple(sorted(LABEL_NAMES)))
    (tmp_path / "run").mkdir()
    Recognizer(load("motion").network, config).save(tmp_path / "run" / "model.safetensors")
    said = "test: the same clips as validation, which chose the best epoch."
    for root, split, expected in [
        (tmp_path / "both", "test", [said]),
        (tmp_path / "both", "validation", []),
        (tmp_path / "own", "test", []),
    ]:
        data = {"dataset": "folder", "root": str(root), "sampling": "segments"}
        (tmp_path / "run" / "recipe.yaml").write_text(yaml.safe_dump({"data": data}))
        assert main(["test", str(tmp_path / "run"), "--split", split]) == 0
        err = capsys.readouterr().err.splitlines()
        assert [line for line in err if "same clips" in line] == expected


@pytest.mark.slow
def test_it_is_said_where_clips_may_have_changed_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = tmp_path / "set", tmp_path / "run"
    for name in LABEL_NAMES:
        (root / name).mkdir(parents=True)
        for number in range(2):  # of which one is held out
            video = packaged_file("samples") / f"{name.lower().replace(' ', '_')}.mp4"
            shutil.copy(video, root / name / f"{number}.mp4")
    run.mkdir()
    config = replace(load("motion").config, label_names=tuple(sorted(LABEL_NAMES)))
    Recognizer(load("motion").network, config).save(run / "model.safetensors")
    data = {"dataset": "folder", "root": str(root), "sampling": "segments"}
    (run / "recipe.yaml").write_text(yaml.safe_dump({"data": data}))
    lists = {split: read_split("folder", root, split) for split in ("train", "validation")}
    described = {
        split: {"clips": len(clip_list.clips), "digest": digest_of_clips(clip_list)}
        for split, clip_list in lists.items()
    }
    (run / "run.json").write_text(json.dumps({"data": described}))

    def warned(split: str) -> list[str]:
        assert main(["test", str(run), "--split", split]) == 0
        return [line for line in capsys.readouterr().err.splitlines() if "warning" in line]

    assert warned("validation") == warned("test") == warned("train") == []
    assert evaluate.evaluate_checkpoint(
        run, EvaluationOptions(split="validation", unreadable={3: "bad"})
    ).targets.shape == (11,)

    lists["validation"].clips[0].video.unlink()
    (warning,) = warned("validation")
    assert warning == (
        "warning: the validation list is not what the run was started with "
        "(11 clips, and 12 then): clips of the training may be in it."
    )
    assert warned("test") == [warning]
    for unreadable in ({}, {3: "bad"}):
        with pytest.raises(DatasetError, match="not what the run was started with.*Put the data"):
            evaluate.evaluate_checkpoint(
                run, EvaluationOptions(split="validation", unreadable=unreadable)
            )

    # Elsewhere it is the run's list, or a set of its own.
    shutil.copytree(root, tmp_path / "copy")
    shutil.copy(video, tmp_path / "copy" / LABEL_NAMES[-1] / "0.mp4")
    elsewhere = ["test", str(run), "--dataset", "folder", "--root", str(tmp_path / "copy")]
    assert main(elsewhere) == 0
    assert "validation" not in capsys.readouterr().err
    restored = tmp_path / "copy" / lists["validation"].clips[0].video.relative_to(root)
    shutil.copy(video, restored)
    assert main(elsewhere) == 0
    assert "test: the same clips as validation, which chose" in capsys.readouterr().err


@pytest.mark.slow
def test_one_run_gives_a_table_of_classes_and_pairs(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    told = tell(capsys, runs[1])
    assert told["views"] == "center"
    assert main(["test", str(runs[1])]) == 0
    out = capsys.readouterr().out
    (top1,) = [line for line in out.splitlines() if line.startswith("top-1 ")]
    low, high = told["top1_interval"]
    assert top1.split() == ["top-1", f"{told['top1']:.1%}", f"{100 * low:.1f}-{high:.1%}"]
    worst, *_ = [line for line in out.splitlines() if line.endswith("0.0-0.0%")]
    assert worst.startswith("Moving something")
    assert f"{LABEL_NAMES[0]} | {LABEL_NAMES[1]}" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--views 3x2", "views '3x2': give center, 30 or CLIPSxCROPS"),
        ("--shard 3/2", "shard '3/2': give its number"),
        (
            "{second} --report page.html",
            "page.html: one file for 2 checkpoints. Leave report out",
        ),
        (
            "--report {first}/model.safetensors",
            "exists and is not an HTML page. Give a name in .html.",
        ),
        ("--scores {first}", "is a folder. Give the name of a file."),
        ("{second} --scores kept", "scores kept: one file for 2 checkpoints."),
        ("--device cuda", "device cuda: CUDA is not available on this machine. Give cpu."),
    ],
)
def test_what_cannot_be_tested_is_said_in_one_line(
    runs: list[Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    message: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["test", str(runs[0]), *words.format(first=runs[0], second=runs[1]).split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert message in captured.err


@pytest.mark.parametrize("text", ["", "model: {}", "data: [", "plain"])
def test_a_damaged_recipe_of_a_run_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    load("motion").save(tmp_path / "model.safetensors")
    (tmp_path / "recipe.yaml").write_text(text)
    assert main(["test", str(tmp_path)]) == 2
    assert "recipe.yaml: not the recipe of a run. Put it back" in capsys.readouterr().err


def test_scores_and_page_take_no_place_of_a_device_or_pipe(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for option, path in [
        ("--scores", tmp_path / "pipe"),
        ("--report", tmp_path / "pipe"),
        ("--scores", Path("/dev/full")),
    ]:
        assert main(["test", str(runs[0]), option, str(path)]) == 2
        said = f"stmnet: {option[2:]} {path}: is not a regular file. Give the name of a file."
        assert capsys.readouterr().err.splitlines() == [said]
    assert (tmp_path / "pipe").is_fifo()
    assert not Path("/dev/full").is_file()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0. Give at least 1."),
        ({"num_workers": -1}, "num_workers is -1. Give at least 0."),
        ({"seed": -1}, "seed is -1. Give at least 0."),
        ({"views": "10x2"}, "views '10x2': give center, 30 or CLIPSxCROPS"),
    ],
)
def test_options_out_of_range_are_named_as_arguments(values: dict[str, Any], message: str) -> None:
    with pytest.raises(StmnetError, match=f"^{message}"):
        EvaluationOptions(**values)


@pytest.mark.slow
def test_progress_counts_the_clips_of_all_checkpoints(runs: list[Path], tmp_path: Path) -> None:
    options = EvaluationOptions(num_workers=0)
    copies = []
    for run in runs:
        copy = tmp_path / run.name
        copies.append(shutil.copytree(run, copy, ignore=shutil.ignore_patterns("scores", "*.html")))
    counted: list[tuple[int, int]] = []
    part = evaluate_checkpoints(
        copies, options, Shard(2, 2), on_clip=lambda *count: counted.append(count)
    )
    assert (part.results, part.mean, counted) == ((), None, [])  # one piece a run: part 1 has it
    assert [(each.num_clips, each.num_scored) for each in part.progress] == [(12, 0), (12, 0)]
    found = evaluate_checkpoints(copies, options, on_clip=lambda *count: counted.append(count))
    assert counted == [(done, 24) for done in range(1, 25)]
    assert [each.num_scored for each in found.progress] == [12, 12]
    assert found.mean is not None
    assert found.mean.top1 == pytest.approx(sum(each.metrics.top1 for each in found.results) / 2)
    assert not list(tmp_path.rglob("*.html"))  # a page is the caller's affair


def test_top5_is_shown_where_there_are_more_than_five_classes(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("opening", "closing")
    for label in labels:
        (tmp_path / "set" / "test" / label).mkdir(parents=True)
        shutil.copy(
            packaged_file(f"samples/{label}_something.mp4"), tmp_path / "set" / "test" / label
        )
    (tmp_path / "run").mkdir()
    config = replace(load("motion").config, label_names=tuple(sorted(labels)))
    Recognizer(config.build(), config).save(tmp_path / "run" / "model.safetensors")
    words = ["--dataset", "folder", "--root", str(tmp_path / "set")]
    assert main(["test", str(tmp_path / "run"), *words]) == 0
    out = capsys.readouterr().out
    assert "top-1" in out
    assert "top-5" not in out
    assert tell(capsys, tmp_path / "run", *words)["top5"] == 1
    assert main(["test", str(runs[0])]) == 0
    assert "top-5" in capsys.readouterr().out


def test_a_mean_over_other_labels_is_refused(runs: list[Path], tmp_path: Path) -> None:
    other = shutil.copytree(runs[1], tmp_path / "other", ignore=shutil.ignore_patterns("scores"))
    recognizer = load("motion")
    labels = tuple(reversed(recognizer.config.label_names))
    root = tmp_path / "set"
    for label in labels:
        (root / "test" / label).mkdir(parents=True)
        name = f"{label.lower().replace(' ', '_')}.mp4"
        shutil.copy(packaged_file("samples") / name, root / "test" / label / name)
    data = {"dataset": "folder", "root": str(root), "sampling": "segments"}
    (other / "recipe.yaml").write_text(yaml.safe_dump({"data": data}))
    config = replace(recognizer.config, label_names=tuple(sorted(labels)))
    Recognizer(recognizer.network, config).save(other / "model.safetensors")
    expected = f"{other}: its labels are not those of {runs[0]}.*Test them one by one"
    with pytest.raises(StmnetError, match=expected):
        evaluate_checkpoints([runs[0], other], EvaluationOptions())
    assert not (other / "scores").exists()
