"""The generated motion set: pairs, reversal, coding, lists, and whether things go as labeled."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from stmnet.datasets.motion import MIRRORED
from stmnet.errors import DatasetError
from stmnet.motion.classes import LABEL_NAMES, REVERSED
from stmnet.motion.clips import render_clip, write_video
from stmnet.motion.generate import SplitSizes, generate

SEEDS = range(20)
SMALL = SplitSizes(train=2, validation=1, test=1)


def decode(path: Path) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("motion") / "set"
    generate(root, seed=3, clips_per_class=SMALL, processes=1)
    return root


def test_twelve_classes_in_six_pairs() -> None:
    assert len(set(LABEL_NAMES)) == 12
    assert all(REVERSED[LABEL_NAMES[i]] == LABEL_NAMES[i ^ 1] for i in range(12))
    assert sorted(MIRRORED) == sorted(
        name
        for name in LABEL_NAMES
        if name.split()[-1].removeprefix("anti") in ("left", "right", "clockwise")
    )
    assert all(MIRRORED[name] == REVERSED[name] for name in MIRRORED)


@pytest.mark.parametrize("forwards", range(0, 12, 2))
def test_second_of_a_pair_is_the_first_backwards(forwards: int) -> None:
    first, second = render_clip(forwards, seed=5), render_clip(forwards + 1, seed=5)
    assert first.shape == (16, 72, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first[::-1], second)
    assert not np.array_equal(first, second)


def test_coding_keeps_no_trace_of_the_order(tmp_path: Path) -> None:
    frames = render_clip(4, seed=1)
    write_video(tmp_path / "forwards.mp4", frames, fps=12)
    write_video(tmp_path / "backwards.mp4", frames[::-1], fps=12)
    forwards = decode(tmp_path / "forwards.mp4")
    assert np.array_equal(forwards[::-1], decode(tmp_path / "backwards.mp4"))
    assert np.abs(forwards.astype(int) - frames).mean() < 8
    with av.open(tmp_path / "forwards.mp4") as container:
        assert all(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    data = (tmp_path / "forwards.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backwards.mp4", "forwards.mp4"]


def test_two_processes_write_the_bytes_of_one(small_root: Path, tmp_path: Path) -> None:
    generate(tmp_path / "set", seed=3, clips_per_class=SMALL, processes=2)
    assert contents(tmp_path / "set") == contents(small_root)


def test_lists_are_balanced_and_as_published(small_root: Path) -> None:
    labels = json.loads((small_root / "labels.json").read_text())
    assert labels == {name: str(i) for i, name in enumerate(LABEL_NAMES)}
    ids = []
    for split, per_class in (("train", 2), ("validation", 1)):
        entries = json.loads((small_root / f"{split}.json").read_text())
        templates = [entry["template"] for entry in entries]
        names = [template.replace("[", "").replace("]", "") for template in templates]
        assert Counter(names) == dict.fromkeys(LABEL_NAMES, per_class)
        for entry in entries:
            slots = entry["template"].lower().count("[something]")
            label = entry["template"].lower()
            for placeholder in entry["placeholders"][:slots]:
                label = label.replace("[something]", placeholder, 1)
            assert entry["label"] == label
            ids.append(entry["id"])
    answers = [
        line.split(";") for line in (small_root / "test-answers.csv").read_text().split("\n")
    ]
    assert Counter(name for _, name in answers[:-1]) == dict.fromkeys(LABEL_NAMES, 1)
    test_ids = [entry["id"] for entry in json.loads((small_root / "test.json").read_text())]
    assert [video_id for video_id, _ in answers[:-1]] == test_ids
    assert sorted(f"{i}.mp4" for i in ids + test_ids) == sorted(
        path.name for path in (small_root / "videos").iterdir()
    )


def test_a_whole_root_is_left_alone(small_root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_root.rglob("*")}
    generate(small_root, seed=3, clips_per_class=SMALL, processes=1)
    assert {path: path.stat().st_mtime_ns for path in small_root.rglob("*")} == before


def test_another_seed_is_refused(small_root: Path) -> None:
    with pytest.raises(DatasetError, match=r"seed 3.*seed 4.*Delete that folder"):
        generate(small_root, seed=4, clips_per_class=SMALL)


def test_lists_of_another_data_set_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"no motion\.json"):
        generate(tmp_path, seed=0, clips_per_class=SMALL)
    assert (tmp_path / "labels.json").read_text() == "{}"


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "wave").mkdir()
    with pytest.raises(DatasetError, match="holds other files, as wave. Choose another folder"):
        generate(tmp_path, seed=0, clips_per_class=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["wave"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file.*cannot be written \(Not a directory\)"):
        generate(tmp_path / "file" / "set", seed=0, clips_per_class=SMALL)


# ---- do things go as the label says? Measured on frames alone ----


def moving_mass(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the first and the last frame differ from the clip's median, (H, W) each."""
    film = frames.astype(float)
    still = np.median(film, axis=0)
    return tuple(
        np.maximum(np.abs(film[part] - still).mean(axis=(0, 3)) - 12, 0)
        for part in (slice(0, 3), slice(-3, None))
    )


