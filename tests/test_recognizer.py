"""Load, call and save a recognizer; and messages on files that are not recognizers."""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import stmnet
from stmnet.data.preprocessing import Preprocessing
from stmnet.errors import CheckpointError, VideoError
from stmnet.models.optimize import fast_dtype
from stmnet.motion.classes import LABEL_NAMES
from stmnet.recognizer import METADATA_KEY, ModelConfig, Recognizer, load
from tests.conftest import VideoWriter, decode_all

CONFIG = ModelConfig(
    model="stm_resnet18",
    label_names=("jump", "sit down", "wave"),
    preprocessing=Preprocessing(num_frames=4, short_side=72, crop_size=64),
    options={"width": 8},
)


@pytest.fixture
def recognizer() -> Recognizer:
    torch.manual_seed(0)
    return Recognizer(CONFIG.build(), CONFIG)


def test_a_recognizer_is_saved_in_no_device_s_place(recognizer: Recognizer, tmp_path: Path) -> None:
    pipe, device = tmp_path / "pipe.safetensors", tmp_path / "full.safetensors"
    os.mkfifo(pipe)
    device.symlink_to("/dev/full")
    for path in (pipe, device):
        before = path.stat()
        with pytest.raises(CheckpointError, match=r"cannot be written \(Not a regular file\)"):
            recognizer.save(path)
        assert path.stat() == before
    assert sorted(tmp_path.iterdir()) == [device, pipe]

    link = tmp_path / "latest.safetensors"
    link.symlink_to("first.safetensors")
    recognizer.save(link)
    assert link.is_symlink()
    assert load(tmp_path / "first.safetensors").config == CONFIG


def test_what_cannot_be_meant_is_an_error(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.ckpt: .* End the name in \.safetensors"):
        recognizer.save(tmp_path / "model.ckpt")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="dtype 'float16': give one of float32, fast"):
        Recognizer(recognizer.network, CONFIG, dtype="float16")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"clips are torch\.float32: give uint8 from 0 to 255"):
        recognizer.probabilities(torch.zeros(1, 4, 3, 64, 64))
    with pytest.raises(ValueError, match="top_k 0: give at least 1"):
        recognizer("a.mp4", top_k=0)
    for mask in (torch.ones(3, dtype=torch.bool), np.ones(3, dtype=bool), [True, False]):
        with pytest.raises(TypeError):
            stmnet.read_frames("a.mp4", mask)
    with pytest.raises(VideoError, match="null byte"):
        stmnet.read_frames("a\0.mp4", [0])


