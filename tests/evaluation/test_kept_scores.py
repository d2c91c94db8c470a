"""Kept scores: the same bytes in one go, killed and resumed, and shared; other scores refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stmnet.cli.main import main
from stmnet.data.evaluation_views import VideoViews
from stmnet.data.preprocessing import Preprocessing
from stmnet.data.view_plan import CENTER_VIEW, ViewPlan
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.errors import ScoresError, StmnetError
from stmnet.evaluation.kept_scores import KeptScores, identify
from stmnet.evaluation.options import WHOLE, Shard
from stmnet.evaluation.scoring import Scoring
from stmnet.files import packaged_file
from stmnet.models.zoo import build_model
from stmnet.recognizer import ModelConfig, Recognizer
from stmnet.runs.list_summary import digest_of_clips
from tests.conftest import STMNET

SAMPLES = sorted(packaged_file("samples").glob("*.mp4"))
LABELS = tuple(video.stem for video in SAMPLES)
NUM_CLIPS = 70
CLIPS_A_PIECE = 240 // 30


def make_recognizer(seed: int = 0, labels: tuple[str, ...] = LABELS) -> Recognizer:
    config = ModelConfig(
        "stm_resnet18", labels, Preprocessing(4, 36, 32), {"width": 8, "reduction": 4}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_model(
            config.model, num_classes=len(labels), num_frames=4, width=8, reduction=4
        )
    return Recognizer(network, config)


# ---- from the command line ----


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network's weights, and lists of parts of the sample clips."""
    folder = tmp_path_factory.mktemp("scores")
    make_recognizer().save(folder / "weights.safetensors")
    rows = [
        f"{SAMPLES[n % 12].name},{LABELS[n % 12]},{n % 5},{16 - n % 3}\n" for n in range(NUM_CLIPS)
    ]
    (folder / "set").mkdir()
    (folder / "set" / "test.csv").write_text("".join(rows))
    (folder / "set" / "train.csv").write_text(rows[0])
    for video in SAMPLES:
        shutil.copy(video, folder / "set")
    return folder


def arguments(folder: Path, scores: Path, *more: str) -> list[str]:
    return [
        "test", str(folder / "weights.safetensors"), "--dataset", "folder",
        "--root", str(folder / "set"), "--views", "30", "--scores", str(scores),
        "--report", str(scores.with_suffix(".html")), "--json", *more,
    ]  # fmt: skip


