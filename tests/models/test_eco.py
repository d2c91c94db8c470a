"""ECO: its 3D stages against formulas, its 2D blocks against known sizes, its cost."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stmnet.models.eco import Inception, ResidualBlock3d
from stmnet.models.optimize import optimize
from stmnet.models.zoo import build_model
from stmnet.profiling.complexity import measure

# Channels, height and width at the end of BN-Inception's blocks, for a picture of 224x224
# (Ioffe and Szegedy, Fig. 5); 3c is split in ECO.
BLOCK_SIZES = {
    "3a": (256, 28), "3b": (320, 28),
    "4a": (576, 14), "4b": (576, 14), "4c": (608, 14), "4d": (608, 14),
    "4e": (1056, 7), "5a": (1024, 7), "5b": (1024, 7),
}  # fmt: skip


def settled(name: str, num_frames: int) -> nn.Module:
    torch.manual_seed(3)
    model = build_model(name, num_classes=7, num_frames=num_frames, width=8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.double().eval()


def bn(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    kinds = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(weights[f"{name}.{kind}"] for kind in kinds))


def stages_3d(volumes: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """res3a to res5b: every sum is normalized and rectified for the next block, itself kept."""
    kept = F.conv3d(volumes, weights["stages_3d.0.weight"], padding=1)
    for index, stride in enumerate((1, 2, 1, 2, 1), start=1):
        block = f"stages_3d.{index}"
        activated = bn(kept, weights, f"{block}.bn1").relu()
        inside = F.conv3d(activated, weights[f"{block}.conv1.weight"], stride=stride, padding=1)
        inside = bn(inside, weights, f"{block}.bn2").relu()
        inside = F.conv3d(inside, weights[f"{block}.conv2.weight"], padding=1)
        if stride == 2:
            projection = weights[f"{block}.downsample.weight"]
            kept = F.conv3d(activated, projection, stride=2, padding=1)
        kept = kept + inside
    return bn(kept, weights, "stages_3d.6").relu()


@torch.no_grad()
@pytest.mark.parametrize(("num_frames", "size"), [(1, 32), (5, 69), (8, 40)])
@pytest.mark.parametrize("name", ["eco_lite", "eco_full"])
def test_frames_meet_in_the_3d_network_and_in_the_mean_of_the_image_stream(
    name: str, num_frames: int, size: int
) -> None:
    model = settled(name, num_frames)
    clips = torch.randn(2, num_frames, 3, size, size + 7, dtype=torch.float64)
    scores = []
    for clip in clips:
        # frame by frame through the 2D parts
        maps = [model.stage_3(model.stem(frame.unsqueeze(0))) for frame in clip]
        shared = [model.shared_3c(one) for one in maps]
        volume = torch.stack(shared, dim=2)  # (1, C, T, H, W)
        features = stages_3d(volume, model.state_dict()).mean(dim=(2, 3, 4))[0]
        if name == "eco_full":
            stream = model.image_stream
            images = []
            for one, half in zip(maps, shared, strict=True):
                block_3c = [stream.triple_3c(one), stream.double_3c(half), stream.pool_3c(one)]
                images.append(stream.blocks(torch.cat(block_3c, dim=1)).mean(dim=(2, 3))[0])
            features = torch.cat([features, torch.stack(images).mean(dim=0)])
        scores.append(F.linear(features, model.fc.weight, model.fc.bias))
    expected = torch.stack(scores)
    assert expected.std() > 1e-3
    torch.testing.assert_close(model(clips), expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_an_inception_block_is_its_branches() -> None:
    """5b of BN-Inception, the one whose pool is of maxima and followed by a projection."""
    block = settled("eco_full", 2).image_stream.blocks[-1]
    weights = block.state_dict()
    maps = torch.randn(2, 128, 3, 4, dtype=torch.float64)

    def conv(x: Tensor, name: str) -> Tensor:
        kernel = weights[f"branches.{name}.0.weight"]
        x = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        return bn(x, weights, f"branches.{name}.1").relu()

    expected = [
        conv(maps, "0"),
        conv(conv(maps, "1.0"), "1.1"),
        conv(conv(conv(maps, "2.0"), "2.1"), "2.2"),
        conv(F.max_pool2d(maps, 3, 1, 1), "3.1"),
    ]
    assert [x.shape[1] * 8 for x in expected] == [352, 320, 224, 128]
    torch.testing.assert_close(block(maps), torch.cat(expected, dim=1))


def test_blocks_have_the_sizes_of_bn_inception() -> None:
    with torch.device("meta"):
        model = build_model("eco_full", num_classes=400, num_frames=4).eval()
    seen = []

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(tuple(output.shape))

    for module in model.modules():
        if isinstance(module, Inception | ResidualBlock3d):
            module.register_forward_hook(note)
    model.shared_3c.register_forward_hook(note)
    model(torch.empty(1, 4, 3, 224, 224, device="meta"))
    images = [(4, channels, size, size) for channels, size in BLOCK_SIZES.values()]
    shared = (4, 96, 28, 28)
    volumes = [
        (1, 128, 4, 28, 28),
        (1, 256, 2, 14, 14),
        (1, 256, 2, 14, 14),
        (1, 512, 1, 7, 7),
        (1, 512, 1, 7, 7),
    ]
    assert seen == [*images[:2], shared, *volumes, *images[2:]]
    assert model.fc.in_features == 1536


@pytest.mark.parametrize(
    ("name", "millions", "gmacs"), [("eco_full", 47.5, 64.4), ("eco_lite", 37.4, 46.5)]
)
def test_size_and_cost(name: str, millions: float, gmacs: float) -> None:
    cost = measure(name, num_classes=400, num_frames=16)
    assert cost.parameters / 1e6 == pytest.approx(millions, rel=0.01)
    assert cost.macs / 1e9 == pytest.approx(gmacs, rel=0.01)


@torch.no_grad()
def test_going_to_clips_copies_nothing() -> None:
    model = settled("eco_lite", 4).float()
    seen = {}
    model.shared_3c.register_forward_hook(lambda _, __, output: seen.update(frames=output))
    model.stages_3d.register_forward_pre_hook(lambda _, inputs: seen.update(clips=inputs[0]))
    model(torch.randn(2, 4, 3, 64, 64))
    assert seen["clips"].data_ptr() == seen["frames"].data_ptr()
    assert seen["clips"].is_contiguous(memory_format=torch.channels_last_3d)


def test_weights_lie_as_the_maps_they_meet() -> None:
    network = build_model("eco_full", num_classes=3, num_frames=4, width=8)
    for module in [*network.modules(), *optimize(network).modules()]:
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last_3d)
            assert not module.weight.is_contiguous()
