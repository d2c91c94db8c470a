"""The study's batch norms are those whose folding gave the file: its trunk is the folded one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from studies.partial_imagenet import FOLDED, restore
from torch import Tensor

from stmnet.data.preprocessing import Preprocessing
from stmnet.models.zoo import build_model
from stmnet.video.frames import read_frames

needs_weights = pytest.mark.skipif(
    not FOLDED.is_file(), reason=f"no {FOLDED}: the partial ImageNet weights are not the project's"
)


def folded_features(weights: dict[str, Tensor], frames: Tensor) -> list[Tensor]:
    """Features behind conv1 and the four layers, by plain convolutions; layer4's shortcut alone."""

    def conv(name: str, features: Tensor, *, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        padding = kernel.shape[-1] // 2
        return F.conv2d(features, kernel, weights[f"{name}.bias"], stride, padding)

    features = conv("conv1", frames, stride=2).relu()
    stages = [features]
    features = F.max_pool2d(features, 3, stride=2, padding=1)
    for layer in (1, 2, 3):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            shortcut = features
            if stride == 2:
                shortcut = conv(f"{name}.downsample.0", features, stride=2)
            inner = conv(f"{name}.conv1", features, stride=stride).relu()
            features = (conv(f"{name}.conv2", inner) + shortcut).relu()
        stages.append(features)
    return [*stages, conv("layer4.0.downsample.0", features, stride=2).relu()]


@pytest.fixture
def frames(shared: Path) -> Tensor:
    """(10, 3, 128, 128), normalized, of a real video."""
    video = read_frames(shared / "videos" / "clips" / "demo.mp4", range(0, 270, 27))
    normalized: Tensor = Preprocessing(10, 128, 128).normalize(video[..., 64:192, 100:228])
    return normalized


@needs_weights
def test_restored_batch_norms_give_the_folded_features(frames: Tensor, tmp_path: Path) -> None:
    restored = restore(FOLDED, frames[:4])
    save_file(restored, tmp_path / "restored.safetensors")
    model = build_model(
        "tsn_resnet18",
        num_classes=5,
        num_frames=6,
        pretrained=str(tmp_path / "restored.safetensors"),
    ).eval()
    found: list[Tensor] = []
    for module in (model.relu, model.layer1, model.layer2, model.layer3, model.layer4):
        module.register_forward_hook(lambda _m, _i, features: found.append(features.clone()))
    others = frames[4:]
    with torch.no_grad(), np.load(FOLDED) as file:
        model(others[None])
        weights = {name: torch.from_numpy(array) for name, array in file.items()}
        expected = folded_features(weights, others)
        shortcuts = folded_features(weights, frames[:4])[-1]
    expected[-1] /= shortcuts.mean()
    for own, folded in zip(found, expected, strict=True):
        assert folded.std() > 0.1
        torch.testing.assert_close(own, folded, rtol=0, atol=1e-3)


@needs_weights
def test_statistics_are_those_of_the_frames_and_the_rest_is_fresh(frames: Tensor) -> None:
    restored = restore(FOLDED, frames)
    with np.load(FOLDED) as file:
        conv1 = F.conv2d(frames, torch.from_numpy(file["conv1.weight"]), stride=2, padding=3)
    torch.testing.assert_close(restored["bn1.running_mean"], conv1.mean((0, 2, 3)))
    torch.testing.assert_close(restored["bn1.running_var"], conv1.var((0, 2, 3)))
    # He et al.'s normal by the fan-out, as torchvision draws it.
    fresh = restored["layer4.1.conv2.weight"]
    assert fresh.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert torch.equal(fresh, restore(FOLDED, frames[:1])["layer4.1.conv2.weight"])
    assert torch.equal(restored["layer4.1.bn2.running_var"], torch.ones(512))
    assert not any(name.startswith("fc.") for name in restored)