def test_a_folder_with_a_gap_is_recognized_with_a_warning(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    for number in (1, 2, 4, 5):
        Image.new("RGB", (96, 72), (number, 0, 0)).save(tmp_path / f"{number:05d}.png")
    (warning,) = recognizer(tmp_path).warnings
    assert warning == (
        f"{tmp_path}: has 4 frames, between which numbers are missing; these are used."
    )
    (tmp_path / "00002.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"00002\.png: not a readable image") as raised:
        recognizer(tmp_path)
    assert "raised from" not in str(raised.value)


def test_saved_and_loaded_is_the_same(
    recognizer: Recognizer, tmp_path: Path, make_video: VideoWriter
) -> None:
    path = recognizer.save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode
    loaded = stmnet.load(path)
    assert loaded.config == CONFIG
    video = make_video("a.mp4", num_frames=20)
    assert loaded(video) == recognizer(video)
    # A run's folder stands for the weights in it.
    assert stmnet.load(tmp_path)(video) == recognizer(video)


def test_a_prediction_step_by_step(recognizer: Recognizer, make_video: VideoWriter) -> None:
    video = make_video("a.mp4", num_frames=20)
    # 20 frames in 4 segments of 5: the middles; 72x96 needs no scaling; the middle 64x64.
    frames = decode_all(video)[[2, 7, 12, 17], 4:68, 16:80].astype(np.float32) / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    clip = torch.from_numpy(((frames - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = recognizer.network(clip[None])[0].tolist()
    exponentials = np.exp(np.array(logits) - max(logits))
    expected = dict(zip(CONFIG.label_names, exponentials / exponentials.sum(), strict=True))
    prediction = recognizer(video, top_k=3)
    assert dict(prediction.top) == pytest.approx(expected, rel=1e-4)
    assert prediction.label == max(expected, key=expected.__getitem__)
    assert len(recognizer(video, top_k=2).top) == 2
    assert len(recognizer(video, top_k=9).top) == 3


def test_the_quick_copy_scores_as_the_network_that_stays(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    network = recognizer.network
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.2)
    network.fc.weight.data *= 30
    before = copy.deepcopy(network.state_dict())
    kinds = [type(module) for module in network.modules()]
    for num_clips in (1, 3, 2):
        clips = torch.randint(256, (num_clips, 4, 3, 64, 64), dtype=torch.uint8)
        with torch.no_grad():
            expected = network(recognizer.network_input(clips)).softmax(dim=1)
        assert expected.max() - expected.min() > 0.3  # scores that could differ
        torch.testing.assert_close(recognizer.probabilities(clips), expected, rtol=0, atol=1e-4)
    assert kinds == [type(module) for module in network.modules()]
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    saved = load_file(recognizer.save(tmp_path / "model.safetensors"))
    assert all(torch.equal(saved[name], tensor) for name, tensor in before.items())


def test_fast_is_chosen_and_near(recognizer: Recognizer, tmp_path: Path) -> None:
    recognizer.network.fc.weight.data *= 30
    path = recognizer.save(tmp_path / "model.safetensors")
    clips = torch.randint(256, (2, 4, 3, 64, 64), dtype=torch.uint8)
    exact = recognizer.probabilities(clips)
    fast = load(path, dtype="fast").probabilities(clips)
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast, exact, rtol=0, atol=0.05)
    # Where the machine has bfloat16, it is used; where not, nothing is imitated.
    assert torch.equal(fast, exact) == (fast_dtype(torch.device("cpu")) == torch.float32)


def test_the_packaged_model_has_its_labels_and_preprocessing() -> None:
    recognizer = load("motion")
    assert recognizer.config.label_names == LABEL_NAMES
    assert recognizer.config.preprocessing.num_frames == 8
    assert not recognizer.network.training


def test_one_frame_shows_no_motion(recognizer: Recognizer, make_video: VideoWriter) -> None:
    with pytest.raises(VideoError, match="has only one frame; recognizing an action needs"):
        recognizer(make_video("a.mp4", num_frames=1))


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".pth"])
@pytest.mark.parametrize("content", [b"", b"words\n", b"a line\n", b"\x80\x02}q\x00.", bytes(4000)])
def test_files_that_are_no_checkpoint(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_run_that_is_not_over_names_its_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(CheckpointError, match=r"the run is not finished. .* give .*last\.ckpt\."):
        load(tmp_path)


def test_scores_that_are_nan_are_no_answer(recognizer: Recognizer, make_video: VideoWriter) -> None:
    network = recognizer.config.build()
    nn.init.constant_(network.fc.bias, torch.nan)
    with pytest.raises(CheckpointError, match="scores are NaN or infinite: training diverged."):
        Recognizer(network, recognizer.config)(make_video("a.mp4"))


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"state_dict": Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load(tmp_path / "trap.ckpt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("num_bytes", [0, 20, 1_000, 20_000, 41_000])
def test_a_checkpoint_that_is_cut_off_is_told_in_one_sentence(
    tmp_path: Path, num_bytes: int
) -> None:
    path = tmp_path / "cut.ckpt"
    torch.save({"weight": torch.zeros(10_000)}, path)
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(CheckpointError) as raised:
        load(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: not a checkpoint, or truncated (")
    assert message.endswith("). Give a .safetensors or .ckpt file.")
    assert "internal" not in message


def test_weights_without_a_config_and_configs_that_do_not_fit(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    state_dict = recognizer.network.state_dict()
    tensors = {name: tensor.contiguous() for name, tensor in state_dict.items()}
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match="weights without stmnet's config"):
        load(tmp_path / "bare.safetensors")
    config = json.dumps(CONFIG.to_dict() | {"label_names": ["only one"]})
    save_file(tensors, tmp_path / "other.safetensors", metadata={METADATA_KEY: config})
    with pytest.raises(CheckpointError, match="its config and its weights do not fit"):
        load(tmp_path / "other.safetensors")
    plain = CONFIG.to_dict()
    plain["preprocessing"]["crop_size"] = 80
    save_file(tensors, tmp_path / "crop.safetensors", metadata={METADATA_KEY: json.dumps(plain)})
    with pytest.raises(CheckpointError, match=r"crop_size 80: give at most short_side, 72"):
        load(tmp_path / "crop.safetensors")


def test_every_public_name_is_there() -> None:
    for name in stmnet.__all__:
        assert getattr(stmnet, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stmnet.nothing


@pytest.mark.parametrize("shape", [(0, 8, 3, 64, 64), (1, 0, 3, 64, 64), (8, 3, 64, 64)])
def test_clips_of_another_shape_and_empty_batches_are_refused(shape: tuple[int, ...]) -> None:
    clips = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(ValueError, match=re.escape(f"clips are {shape}: give (N, T, 3, H, W)")):
        load("motion").probabilities(clips)
