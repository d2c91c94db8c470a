"""CSTM and CMM against loops written from the paper's Eq. 1 and Eq. 2."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from stmnet.models.stm import (
    CMM,
    CSTM,
    ChannelwiseTemporalConv,
    STMBasicBlock,
    STMBottleneck,
)
from tests.models.loops import eq1_loop, eq2_loop, max_pool_2x2_loop, random_frames, randomize

SHAPES = [
    # T, C, H, W: odd and even, one frame, maps that are not square, one pixel
    (1, 16, 5, 4),
    (2, 16, 4, 7),
    (5, 32, 3, 6),
    (8, 16, 1, 1),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_temporal_convolution_is_equation_1(shape: tuple[int, int, int, int]) -> None:
    frames = random_frames(*shape)
    module = randomize(ChannelwiseTemporalConv(shape[1], num_frames=shape[0]))
    expected = eq1_loop(frames, module.weight[:, 0, :, 0].detach(), shape[0])
    torch.testing.assert_close(module(frames), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_cstm_is_equation_1_then_a_3x3_convolution(shape: tuple[int, ...], stride: int) -> None:
    frames = random_frames(*shape)
    module = randomize(CSTM(shape[1], 24, num_frames=shape[0], stride=stride))
    mixed = eq1_loop(frames, module.temporal.weight[:, 0, :, 0].detach(), shape[0])
    # A 3x3 convolution as a matrix product of patches, not as torch's convolution.
    patches = F.unfold(mixed, 3, padding=1, stride=stride)
    expected = torch.einsum("ok,nkl->nol", module.weight.flatten(1), patches)
    result = module(frames)
    assert result.shape[2:] == (-(-shape[2] // stride), -(-shape[3] // stride))
    torch.testing.assert_close(result.flatten(2), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_cmm_is_equation_2_between_two_1x1_convolutions(
    shape: tuple[int, ...], stride: int
) -> None:
    frames = random_frames(*shape)
    module = randomize(CMM(shape[1], num_frames=shape[0], stride=stride))
    reduced = torch.einsum("oc,nchw->nohw", module.reduce.weight[:, :, 0, 0], frames)
    assert reduced.shape[1] == shape[1] // 16
    bn = module.bn
    scale = (bn.weight / (bn.running_var + bn.eps).sqrt()).view(1, -1, 1, 1)
    reduced = (reduced - bn.running_mean.view(1, -1, 1, 1)) * scale + bn.bias.view(1, -1, 1, 1)
    motion = eq2_loop(reduced.detach(), module.transform.weight[:, 0].detach(), shape[0])
    expected = torch.einsum("oc,nchw->nohw", module.restore.weight[:, :, 0, 0], motion)
    if stride == 2:
        expected = max_pool_2x2_loop(expected)
    torch.testing.assert_close(module(frames), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
def test_last_motion_step_is_zero(stride: int) -> None:
    module = randomize(CMM(16, num_frames=5, stride=stride))
    motion = module(random_frames(5, 16, 6, 5)).unflatten(0, (-1, 5))
    assert torch.equal(motion[:, -1], torch.zeros_like(motion[:, -1]))
    assert motion[:, :-1].abs().amin(dim=(0, 2, 3, 4)).min() > 0


def test_temporal_kernels_start_as_a_partial_shift() -> None:
    frames = random_frames(4, 8, 2, 3)
    shifted = ChannelwiseTemporalConv(8, num_frames=4).double()(frames).unflatten(0, (-1, 4))
    clips = frames.unflatten(0, (-1, 4))
    zeros = torch.zeros_like(clips[:, :1])
    before = torch.cat([zeros, clips[:, :-1]], dim=1)
    after = torch.cat([clips[:, 1:], zeros], dim=1)
    assert torch.equal(shifted[:, :, :2], before[:, :, :2])
    assert torch.equal(shifted[:, :, 2:6], clips[:, :, 2:6])
    assert torch.equal(shifted[:, :, 6:], after[:, :, 6:])


def test_motion_starts_as_the_difference_of_neighbors() -> None:
    module = CMM(16, num_frames=3)
    features = torch.randn(6, 1, 4, 4)
    assert torch.equal(module.transform(features), features)


def test_temporal_convolution_moves_no_memory_in_channels_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = torch.randn(8, 16, 6, 5).contiguous(memory_format=torch.channels_last)
    module = ChannelwiseTemporalConv(16, num_frames=4)
    seen = {}
    convolve = F.conv2d

    def spy(clips: Tensor, *args: object, **kwargs: object) -> Tensor:
        seen["input"] = clips
        seen["output"] = convolve(clips, *args, **kwargs)
        return seen["output"]

    monkeypatch.setattr(F, "conv2d", spy)
    result = module(frames)
    assert seen["input"].data_ptr() == frames.data_ptr()
    assert result.data_ptr() == seen["output"].data_ptr()
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("block", [STMBasicBlock, STMBottleneck])
def test_gradients_of_blocks(block: type, stride: int) -> None:
    module = block(16, 16, stride=stride, num_frames=3).double().eval()
    frames = torch.randn(3, 16, 3, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(module, (frames,), nondet_tol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_both_modules_by_input_and_weights(stride: int) -> None:
    frames = torch.randn(3, 16, 3, 2, dtype=torch.float64, requires_grad=True)
    for module in (
        randomize(CSTM(16, 4, num_frames=3, stride=stride)),
        randomize(CMM(16, num_frames=3, stride=stride)),
    ):
        names = [name for name, _ in module.named_parameters()]

        def run(
            inputs: Tensor,
            *weights: Tensor,
            module: torch.nn.Module = module,
            names: list[str] = names,
        ) -> Tensor:
            parameters = dict(zip(names, weights, strict=True))
            return torch.func.functional_call(module, parameters, (inputs,))

        assert gradcheck(run, (frames, *module.parameters()))


@pytest.mark.parametrize("is_autocast", [False, True])
def test_cstm_does_not_keep_what_its_temporal_convolution_gave(is_autocast: bool) -> None:
    module = CSTM(16, 8, num_frames=4)
    nn.init.normal_(module.temporal.weight)
    frames = torch.randn(8, 16, 6, 5, requires_grad=True)
    given = []
    module.temporal.register_forward_hook(lambda _m, _i, out: given.append(weakref.ref(out)))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
        result = module(frames)
        plain = F.conv2d(
            ChannelwiseTemporalConv.forward(module.temporal, frames), module.weight, padding=1
        )
    assert given[0]() is None
    leaves = (frames, module.temporal.weight, module.weight)
    expected = torch.autograd.grad(plain.square().sum(), leaves)
    gradients = torch.autograd.grad(result.square().sum(), leaves)
    assert all(map(torch.equal, gradients, expected))


class ForwardConvolutions(TorchDispatchMode):
    """Records the kernel sizes of the convolutions that run within, without their gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel_sizes: list[tuple[int, ...]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket is torch.ops.aten.convolution:
            self.kernel_sizes.append(tuple(args[1].shape[2:]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("is_autocast", [False, True])
def test_backward_recomputes_the_temporal_convolution_and_not_the_3x3(is_autocast: bool) -> None:
    module = CSTM(16, 8, num_frames=4)
    frames = torch.randn(8, 16, 6, 5, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast):
        loss = module(frames).square().sum()
    with ForwardConvolutions() as recomputed:
        loss.backward()
    assert recomputed.kernel_sizes == [(3, 1)]


def test_weights_lent_for_one_call_are_those_of_its_backward() -> None:
    """As in `torch.func.functional_call`, when the module's own are back before the backward."""
    module = randomize(CSTM(16, 4, num_frames=3))
    frames = torch.randn(3, 16, 3, 2, dtype=torch.float64)
    lent = {name: torch.randn_like(p).requires_grad_() for name, p in module.named_parameters()}
    result = torch.func.functional_call(module, lent, (frames,))
    gradients = torch.autograd.grad(result.square().sum(), [*lent.values()])

    module.load_state_dict(lent)
    expected = torch.autograd.grad(module(frames).square().sum(), [*module.parameters()])
    assert all(map(torch.equal, gradients, expected))


def test_gradients_of_gradients() -> None:
    module = randomize(CSTM(16, 4, num_frames=3))
    frames = torch.randn(3, 16, 3, 2, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(lambda inputs: module(inputs).square(), (frames,))