def start(folder: Path, scores: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [STMNET, *arguments(folder, scores, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def in_one_go(folder: Path) -> Path:
    scores = folder / "whole.safetensors"
    assert main(arguments(folder, scores)) == 0
    return scores


@pytest.mark.slow
def test_killed_and_resumed_is_as_in_one_go(
    folder: Path, in_one_go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = folder / "killed.safetensors"
    pieces = scores.with_name("killed.safetensors.pieces")
    process = start(folder, scores)
    for _ in range(24000):
        if len(list(pieces.glob("0*"))) >= 2 or process.poll() is not None:
            break
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not scores.exists()
    num_kept = len(list(pieces.glob("0*")))
    assert 2 <= num_kept < 9

    scored = []
    view = VideoViews.__getitem__

    def count(self: VideoViews, index: int) -> object:
        scored.append(self.places[index])
        return view(self, index)

    monkeypatch.setattr(VideoViews, "__getitem__", count)
    assert main(arguments(folder, scores, "--num-workers", "0")) == 0
    assert scored == list(range(num_kept * CLIPS_A_PIECE, NUM_CLIPS)), "the rest, and no more"
    assert scores.read_bytes() == in_one_go.read_bytes()
    assert not pieces.exists()


@pytest.mark.slow
def test_shared_by_two_processes_is_as_in_one_go(folder: Path, in_one_go: Path) -> None:
    scores = folder / "shared.safetensors"
    processes = [start(folder, scores, "--shard", part) for part in ("1/2", "2/2")]
    told = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    assert scores.read_bytes() == in_one_go.read_bytes()
    assert not scores.with_name("shared.safetensors.pieces").exists()
    # Who ended last told the figures; who did not told how far it was.
    whole = [result for result in told if "top1" in result]
    assert whole
    for result in told:
        if result not in whole:
            assert result["tests"][0]["clips"] == NUM_CLIPS
            assert 30 <= result["tests"][0]["clips_scored"] < NUM_CLIPS


@pytest.mark.slow
def test_what_was_scored_is_kept_where_a_clip_cannot_be_read(
    folder: Path, in_one_go: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tmp_path / "scores.safetensors"
    set_at_fault = tmp_path / "elsewhere" / "set"
    shutil.copytree(folder / "set", set_at_fault)
    listed = (set_at_fault / "test.csv").read_text().splitlines()
    listed[19] = listed[19].replace(SAMPLES[7].name, "bad.mp4")
    (set_at_fault / "test.csv").write_text("\n".join(listed))
    (set_at_fault / "bad.mp4").write_text("damaged")
    words = arguments(folder, scores)
    words[words.index("--root") + 1] = str(set_at_fault)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "bad.mp4: not a readable video" in captured.err
    kept = sorted(path.name for path in (tmp_path / "scores.safetensors.pieces").iterdir())
    assert kept == ["0000000-0000008.safetensors", "0000008-0000016.safetensors"]
    # Once the file is mended, the test goes on: its list is the same.
    shutil.copy(SAMPLES[7], set_at_fault / "bad.mp4")
    assert main(words) == 0
    assert torch.equal(load_file(scores)["scores"], load_file(in_one_go)["scores"])


@pytest.mark.slow
def test_the_file_says_what_its_scores_are_of(
    folder: Path, in_one_go: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(in_one_go)
    assert tensors["scores"].shape == (NUM_CLIPS, 30, 12)
    assert torch.allclose(tensors["scores"].sum(dim=2), torch.ones(()))
    assert tensors["targets"].tolist() == [n % 12 for n in range(NUM_CLIPS)]
    right = tensors["scores"].mean(dim=1).argmax(dim=1) == tensors["targets"]
    # A second test reads it, and scores nothing.
    before = in_one_go.stat().st_mtime_ns
    assert main(arguments(folder, in_one_go)) == 0
    captured = capsys.readouterr()
    assert captured.err == f"scored before: {in_one_go}\n"
    assert json.loads(captured.out)["top1"] == pytest.approx(right.double().mean().item())
    assert in_one_go.stat().st_mtime_ns == before
    for more, message in [
        (["--seed", "1"], "its scores are of seed 0, not 1."),
        (["--views", "10x1"], "its scores are of views 10x3, not 10x1."),
        (["--dtype", "fast"], "its scores are of dtype float32, not fast."),
    ]:
        assert main(arguments(folder, in_one_go, *more)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"stmnet: {in_one_go}: {message} Delete it, or give")
        assert len(captured.err.splitlines()) == 1
    assert in_one_go.stat().st_mtime_ns == before


# ---- the file itself ----


@pytest.fixture
def clip_list(tmp_path: Path) -> ClipList:
    clips = tuple(Clip(tmp_path / "set" / f"{n % 3}" / f"{n}.mp4", n % 2) for n in range(20))
    return ClipList(clips, ("left", "right"))


PLAN = ViewPlan(10, 3)
IDENTITY = {"network": "a", "clips": "b", "views": "10x3", "seed": "0"}


def kept_at(path: Path, clip_list: ClipList, **differing: str) -> KeptScores:
    return KeptScores(path, clip_list, Scoring(PLAN), IDENTITY | differing)


def keep_all(kept: KeptScores, shard: Shard = WHOLE) -> None:
    for piece in kept.missing(shard):
        generator = torch.Generator().manual_seed(piece.start)
        kept.keep(piece, torch.rand(len(piece), 30, 2, generator=generator))


def test_shards_share_all_pieces(tmp_path: Path, clip_list: ClipList) -> None:
    path = tmp_path / "new" / "scores.safetensors"
    kept = kept_at(path, clip_list)
    assert kept.pieces == [range(0, 8), range(8, 16), range(16, 20)]
    parts = [kept.missing(Shard(number, 2)) for number in (1, 2)]
    assert parts == [[range(0, 8), range(16, 20)], [range(8, 16)]]
    keep_all(kept, Shard(2, 2))
    kept.join()
    assert not path.exists(), "one part is not a whole test"
    assert kept.missing() == parts[0]
    keep_all(kept, Shard(1, 2))
    kept.join()
    assert kept.is_whole
    assert kept.missing() == []
    expected = [torch.rand(len(p), 30, 2, generator=torch.Generator().manual_seed(p.start))
                for p in kept.pieces]  # fmt: skip
    assert torch.equal(kept.read(), torch.cat(expected))


def test_whoever_joins_at_once_does_no_harm(tmp_path: Path, clip_list: ClipList) -> None:
    whole = kept_at(tmp_path / "whole.safetensors", clip_list)
    keep_all(whole)
    whole.join()
    (tmp_path / "any").touch()
    assert whole.path.stat().st_mode == (tmp_path / "any").stat().st_mode
    with ThreadPoolExecutor(4) as threads:
        for number in range(60):
            path = tmp_path / f"{number}.safetensors"
            keep_all(kept_at(path, clip_list))
            joiners = [kept_at(path, clip_list) for _ in range(4)]
            list(threads.map(KeptScores.join, joiners))
            assert path.read_bytes() == whole.path.read_bytes()
            assert not joiners[0].folder.exists()


@pytest.mark.parametrize(
    ("differing", "words"),
    [
        ({"network": "c"}, "another network"),
        ({"clips": "c"}, "another list of clips"),
        ({"views": "5x1"}, "views 10x3, not 5x1"),
        ({"network": "c", "seed": "1"}, "another network and of seed 0, not 1"),
    ],
)
def test_other_scores_are_refused(
    tmp_path: Path, clip_list: ClipList, differing: dict[str, str], words: str
) -> None:
    ours = kept_at(tmp_path / "scores.safetensors", clip_list)
    ours.keep(ours.pieces[1], torch.rand(8, 30, 2))
    other = kept_at(ours.path, clip_list, **differing)
    piece = ours.folder / "0000008-0000016.safetensors"
    for number in (1, 2):
        expected = pytest.raises(ScoresError, match=f"^{piece}: its scores are of {words}. Delete")
        if number == 2:
            with expected:
                other.missing(Shard(2, 2))
        else:
            assert other.missing(Shard(1, 2)) == [range(0, 8), range(16, 20)]
    keep_all(ours)
    ours.join()
    with pytest.raises(ScoresError, match=f"^{ours.path}: its scores are of {words}. Delete"):
        other.missing()


@pytest.mark.parametrize("content", [b"", b"no scores at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_file_of_scores_is_refused(
    tmp_path: Path, clip_list: ClipList, content: bytes
) -> None:
    kept = kept_at(tmp_path / "scores.safetensors", clip_list)
    kept.path.write_bytes(content)
    with pytest.raises(ScoresError, match=r"scores\.safetensors: not a file of scores"):
        kept.missing()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, clip_list: ClipList) -> None:
    (tmp_path / "file").write_text("")
    kept = kept_at(tmp_path / "file" / "scores.safetensors", clip_list)
    with pytest.raises(ScoresError, match="cannot be written .* give scores another file"):
        kept.keep(kept.pieces[0], torch.rand(8, 30, 2))


def test_only_a_regular_file_is_replaced(tmp_path: Path, clip_list: ClipList) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "scores.safetensors"
    target.touch()
    link = tmp_path / "link.safetensors"
    link.symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for path in (link, tmp_path / "pipe"):
        kept = kept_at(path, clip_list)
        scores = {"scores": torch.rand(20, 30, 2)}
        if path == link:
            kept._write(path, scores, {})
            assert link.is_symlink()
            assert torch.equal(load_file(target)["scores"], scores["scores"])
            assert [file.name for file in target.parent.iterdir()] == [target.name]
        else:
            with pytest.raises(ScoresError, match="pipe: cannot be written .*Not a regular file"):
                kept._write(path, scores, {})
            assert path.is_fifo()


def test_identities_differ_where_scores_would(tmp_path: Path, clip_list: ClipList) -> None:
    labels = clip_list.label_names
    ours = identify(make_recognizer(0, labels), clip_list, Scoring(PLAN))
    assert ours == identify(make_recognizer(0, labels), clip_list, Scoring(PLAN, batch_size=3))
    assert ours["network"] != identify(make_recognizer(1, labels), clip_list, Scoring())["network"]
    blurred = make_recognizer(0, labels)
    blurred.config = replace(blurred.config, preprocessing=Preprocessing(4, 36, 32, by_time=True))
    assert ours["network"] != identify(blurred, clip_list, Scoring())["network"]
    assert ours != identify(make_recognizer(0, labels), clip_list, Scoring(PLAN, seed=1))
    dense = ViewPlan(10, 3, "dense")
    assert ours != identify(make_recognizer(0, labels), clip_list, Scoring(dense))
    center = identify(make_recognizer(0, labels), clip_list, Scoring(CENTER_VIEW))
    assert center == identify(make_recognizer(0, labels), clip_list, Scoring(CENTER_VIEW, seed=9))


def test_a_list_is_the_same_in_another_folder_and_not_in_another_order(
    tmp_path: Path, clip_list: ClipList
) -> None:
    digest = digest_of_clips(clip_list)
    moved = tuple(
        replace(clip, video=Path("/data") / clip.video.relative_to(tmp_path))
        for clip in clip_list.clips
    )
    assert digest_of_clips(replace(clip_list, clips=moved)) == digest
    for clips in (
        clip_list.clips[::-1],
        clip_list.clips[:-1],
        (replace(clip_list.clips[0], label=1), *clip_list.clips[1:]),
        (replace(clip_list.clips[0], end_frame=9), *clip_list.clips[1:]),
        (replace(clip_list.clips[0], start_frame=1), *clip_list.clips[1:]),
    ):
        assert digest_of_clips(replace(clip_list, clips=clips)) != digest
    assert digest_of_clips(replace(clip_list, label_names=("right", "left"))) != digest


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(StmnetError, match=f"shard {text!r}: give its number"):
        Shard.parse(text)