def center(mass: np.ndarray, axis: int) -> float:
    along = mass.sum(axis=1 - axis)
    return float(np.average(np.arange(along.size), weights=along + 1e-9))


@pytest.mark.parametrize(("label", "axis"), [(0, 1), (2, 0)])
def test_moving_things_go_left_and_up(label: int, axis: int) -> None:
    shifts = []
    for seed in SEEDS:
        first, last = moving_mass(render_clip(label, seed=seed))
        shifts.append(center(last, axis) - center(first, axis))
    # Distractors drift too, so a clip may mislead the center of mass; most must not.
    assert sum(shift < -4 for shift in shifts) >= 17, shifts


def vivid(frames: np.ndarray) -> np.ndarray:
    """Where pixels are far more saturated than the muted backdrop: bool (T, H, W)."""
    film = frames.astype(float)
    return (film.max(axis=3) - film.min(axis=3)) / film.max(axis=3) > 0.55


def vivid_area(frames: np.ndarray) -> np.ndarray:
    return vivid(frames).sum(axis=(1, 2))


def vivid_spread(frames: np.ndarray) -> np.ndarray:
    """The standard deviation of the vivid pixels' places, in every frame."""
    places = [np.argwhere(mask) for mask in vivid(frames)]
    return np.array([np.sqrt(place.var(axis=0).sum()) if len(place) else 0.0 for place in places])


def test_approaching_things_grow() -> None:
    growths = []
    for seed in SEEDS:
        area = vivid_area(render_clip(4, seed=seed))
        growths.append((area[-3:].mean() + 1) / (area[:3].mean() + 1))
    assert sum(growth > 1.5 for growth in growths) >= 17, growths


def turn_in_degrees(before: np.ndarray, after: np.ndarray) -> float:
    """The rotation (clockwise positive) that best maps one gray frame onto another, about the
    center of what differs, within 32 degrees either way."""
    difference = np.maximum(np.abs(after - before) - 12, 0)
    y0, x0 = center(difference, 0), center(difference, 1)
    y, x = np.mgrid[0:72, 0:96]
    near = np.hypot(y - y0, x - x0) < 24
    errors = {}
    for degrees in range(-32, 33, 4):
        angle = np.deg2rad(degrees)
        # Content turned by `angle` came from the point turned back by it (y points down).
        from_x = x0 + np.cos(angle) * (x - x0) + np.sin(angle) * (y - y0)
        from_y = y0 - np.sin(angle) * (x - x0) + np.cos(angle) * (y - y0)
        column = np.clip(np.rint(from_x), 0, 95).astype(int)
        row = np.clip(np.rint(from_y), 0, 71).astype(int)
        errors[degrees] = float(np.abs(before[row, column] - after)[near].mean())
    return float(min(errors, key=errors.__getitem__))


def test_clockwise_things_turn_clockwise() -> None:
    turns = []
    for seed in SEEDS:
        gray = render_clip(6, seed=seed).astype(float).mean(axis=3)
        turns.append(sum(turn_in_degrees(gray[t], gray[t + 2]) for t in range(0, 14, 2)))
    assert sum(turn > 20 for turn in turns) >= 17, turns


def test_covering_draws_two_things_into_one_place() -> None:
    """What is vivid lies less spread out in the end."""
    closer = []
    for seed in SEEDS:
        spread = vivid_spread(render_clip(10, seed=seed))
        closer.append(spread[-3:].mean() < spread[:3].mean())
    assert sum(closer) >= 15, closer


def test_workers_need_no_torch() -> None:
    code = "import sys, stmnet.motion.generate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("forwards", range(0, 12, 2))
def test_every_eighth_of_a_clip_moves(forwards: int) -> None:
    """Any two neighbors among 8 sampled frames differ by more than grain and shake."""
    for seed in SEEDS[:5]:
        film = render_clip(forwards, seed=seed).astype(float)[::2].mean(axis=3)
        steps = np.abs(np.diff(film, axis=0))
        assert ((steps > 25).sum(axis=(1, 2)) > 15).all()
