"""The temporal shift against a loop, and where in the networks it stands."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from stmnet.models.resnet import BasicBlock, Bottleneck
from stmnet.models.temporal import temporal_shift
from stmnet.models.tsm import ShiftedConv2d, TSMBasicBlock, TSMBottleneck
from stmnet.models.zoo import build_model


def shift_loop(frames: Tensor, num_frames: int) -> Tensor:
    """TSM, section 3.1: of the channels, 1/8 from t + 1 and 1/8 from t - 1; zeros outside."""
    clips = frames.unflatten(0, (-1, num_frames))
    result = torch.zeros_like(clips)
    eighth = clips.shape[2] // 8
    for n, t, c in itertools.product(*map(range, clips.shape[:3])):
        source = t + 1 if c < eighth else t - 1 if c < 2 * eighth else t
        if 0 <= source < num_frames:
            result[n, t, c] = clips[n, source, c]
    return result.flatten(0, 1)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("shape", [(1, 16, 3, 2), (2, 8, 5, 4), (5, 20, 3, 6), (8, 16, 1, 1)])
def test_the_shift_is_its_loop(shape: tuple[int, ...], memory_format: torch.memory_format) -> None:
    num_frames, channels, height, width = shape
    frames = torch.randn(2 * num_frames, channels, height, width, dtype=torch.float64)
    frames = frames.contiguous(memory_format=memory_format)
    shifted = temporal_shift(frames, num_frames=num_frames)
    assert torch.equal(shifted, shift_loop(frames, num_frames))
    assert shifted.is_contiguous(memory_format=torch.channels_last)


def test_the_shift_is_differentiated_right() -> None:
    frames = torch.randn(8, 16, 2, 1, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: temporal_shift(x, num_frames=4), (frames,))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("block", "plain"), [(TSMBasicBlock, BasicBlock), (TSMBottleneck, Bottleneck)]
)
def test_only_the_first_convolution_sees_the_shift(block: type, plain: type, stride: int) -> None:
    shifted = block(16, 16, stride=stride, num_frames=3).double().eval()
    unshifted = plain(16, 16, stride=stride, num_frames=3).double().eval()
    unshifted.load_state_dict(shifted.state_dict())
    frames = torch.randn(6, 16, 5, 4, dtype=torch.float64)
    # The plain block, with what its first convolution is given replaced by the loop's result.
    unshifted.conv1.register_forward_pre_hook(lambda _, inputs: (shift_loop(inputs[0], 3),))
    torch.testing.assert_close(shifted(frames), unshifted(frames), rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_every_block_is_shifted_and_every_second_one_of_resnet_101(depth: int) -> None:
    model = build_model(f"tsm_resnet{depth}", num_classes=5, width=8)
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        shifted = [isinstance(block.conv1, ShiftedConv2d) for block in stage]
        expected = [depth < 101 or index % 2 == 0 for index in range(len(stage))]
        assert shifted == expected


def test_the_shift_has_no_parameters() -> None:
    with torch.device("meta"):
        tsm = build_model("tsm_resnet50", num_classes=400)
        tsn = build_model("tsn_resnet50", num_classes=400)
    num_parameters = sum(parameter.numel() for parameter in tsm.parameters())
    assert num_parameters == 24_327_632  # Table 4: 24.3M
    assert tsm.state_dict().keys() == tsn.state_dict().keys()
