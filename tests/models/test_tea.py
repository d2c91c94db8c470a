"""TEA's motion excitation and temporal aggregation against loops written from its paper."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck

from stmnet.models.tea import MotionExcitation, TEABottleneck
from stmnet.models.zoo import build_model
from stmnet.profiling.complexity import measure


def randomize(module: nn.Module) -> nn.Module:
    """Random weights and batch-norm statistics, so that no part hides behind a neutral start."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.data = torch.rand(buffer.shape, generator=generator, dtype=torch.float64) + 0.5
    return module.double().eval()


def normalized(maps: Tensor, bn: nn.BatchNorm2d) -> Tensor:
    scale = (bn.weight / (bn.running_var + bn.eps).sqrt()).view(1, -1, 1, 1)
    return (maps - bn.running_mean.view(1, -1, 1, 1)) * scale + bn.bias.view(1, -1, 1, 1)


def convolved_1x1(maps: Tensor, conv: nn.Conv2d) -> Tensor:
    return torch.einsum("oc,nchw->nohw", conv.weight[:, :, 0, 0], maps)


def temporal_loop(frames: Tensor, kernels: Tensor, num_frames: int) -> Tensor:
    """Channel-wise convolution over time; zeros outside the clip."""
    clips = frames.unflatten(0, (-1, num_frames))
    result = torch.zeros_like(clips)
    for t, i in itertools.product(range(num_frames), (-1, 0, 1)):
        if 0 <= t + i < num_frames:
            result[:, t] += kernels[:, 0, i + 1].unsqueeze(-1) * clips[:, t + i]
    return result.flatten(0, 1)


def excitation_loop(module: MotionExcitation, frames: Tensor, num_frames: int) -> Tensor:
    """TEA's Eq. 1 to 5, frame by frame, with the scale of its code (A is half the paper's)."""
    reduced = normalized(convolved_1x1(frames, module.reduce), module.bn_reduced)
    result = torch.empty_like(frames)
    for image in range(len(frames)):
        motion = torch.zeros_like(reduced[0])
        if image % num_frames < num_frames - 1:
            for c, (i, j) in itertools.product(
                range(len(motion)), itertools.product(range(3), repeat=2)
            ):
                height, width = motion.shape[1:]
                moved = F.pad(reduced[image + 1, c], (1, 1, 1, 1))[i : i + height, j : j + width]
                motion[c] += module.transform.weight[c, 0, i, j] * moved
            motion -= reduced[image]
        pooled = motion.mean(dim=(1, 2)).view(1, -1, 1, 1)
        restored = normalized(convolved_1x1(pooled, module.expand), module.bn_expanded)
        attention = 1 / (1 + torch.exp(-restored)) - 0.5
        result[image] = frames[image] + frames[image] * attention[0]
    return result


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 16, 5, 4), (3, 32, 4, 7), (4, 40, 1, 1)])
def test_motion_excitation_is_its_loop(shape: tuple[int, ...]) -> None:
    num_frames, channels, height, width = shape
    module = randomize(MotionExcitation(channels, num_frames=num_frames))
    frames = torch.randn(2 * num_frames, channels, height, width, dtype=torch.float64)
    expected = excitation_loop(module, frames, num_frames)
    torch.testing.assert_close(module(frames), expected, rtol=0, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize(
    ("in_channels", "stride"), [(64, 1), (16, 1), (16, 2)], ids=["inside", "first", "strided"]
)
def test_aggregation_is_its_loop(in_channels: int, stride: int) -> None:
    block = randomize(TEABottleneck(in_channels, 16, stride=stride, num_frames=3))
    first_of_stage = (in_channels, stride) != (64, 1)
    frames = torch.randn(6, 4 * 6, 5, 4, dtype=torch.float64)  # w = 16 * 26 // 64 = 6
    parts = [frames[:, 6 * i : 6 * i + 6] for i in range(4)]
    results: list[Tensor] = []
    for i in range(3):
        part = parts[i] if first_of_stage or i == 0 else parts[i] + results[i - 1]
        mixed = temporal_loop(part, block.temporal[i].weight, 3)
        patches = F.unfold(mixed, 3, padding=1, stride=stride)
        maps = torch.einsum("ok,nkl->nol", block.convs[i].weight.flatten(1), patches)
        maps = maps.unflatten(2, (-(-5 // stride), -(-4 // stride)))
        results.append(normalized(maps, block.bns[i]).clamp(min=0))
    last = temporal_loop(parts[3], block.temporal[3].weight, 3)
    if first_of_stage:
        patches = F.unfold(last, 3, padding=1, stride=stride).unflatten(1, (6, 9))
        last = patches.mean(dim=2).unflatten(2, results[0].shape[2:])
    expected = torch.cat([*results, last], dim=1)
    torch.testing.assert_close(block.aggregate(frames), expected, rtol=0, atol=1e-10)


def test_a_block_excites_before_it_aggregates() -> None:
    block = randomize(TEABottleneck(64, 16, num_frames=3))
    frames = torch.randn(3, 64, 3, 4, dtype=torch.float64)
    inside = normalized(convolved_1x1(frames, block.conv1), block.bn1).clamp(min=0)
    inside = block.aggregate(excitation_loop(block.me, inside, 3))
    expected = (normalized(convolved_1x1(inside, block.conv3), block.bn3) + frames).clamp(min=0)
    torch.testing.assert_close(block(frames), expected, rtol=1e-9, atol=1e-9)


def test_temporal_kernels_start_as_the_identity_and_a_shift_both_ways() -> None:
    model = build_model("tea_res2net50", num_classes=5, width=16)
    for block in (model.layer1[0], model.layer4[2]):
        for temporal in block.temporal[:3]:
            assert torch.equal(
                temporal.weight.flatten(1), torch.tensor([[0.0, 1, 0]]).expand(temporal.channels, 3)
            )
        last = block.temporal[3].weight.flatten(1)
        half = len(last) // 2
        assert (last[:half] == torch.tensor([0.0, 0, 1])).all()
        assert (last[half:] == torch.tensor([1.0, 0, 0])).all()


def test_gradients() -> None:
    block = TEABottleneck(64, 16, num_frames=2).double().eval()
    frames = torch.randn(2, 64, 2, 1, dtype=torch.float64, requires_grad=True)
    assert gradcheck(block, (frames,), nondet_tol=1e-12)


def res2net_parameters(num_classes: int) -> int:
    """Res2Net-50 26w x 4s, part by part."""
    total, inputs = 3 * 64 * 49 + 128, 64
    for stage, num_blocks in enumerate((3, 4, 6, 3)):
        w, outputs = 26 * 2**stage, 256 * 2**stage
        for _ in range(num_blocks):
            total += inputs * 4 * w + 8 * w + 3 * (9 * w * w + 2 * w) + 4 * w * outputs
            total += 2 * outputs
            if inputs != outputs:
                total += inputs * outputs + 2 * outputs
            inputs = outputs
    return total + 2048 * num_classes + num_classes


def test_size_and_cost() -> None:
    assert round(res2net_parameters(1000) / 1e6, 1) == 25.7  # Res2Net's own figure
    temporal = 0
    for stage, num_blocks in enumerate((3, 4, 6, 3)):
        w = 26 * 2**stage
        r = 4 * w // 16
        temporal += num_blocks * (3 * 4 * w + 2 * 4 * w * r + 9 * r + 2 * r + 2 * 4 * w)
    cost = measure("tea_res2net50", num_classes=174)
    assert cost.parameters == res2net_parameters(174) + temporal
    assert cost.macs / 1e9 == pytest.approx(35, rel=0.02)  # Table 4: 35G
