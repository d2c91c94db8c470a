"""The command line: what it prints, and one line for everything a user can get wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stmnet.cli.main import main
from stmnet.files import packaged_file
from stmnet.motion.classes import LABEL_NAMES
from stmnet.motion.clips import FPS, render_clip, write_video
from stmnet.motion.generate import SplitSizes, generate
from tests.conftest import STMNET, VideoWriter, printed_as_utf8, write_audio

SAMPLES = packaged_file("samples")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `stmnet ...`, in this process."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def name_of(sample: Path) -> str:
    return {name.lower().replace(" ", "_"): name for name in LABEL_NAMES}[sample.stem]


def test_sample_clips_are_recognized(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "predict", SAMPLES, "--json")
    result = json.loads(out)
    assert code == 0
    assert len(result["predictions"]) == 12
    labels = {Path(entry["video"]): entry["label"] for entry in result["predictions"]}
    assert {name_of(video) for video in labels} == set(LABEL_NAMES)
    num_right = sum(label == name_of(video) for video, label in labels.items())
    assert num_right >= 11
    for entry in result["predictions"]:
        probabilities = [each["probability"] for each in entry["top"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert entry["top"][0]["label"] == entry["label"]


def test_the_package_runs_as_the_command_does() -> None:
    command = [sys.executable, "-m", "stmnet", "predict", "nowhere.mp4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nowhere.mp4" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_sample_clips_are_from_a_seed_of_their_own(tmp_path: Path) -> None:
    # scripts/make_weights.py: data from seed 1000, samples from seed 2,000,000.
    for label, name in enumerate(LABEL_NAMES):
        sample = SAMPLES / f"{name.lower().replace(' ', '_')}.mp4"
        again = tmp_path / sample.name
        write_video(again, render_clip(label, seed=(2_000_000, label)), fps=FPS)
        assert again.read_bytes() == sample.read_bytes()


def test_predict_prints_a_table_of_files_and_folders(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second, third = sorted(SAMPLES.glob("*.mp4"))[:3]
    shutil.copy(third, tmp_path)
    code, out, err = run(capsys, "predict", first, second, tmp_path, "--top", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 1 + 3 * 2
    assert lines[0].split() == ["video", "action", "probability"]
    for line, video in zip(lines[1::2], [first, second, third], strict=True):
        assert video.name in line
        assert line.rstrip().endswith("%")


def test_names_with_brackets_and_colons_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = ["[b] :cat: [.mp4", "a[red]b.mp4"]
    videos = [shutil.copy(SAMPLES / "moving_something_left.mp4", tmp_path / n) for n in names]
    code, out, _ = run(capsys, "predict", *videos, "--top", 1)
    assert code == 0
    for name, line in zip(names, out.splitlines()[1:], strict=True):
        assert line.startswith(f"{name} ")


def test_predict_names_files_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff.mp4")
    shutil.copy(SAMPLES / "moving_something_left.mp4", tmp_path / name)
    for more in ([], ["--json"]):
        out = printed_as_utf8("predict", tmp_path, *more)
        assert r"a\udcff.mp4" in out
    assert json.loads(out)["predictions"][0]["video"] == str(tmp_path / name)


def test_predict_computes_fast_where_it_is_asked_to(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # On any machine "fast" is then bfloat16.
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    sample = sorted(SAMPLES.glob("*.mp4"))[0]
    _, out, _ = run(capsys, "predict", sample, "--json")
    code, fast_out, _ = run(capsys, "predict", sample, "--json", "--dtype", "fast")
    assert code == 0
    plain, fast = json.loads(out), json.loads(fast_out)
    assert (plain["dtype"], fast["dtype"]) == ("float32", "fast")
    plain_top, fast_top = (told["predictions"][0]["top"][0] for told in (plain, fast))
    assert plain_top["label"] == fast_top["label"]
    assert plain_top["probability"] != fast_top["probability"]
    assert plain_top["probability"] == pytest.approx(fast_top["probability"], abs=0.05)


def test_predict_without_arguments_takes_the_samples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "predict", "--top", 1)
    assert code == 0
    assert len(out.splitlines()) == 1 + 12


@pytest.fixture
def bad_inputs(tmp_path: Path, make_video: VideoWriter) -> dict[str, Path]:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    write_audio(tmp_path / "sound.mp4")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.ckpt").write_text("no checkpoint\n")
    (tmp_path / "text.safetensors").write_text("no checkpoint\n")
    (tmp_path / "misspelt.yaml").write_text("data: {batchsize: 3}\n")
    (tmp_path / "unknown_model.yaml").write_text("model: {name: stm_resnet55}\n")
    return {
        "one_frame.mp4": make_video("one_frame.mp4", num_frames=1),
        **{path.name: path for path in tmp_path.iterdir()},
        "missing.mp4": tmp_path / "missing.mp4",
    }


@pytest.mark.parametrize(
    ("verb", "name", "message"),
    [
        ("predict", "missing.mp4", "no such file. Give the path of a video file."),
        ("predict", "empty.mp4", "the file is empty. Download or copy it again."),
        ("predict", "text.mp4", "not a readable video"),
        ("predict", "sound.mp4", "no video stream (audio only). Remove it"),
        (
            "predict",
            "one_frame.mp4",
            "has only one frame; recognizing an action needs",
        ),
        ("predict", "folder", "no video in this folder"),
        ("predict", "a" * 300, "File name too long. Give the path of a video file."),
        ("predict --model", "a" * 300, "no such file. Give a checkpoint"),
        ("predict --model", "text.ckpt", "not a checkpoint"),
        ("predict --model", "text.safetensors", "not a checkpoint"),
        (
            "predict --model",
            "folder",
            "not a run's folder (no model.safetensors in it). Give",
        ),
        (
            "test --dataset folder --root .",
            "text.ckpt",
            "not a checkpoint of tensors and plain values. Give a .safetensors",
        ),
        ("test", "text.ckpt", "not a checkpoint of tensors and plain values. Give a .safetensors"),
        ("test", "missing.mp4", "no such file. Give a checkpoint"),
        ("train", "misspelt.yaml", "unknown key 'data.batchsize'. Did you mean 'data.batch_size'?"),
        ("train", "unknown_model.yaml", "'stm_resnet55'. Did you mean 'stm_resnet50'?"),
        ("train", "missing.mp4", "no such file, and no recipe of stmnet has this name. Give a"),
        ("train --resume", "../recipes/none.yaml", "no such file, and no recipe"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    bad_inputs: dict[str, Path],
    verb: str,
    name: str,
    message: str,
) -> None:
    path = bad_inputs.get(name, Path(name))
    words = verb.split()
    # `predict --model X` wants a video too.
    video = [sorted(SAMPLES.glob("*.mp4"))[0]] if "--model" in words else []
    code, out, err = run(capsys, *words, path, *video)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert path.stem in err or "stm_resnet55" in err
    assert "Traceback" not in err


def test_wrong_files_do_not_keep_the_right_ones_from_being_recognized(
    capsys: pytest.CaptureFixture[str], bad_inputs: dict[str, Path]
) -> None:
    good = sorted(SAMPLES.glob("*.mp4"))[0]
    code, out, err = run(capsys, "predict", bad_inputs["text.mp4"], good, "--json")
    result = json.loads(out)
    assert code == 2
    assert [entry["video"] for entry in result["predictions"]] == [str(good)]
    assert list(result["errors"]) == [str(bad_inputs["text.mp4"])]
    assert len(err.splitlines()) == 1


def test_a_cut_video_is_recognized_with_a_warning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = SAMPLES / "moving_something_left.mp4"
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    code, out, err = run(capsys, "predict", cut, "--json")
    (prediction,) = json.loads(out)["predictions"]
    assert code == 0
    assert prediction["label"] == "Moving something left"
    assert len(prediction["warnings"]) == 1
    assert len(err.splitlines()) == 1
    assert "cut.mp4: ends after" in err


def test_real_cut_videos_are_recognized_with_a_warning(
    capsys: pytest.CaptureFixture[str], shared: Path, tmp_path: Path
) -> None:
    for whole in (
        shared / "videos/clips/webm/task5_0.webm",
        sorted((shared / "videos/ucf101").rglob("*.avi"))[0],
    ):
        cut = tmp_path / f"cut{whole.suffix}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        code, out, err = run(capsys, "predict", cut, "--json")
        assert code == 0
        assert len(json.loads(out)["predictions"]) == 1
        assert "before the length its header states" in err


def test_a_folder_that_is_no_data_set_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recipe = packaged_file("recipes/motion_stm.yaml")
    code, _, err = run(capsys, "train", recipe, "--data.root", tmp_path, "--output", tmp_path / "r")
    assert code == 2
    assert f"{tmp_path}: no labels.json there. Set --data.root" in err
    assert len(err.splitlines()) == 1


def test_prepare_motion_writes_the_set(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sizes = ["--train", 2, "--validation", 1, "--test", 1]
    code, out, err = run(capsys, "prepare", "motion", "--out", tmp_path / "a", "--seed", 4, *sizes)
    assert code == 0
    assert str(tmp_path / "a") in out
    assert err == (
        "stmnet: warning: the next version generates the motion set by `stmnet generate motion` "
        "only\n"
    )
    generate(tmp_path / "b", seed=4, clips_per_class=SplitSizes(2, 1, 1))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 4 * 12 + 6
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    code, _, err = run(capsys, "generate", "motion", "--out", tmp_path / "a", "--seed", 5, *sizes)
    assert code == 2
    assert len(err.splitlines()) == 1


def test_complexity_prints_a_table_or_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["complexity", "stm_resnet18", "--size", 32, "--option", "modules=cmm"]
    code, out, err = run(capsys, *words, "--modules")
    assert (code, err) == (0, "")
    assert "layer4.1" in out
    assert "one multiplication with its addition is one FLOP" in out
    code, out, _ = run(capsys, *words, "--json")
    cost = json.loads(out)
    assert code == 0
    assert (cost["size"], cost["options"]) == (32, {"modules": "cmm"})
    assert cost["macs"] > cost["parameters"] > 11e6
    code, out, _ = run(capsys, "complexity", "--table", 10)
    assert code == 0
    assert len([line for line in out.splitlines() if line.startswith(("CSTM", "CMM"))]) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("complexity", "Name a network or give --table 4 or 10"),
        ("complexity --table 4 --size 32", "Leave out size."),
        ("complexity stm_resnet5", "Did you mean 'stm_resnet50'?"),
        ("complexity stm_resnet18 --option modules", "Write NAME=VALUE."),
        ("complexity stm_resnet18 --option widht=3", "Did you mean 'width'?"),
        ("complexity stm_resnet18 --option modules=none --option blocks=1", "Leave blocks out"),
        ("complexity stm_resnet18 --option width=0", "width is 0. Give at least 1."),
    ],
)
def test_what_complexity_cannot_count_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    code, out, err = run(capsys, *words.split())
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("predict --top 0", "--top: '0' is not a whole number of at least 1"),
        ("predict --top x", "--top: 'x' is not a whole number of at least 1"),
        (
            "prepare motion --out NONE --train -1",
            "--train: '-1' is not a whole number of at least 1",
        ),
        (
            "check folder --root NONE --processes 0",
            "--processes: '0' is not a whole number of at least 1",
        ),
        ("test x --batch-size 0", "--batch-size: '0' is not a whole number of at least 1"),
        ("test x --num-workers -1", "--num-workers: '-1' is not a whole number of at least 0"),
        (
            "prepare ucf101 --root x --out y --key-frame-interval 0",
            "--key-frame-interval: '0' is not a whole number of at least 1",
        ),
        (
            "prepare ucf101 --root x --out y --processes 0",
            "--processes: '0' is not a whole number of at least 1",
        ),
        ("complexity x --size 0", "--size: '0' is not a whole number of at least 1"),
        ("bench tsn_resnet18 --batch 0", "--batch: '0' is not a whole number of at least 1"),
        ("bench tsn_resnet18 --frames 0", "--frames: '0' is not a whole number of at least 1"),
        (
            "bench tsn_resnet18 --num-classes 0",
            "--num-classes: '0' is not a whole number of at least 1",
        ),
        ("bench tsn_resnet18 --rounds 0", "--rounds: '0' is not a whole number of at least 1"),
        ("bench tsn_resnet18 --threads 0", "--threads: '0' is not a whole number of at least 1"),
        ("demo --seed -1", "--seed: '-1' is not a whole number of at least 0"),
        ("demo --seed 4294967296", "at least 0 and below 4294967296"),
        ("predict --top 2147483648", "at least 1 and below 2147483648"),
    ],
)
def test_numbers_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    "option", ["--dry-run", "--short-side 48", "--short-side 0", "--processes 2"]
)
def test_options_of_no_meaning_for_the_motion_set_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    words = ["prepare", "motion", "--out", tmp_path / "motion", *option.split()]
    code, out, err = run(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"{option.split()[0]}: cannot be given" in err
    assert not (tmp_path / "motion").exists()


def test_videos_of_one_name_are_told_by_their_folders(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        shutil.copy(sorted(SAMPLES.glob("*.mp4"))[0], tmp_path / folder / "clip.mp4")
    code, out, _ = run(capsys, "predict", tmp_path, "--top", 1)
    shown = [line.split("  ")[0] for line in out.splitlines()[1:]]
    assert (code, shown) == (0, [f"{folder}/clip.mp4" for folder in "ab"])

    # Of two folders that are given, from where the names repeat.
    folders = [tmp_path / folder for folder in "ab"]
    code, out, _ = run(capsys, "predict", *folders, "--top", 1)
    shown = [line.split("  ")[0] for line in out.splitlines()[1:]]
    assert (code, shown) == (0, [str(folder / "clip.mp4") for folder in folders])


@pytest.mark.parametrize(
    ("words", "usage", "message"),
    [
        ("pedict", "usage: stmnet [", "no verb 'pedict'. Did you mean 'predict'?"),
        ("predict --modle x", "usage: stmnet predict [", ": --modle. Did you mean --model?"),
        ("predict --tpo=3", "usage: stmnet predict [", ": --tpo=3. Did you mean --top?"),
    ],
)
def test_a_misspelt_word_is_told_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str], words: str, usage: str, message: str
) -> None:
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith(usage)
    assert err.splitlines()[-1].endswith(message)


def test_without_a_verb_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert "predict" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("check foldr --root .", "unknown data set 'foldr'. Did you mean 'folder'?"),
        ("check folder --root nosuch", "nosuch: no such folder or list. Set --root to one."),
        ("prepare ucf101 --root nosuch --out out", "no such folder. Set --root to"),
        ("train own_folder --data.root nosuch", "Set --data.root to one."),
    ],
)
def test_messages_of_the_library_name_flags(
    capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    code, out, err = run(capsys, *words.split())
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


def test_who_reads_no_further_hears_no_complaint() -> None:
    command = [STMNET, "predict", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert (process.wait(), err) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("more", [[], ["--json"], [SAMPLES / "moving_something_left.mp4"]])
def test_a_full_disk_is_told_in_one_line(more: list[str | Path]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [STMNET, "predict", *more], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (
        1,
        "stmnet: stdout: cannot be written (No space left on device). Make room there.\n",
    )


def test_a_newline_in_the_name_of_an_output_breaks_no_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = tmp_path / "clips"
    for label in ("left", "right"):
        (root / label).mkdir(parents=True)
        shutil.copy(SAMPLES / f"moving_something_{label}.mp4", root / label)
    code, out, _ = run(capsys, "prepare", "folder", "--root", root, "--out", tmp_path / "a\nb")
    assert (code, out.splitlines()[0]) == (0, rf"data        {tmp_path}/a\nb")
    _, _, err = run(capsys, "check", "folder", "--root", root, "--exclusions", tmp_path / "c\nd")
    assert err.splitlines() == [rf"0 clips to leave out are in {tmp_path}/c\nd"]


def test_a_newline_in_a_name_breaks_no_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    video = shutil.copy(SAMPLES / "moving_something_left.mp4", tmp_path / "a\nb.mp4")
    missing = tmp_path / "c\r\x1bd.mp4"
    code, out, err = run(capsys, "predict", video, missing, "--top", 1)
    assert code == 2
    assert len(out.splitlines()) == 2
    assert out.splitlines()[1].startswith(r"a\nb.mp4  Moving something left")
    assert err == (
        rf"stmnet: {tmp_path}/c\r\x1bd.mp4: no such file. Give the path of a video file." "\n"
    )
    code, out, _ = run(capsys, "predict", video, missing, "--json")
    told = json.loads(out)
    assert [entry["video"] for entry in told["predictions"]] == [str(video)]
    assert list(told["errors"]) == [str(missing)]


@pytest.mark.parametrize(
    "words",
    [
        ["predict", ""],
        ["predict", "a.mp4", ""],
        ["test", ""],
        ["generate", "motion", "--out="],
        ["check", "motion", "--root", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "the path is empty. Give a name, or . for this folder" in err.splitlines()[-1]


def test_an_error_of_torch_is_said_without_the_stack_of_its_cpp(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "complexity", "stm_resnet18", "--option", f"width={10**20}")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "frame #" not in err
    assert err.endswith("(--debug shows where)\n")


def test_bench_prints_a_table_or_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "stm_resnet18", "tsn_resnet18", "--size", 32, "--frames", 2, "--rounds", 2]
    code, out, err = run(capsys, *words, "--threads", 1, "--batch", 3, "--json")
    measured = json.loads(out)
    assert (code, err) == (0, "")
    assert {name: measured[name] for name in ("batch", "frames", "size", "rounds", "threads")} == {
        "batch": 3, "frames": 2, "size": 32, "rounds": 2, "threads": 1,
    }  # fmt: skip
    assert (measured["device"], measured["dtype"]) == ("cpu", "float32")
    assert (measured["compiled"], measured["optimized"]) == (False, False)
    assert set(measured["versions"]) == {
        "stmnet", "torch", "torchvision", "lightning", "av", "numpy", "python", "cuda",
    }  # fmt: skip
    first, second = measured["models"]
    assert (first["model"], second["model"]) == ("stm_resnet18", "tsn_resnet18")
    assert first["ratio"] == 1
    assert second["ratio"] > 0
    for speed in (first, second):
        assert speed["videos_per_second"] == pytest.approx(3 * 1000 / speed["latency_ms"])
        assert speed["latency_ms_p10"] <= speed["latency_ms"] <= speed["latency_ms_p90"]
        assert speed["ratio_p10"] <= speed["ratio"] <= speed["ratio_p90"]

    code, out, _ = run(capsys, *words, "--optimized", "--dtype", "bfloat16")
    assert code == 0
    where, how, _, head, *rows = [line.rstrip() for line in out.splitlines()]
    assert where.startswith("cpu: ")
    assert "torch" in where
    assert how == "bfloat16, eager, optimized, 1 x 2 x 32 x 32, medians of 2 rounds"
    assert head.split()[-4:] == ["speed", "over", "stm_resnet18", "p10-p90"]
    assert [row.split()[0] for row in rows] == ["stm_resnet18", "tsn_resnet18"]
    assert rows[0].split()[-2:] == ["1.000", "1.000-1.000"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bench stm_resnet5", "Did you mean 'stm_resnet50'?"),
        ("bench tsn_resnet18 --threads 100000", "threads is 100000. Give at most 1024."),
        (
            "bench tsn_resnet18 --device cuda",
            "device cuda: CUDA is not available on this machine. Give cpu.",
        ),
    ],
)
def test_what_bench_cannot_measure_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, out, err = run(capsys, *words.split())
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


def test_help_lists_every_verb_with_one_line() -> None:
    out = subprocess.run(
        [STMNET, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "120"}
    ).stdout
    for verb in ("predict", "train", "test", "prepare", "complexity", "bench", "demo"):
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [verb]]
        assert len(line.split()) > 3


def test_the_installed_command_keeps_to_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [STMNET, "predict", tmp_path / "none.mp4"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"stmnet: {tmp_path}/none.mp4: no such file. Give the path of a video file."
    ]
