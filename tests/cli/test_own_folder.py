"""A user's own folder (docs/tutorials/own_clips.md): bad clips among good ones, train, predict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stmnet.datasets.splits import read_split
from tests.conftest import run_stmnet, write_video

ROOT = Path(__file__).parents[2]
SMALL = (
    *("--model.pretrained", "null", "--model.options", '{"width": 8}'),
    *("--data.short_side", "40", "--data.crop_size", "32", "--optimizer.epochs", "3"),
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("corrupt_split", ["train", "validation"])
def test_bad_clips_are_named_once_and_the_rest_is_learned(
    tmp_path: Path, corrupt_split: str
) -> None:
    root, run = tmp_path / "clips", tmp_path / "run"
    for label, codec in (("sitting down", "libx264"), ("standing up", "mpeg4")):
        (root / label).mkdir(parents=True)
        for number in range(10):
            path = root / label / f"monday {number}.mp4"
            write_video(path, num_frames=12 + number, codec=codec)
    splits = {
        split: [clip.video for clip in read_split("folder", root, split).clips]
        for split in ("train", "validation")
    }
    corrupt, short = splits[corrupt_split][0], splits["validation"][1]
    corrupt.write_bytes(bytes(5000))
    write_video(short, num_frames=3)

    recipe = ROOT / "recipes" / "own_folder.yaml"
    trained = run_stmnet("train", recipe, "--data.root", root, "--output", run, *SMALL)
    assert trained.returncode == 0, trained.stderr
    said = (trained.stdout + trained.stderr).splitlines()
    assert not any("Traceback" in line for line in said)
    (of_corrupt,) = (line for line in said if str(corrupt) in line)
    assert of_corrupt.startswith(f"warning: left out {corrupt}: not a readable video")
    (of_short,) = (line for line in said if str(short) in line)
    assert of_short == f"warning: {short}: the clip has 3 of 8 frames; they repeat."
    assert {"last.ckpt", "model.safetensors", "report.html"} <= {p.name for p in run.iterdir()}
    left_out = "1 of 4 clips left out (unreadable)"
    assert (left_out in (run / "report.html").read_text()) == (corrupt_split == "validation")

    predicted = run_stmnet("predict", "--model", run, root / "standing up", "--json")
    found = json.loads(predicted.stdout)
    readable = sorted(str(path) for path in (root / "standing up").iterdir() if path != corrupt)
    assert sorted(each["video"] for each in found["predictions"]) == readable
    assert {each["label"] for each in found["predictions"]} <= {"sitting down", "standing up"}


def test_one_bad_part_of_a_recording_leaves_the_others_on_the_page(tmp_path: Path) -> None:
    root, run = tmp_path / "clips", tmp_path / "run"
    root.mkdir()
    write_video(root / "monday.mp4", num_frames=96)
    rows = [f"monday.mp4,{'sit' if n % 2 else 'stand'},{8 * n},{8 * n + 8}" for n in range(12)]
    (root / "train.csv").write_text("\n".join(rows))
    (root / "validation.csv").write_text("\n".join([*rows[:3], "monday.mp4,sit,500,508"]))
    recipe = ROOT / "recipes" / "own_folder.yaml"
    small = (*SMALL, "--data.batch_size", "4")
    trained = run_stmnet("train", recipe, "--data.root", root, "--output", run, *small)
    assert trained.returncode == 0, trained.stderr
    left_out = [line for line in trained.stdout.splitlines() if line.startswith("warning")]
    assert left_out == [
        f"warning: left out {root / 'monday.mp4'}: the clip starts at frame 500, and the video has "
        "96. Correct the list, or replace the video."
    ]
    assert "1 of 4 clips left out (unreadable)" in (run / "report.html").read_text()
