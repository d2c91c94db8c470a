"""STM's variants: every ablation row against loops of its equations, and what contradicts what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.autograd import gradcheck

from stmnet.errors import UnknownModelError
from stmnet.models.stm import CMM, CSTM, STMBasicBlock, STMBottleneck
from stmnet.models.stm_options import PAPER, STMOptions
from stmnet.models.stm_variants import LowFrequency
from stmnet.models.weights import load_matching
from stmnet.models.zoo import build_model
from tests.models.loops import (
    batch_norm_loop,
    conv1x1_loop,
    conv3x3_loop,
    eq1_loop,
    eq1_standard_loop,
    eq2_loop,
    eq2_standard_loop,
    max_pool_2x2_loop,
    random_frames,
    randomize,
)

# Every row of Tables 6, 7, 8 and 10, and rows that combine them.
VARIANTS: dict[str, dict[str, Any]] = {
    "stm": {},
    "table 6, cstm": {"modules": "cstm"},
    "table 6, cmm": {"modules": "cmm"},
    "table 7, concat": {"fusion": "concat"},
    "table 8": {"kernels": "frequency"},
    "table 8, low": {"kernels": "frequency", "modules": "cstm"},
    "table 8, high": {"kernels": "frequency", "modules": "cmm"},
    "table 10, 1d 2d": {"modules": "cstm", "cstm_spatial": "channelwise"},
    "table 10, cstm standard": {"modules": "cstm", "cstm_temporal": "standard"},
    # r = 4 leaves four channels here: with one, standard and channel-wise are the same.
    "table 10, cmm standard": {"modules": "cmm", "cmm_transform": "standard", "reduction": 4},
    "reduction": {"reduction": 4},
    "standard and concat": {
        "fusion": "concat",
        "cstm_temporal": "standard",
        "cstm_spatial": "channelwise",
        "cmm_transform": "standard",
        "reduction": 8,
    },
}
T = 3
CHANNELS = 16


def cstm_loop(frames: Tensor, block: nn.Module, options: STMOptions, *, stride: int) -> Tensor:
    """Section 3.1, by the options; without a CSTM the block's own 3x3 convolution."""
    if options.has_cstm:
        if options.kernels == "frequency":
            kernel = torch.tensor([0.0, 1.0, 1.0], dtype=frames.dtype).expand(CHANNELS, 3)
            frames = eq1_loop(frames, kernel, T)
        elif options.cstm_temporal == "standard":
            frames = eq1_standard_loop(frames, block.conv2.temporal.weight[..., 0], T)
        else:
            frames = eq1_loop(frames, block.conv2.temporal.weight[:, 0, :, 0], T)
    spatial = block.conv2.spatial if options.cstm_spatial == "channelwise" else block.conv2
    return conv3x3_loop(frames, spatial.weight, stride=stride)


def cmm_loop(frames: Tensor, cmm: CMM, options: STMOptions, *, stride: int) -> Tensor:
    """Section 3.2, by the options."""
    reduced = batch_norm_loop(conv1x1_loop(frames, cmm.reduce.weight), cmm.bn)
    assert reduced.shape[1] == CHANNELS // min(options.reduction, CHANNELS)
    if options.kernels == "frequency":
        center = torch.zeros(reduced.shape[1], 3, 3, dtype=frames.dtype)
        center[:, 1, 1] = 1
        motion = eq2_loop(reduced, center, T)
    elif options.cmm_transform == "standard":
        motion = eq2_standard_loop(reduced, cmm.transform.weight, T)
    else:
        motion = eq2_loop(reduced, cmm.transform.weight[:, 0], T)
    restored = conv1x1_loop(motion, cmm.restore.weight)
    return restored if stride == 1 else max_pool_2x2_loop(restored)


def fused_loop(spatiotemporal: Tensor, motion: Tensor | None, block: nn.Module) -> Tensor:
    """Section 5.2: the sum, or a 1x1 convolution of both, one beside the other."""
    if motion is None:
        return spatiotemporal
    if not list(block.fusion.parameters()):
        return spatiotemporal + motion
    left, right = block.fusion.mix.weight.split(CHANNELS, dim=1)
    return conv1x1_loop(spatiotemporal, left) + conv1x1_loop(motion, right)


def block_loop(frames: Tensor, block: nn.Module, options: STMOptions, *, stride: int) -> Tensor:
    """Section 3.4, Fig. 3, on the bottleneck; and our seat in the basic block."""
    basic = isinstance(block, STMBasicBlock)
    conv1 = block.conv1.weight
    inner = conv3x3_loop(frames, conv1, stride=stride) if basic else conv1x1_loop(frames, conv1)
    features = batch_norm_loop(inner, block.bn1).relu()
    inner_stride = 1 if basic else stride
    motion = (
        cmm_loop(features, block.cmm, options, stride=inner_stride) if options.has_cmm else None
    )
    spatiotemporal = cstm_loop(features, block, options, stride=inner_stride)
    if basic:
        result = batch_norm_loop(fused_loop(spatiotemporal, motion, block), block.bn2)
    else:
        spatiotemporal = batch_norm_loop(spatiotemporal, block.bn2).relu()
        fused = fused_loop(spatiotemporal, motion, block)
        result = batch_norm_loop(conv1x1_loop(fused, block.conv3.weight), block.bn3)
    identity = frames
    if block.downsample is not None:
        projected = conv1x1_loop(frames, block.downsample[0].weight, stride=stride)
        identity = batch_norm_loop(projected, block.downsample[1])
    return (result + identity).relu()


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [STMBasicBlock, STMBottleneck])
@pytest.mark.parametrize("variant", VARIANTS)
def test_blocks_are_the_loops_of_their_equations(variant: str, kind: type, stride: int) -> None:
    options = STMOptions(**VARIANTS[variant])
    block = randomize(kind(8, CHANNELS, stride=stride, num_frames=T, options=options))
    frames = random_frames(T, 8, 5, 3 + stride)
    expected = block_loop(frames, block, options, stride=stride)
    assert expected.abs().max() > 1
    torch.testing.assert_close(block(frames), expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_of_variants(variant: str) -> None:
    options = STMOptions(**VARIANTS[variant])
    block = STMBottleneck(4, 16, num_frames=2, options=options).double().eval()
    frames = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(block, (frames,), nondet_tol=1e-12)


@torch.no_grad()
def test_degenerated_modules_are_equation_7() -> None:
    frames = random_frames(T, CHANNELS, 4, 3)
    clips = frames.unflatten(0, (-1, T))
    low = LowFrequency(CHANNELS, num_frames=T).double()(frames).unflatten(0, (-1, T))
    torch.testing.assert_close(low[:, :-1], clips[:, :-1] + clips[:, 1:])
    assert torch.equal(low[:, -1], clips[:, -1])

    cmm = randomize(CMM(CHANNELS, num_frames=T, options=STMOptions(kernels="frequency")))
    reduced = cmm.bn(cmm.reduce(frames)).unflatten(0, (-1, T))
    high = (reduced[:, :-1] - reduced[:, 1:]).flatten(0, 1)
    motion = cmm(frames).unflatten(0, (-1, T))
    torch.testing.assert_close(motion[:, :-1].flatten(0, 1), cmm.restore(high))


def test_fixed_kernels_are_neither_trained_nor_loaded() -> None:
    learned = build_model("stm_resnet18", num_classes=3, width=8)
    fixed = build_model("stm_resnet18", num_classes=3, width=8, kernels="frequency")
    for names in (dict(fixed.named_parameters()), fixed.state_dict()):
        assert not any("temporal" in name or "transform" in name for name in names)
    assert load_matching(fixed, learned.state_dict()).missing == ()
    (kernels,) = {
        tuple(kernel.flatten().tolist())
        for module in fixed.modules()
        if isinstance(module, LowFrequency)
        for kernel in module.weight
    }
    assert kernels == (0, 1, 1)


@torch.no_grad()
@pytest.mark.parametrize("variant", ["table 10, cstm standard", "table 10, cmm standard"])
def test_standard_convolutions_start_as_channelwise_ones(variant: str) -> None:
    options = STMOptions(**VARIANTS[variant])
    frames = random_frames(T, CHANNELS, 4, 3)
    for kind, arguments in ((CSTM, (CHANNELS, 4)), (CMM, (CHANNELS,))):
        own = kind(*arguments, num_frames=T, options=options).double().eval()
        paper = kind(
            *arguments, num_frames=T, options=STMOptions(reduction=options.reduction)
        ).double()
        paper.load_state_dict(
            {name: weight for name, weight in own.state_dict().items()
             if name.split(".")[0] not in ("temporal", "transform")},
            strict=False,
        )  # fmt: skip
        torch.testing.assert_close(own(frames), paper.eval()(frames))


def names_of_blocks(network: nn.Module, kind: type) -> set[str]:
    return {name for name, module in network.named_modules() if isinstance(module, kind)}


@pytest.mark.parametrize(
    ("options", "num_stm_by_stage"),
    [
        ({}, (3, 4, 6, 3)),
        ({"stages": [2], "blocks": 1}, (1, 0, 0, 0)),
        ({"stages": [3], "blocks": 1}, (0, 1, 0, 0)),
        ({"stages": [4], "blocks": 1}, (0, 0, 1, 0)),
        ({"stages": [5], "blocks": 1}, (0, 0, 0, 1)),
        ({"blocks": 1}, (1, 1, 1, 1)),
        ({"stages": [5, 4], "blocks": 2}, (0, 0, 2, 2)),
        ({"stages": [3]}, (0, 4, 0, 0)),
    ],
)
def test_table_9_says_which_blocks_are_stm_blocks(
    options: dict[str, Any], num_stm_by_stage: tuple[int, ...]
) -> None:
    network = build_model("stm_resnet50", num_classes=3, width=8, **options)
    expected = {
        f"layer{stage}.{block}"
        for stage, num_blocks in enumerate(num_stm_by_stage, start=1)
        for block in range(num_blocks)
    }
    assert names_of_blocks(network, STMBottleneck) == expected
    assert names_of_blocks(network, CSTM) == {f"{name}.conv2" for name in expected}
    assert names_of_blocks(network, CMM) == {f"{name}.cmm" for name in expected}


@torch.no_grad()
@pytest.mark.parametrize("depth", [18, 50])
def test_without_modules_it_is_tsn(depth: int) -> None:
    none = build_model(f"stm_resnet{depth}", num_classes=3, width=8, modules="none").eval()
    tsn = build_model(f"tsn_resnet{depth}", num_classes=3, width=8).eval()
    tsn.load_state_dict(none.state_dict())
    clips = torch.randn(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(none(clips), tsn(clips))


def stage_channels() -> list[int]:
    """C of every block of ResNet-50."""
    blocks = zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)
    return [channels for channels, num_blocks in blocks for _ in range(num_blocks)]


TSN_50 = 23_864_558
CMM_OF_16 = sum(2 * c * c // 16 + 2 * c // 16 + 9 * c // 16 for c in stage_channels())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, TSN_50 + CMM_OF_16 + sum(3 * c for c in stage_channels())),
        ({"modules": "none"}, TSN_50),
        ({"modules": "cmm"}, TSN_50 + CMM_OF_16),
        ({"modules": "cstm"}, TSN_50 + sum(3 * c for c in stage_channels())),
        (
            {"modules": "cstm", "cstm_temporal": "standard"},
            TSN_50 + sum(3 * c * c for c in stage_channels()),
        ),
        (
            {"modules": "cstm", "cstm_spatial": "channelwise"},
            TSN_50 + sum(3 * c + 9 * c - 9 * c * c for c in stage_channels()),
        ),
        (
            {"modules": "cmm", "cmm_transform": "standard"},
            TSN_50 + CMM_OF_16 + sum(9 * (c // 16) ** 2 - 9 * c // 16 for c in stage_channels()),
        ),
        (
            {"fusion": "concat"},
            TSN_50 + CMM_OF_16 + sum(3 * c + 2 * c * c for c in stage_channels()),
        ),
        (
            {"kernels": "frequency"},
            TSN_50 + sum(2 * c * c // 16 + 2 * c // 16 for c in stage_channels()),
        ),
        ({"stages": [2], "blocks": 1}, TSN_50 + 3 * 64 + 2 * 64 * 4 + 2 * 4 + 9 * 4),
        (
            {"modules": "cmm", "reduction": 8},
            TSN_50 + sum(2 * c * c // 8 + 2 * c // 8 + 9 * c // 8 for c in stage_channels()),
        ),
    ],
)
def test_parameters_of_variants_by_formula(options: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        network = build_model("stm_resnet50", num_classes=174, **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modules": "cstm", "fusion": "concat"}, "fusion='concat' means nothing with modules='c"),
        ({"modules": "cmm", "fusion": "concat"}, "set modules to 'both'"),
        ({"modules": "none", "kernels": "frequency"}, "kernels='frequency' means nothing"),
        ({"modules": "none", "stages": [2]}, r"stages=\(2,\) means nothing"),
        ({"modules": "none", "blocks": 1}, "Leave blocks out"),
        ({"modules": "cmm", "cstm_temporal": "standard"}, "set modules to 'cstm' or 'both'"),
        ({"modules": "cmm", "cstm_spatial": "channelwise"}, "Leave cstm_spatial out"),
        ({"modules": "cstm", "cmm_transform": "standard"}, "set modules to 'cmm' or 'both'"),
        ({"modules": "cstm", "reduction": 8}, "reduction=8 means nothing with modules='cstm'"),
        (
            {"kernels": "frequency", "cstm_temporal": "standard"},
            "cstm_temporal='standard' contradicts kernels='frequency'",
        ),
        (
            {"kernels": "frequency", "cmm_transform": "standard"},
            "cmm_transform='standard' contradicts kernels='frequency'",
        ),
        ({"stages": []}, "Name at least one, each once"),
        ({"stages": [2, 2]}, "Name at least one, each once"),
        ({"stages": [1]}, "stages has 1. Give some of 2, 3, 4 and 5."),
        ({"stages": 2}, "stages is 2. Give a list, each a whole number"),
        ({"stages": ["2"]}, "Give a list, each a whole number"),
        ({"blocks": 0}, "Give at least 1"),
        ({"blocks": 4}, "blocks is 4, and stage 2 of this network has 3. Give at most 3"),
        ({"blocks": 1.0}, "Give a whole number or null"),
        ({"reduction": 0}, "reduction is 0. Give at least 1."),
        ({"reduction": True}, "reduction is True. Give a whole number"),
        ({"width": "64"}, "width is '64'. Give a whole number"),
        ({"modules": "CSTM"}, "modules is 'CSTM'. Give 'none' or 'cstm' or 'cmm' or 'both'"),
        ({"module": "cstm"}, "no option 'module'. Did you mean 'modules'?"),
    ],
)
def test_wrong_options_name_themselves_and_the_remedy(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownModelError, match=message):
        build_model("stm_resnet50", num_classes=3, **({"width": 8} | options))


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_of_a_trunk_load_into_every_variant(variant: str, tmp_path: Path) -> None:
    source = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(source, tmp_path / "resnet18.pth")
    network = build_model(
        "stm_resnet18",
        num_classes=5,
        pretrained=str(tmp_path / "resnet18.pth"),
        **VARIANTS[variant],
    )
    own = network.state_dict()
    left = {name for name in source if name not in own or not torch.equal(own[name], source[name])}
    channelwise = VARIANTS[variant].get("cstm_spatial") == "channelwise"
    seconds = {name for name in source if name.endswith("conv2.weight")} if channelwise else set()
    assert left == {"fc.weight", "fc.bias"} | seconds


def test_the_default_block_keeps_the_names_of_its_weights() -> None:
    block = STMBottleneck(64, 16, num_frames=2)
    assert STMOptions() == PAPER
    assert [name for name, _ in block.named_parameters()] == [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "conv2.weight",
        "conv2.temporal.weight",
        "bn2.weight",
        "bn2.bias",
        "conv3.weight",
        "bn3.weight",
        "bn3.bias",
        "cmm.reduce.weight",
        "cmm.bn.weight",
        "cmm.bn.bias",
        "cmm.transform.weight",
        "cmm.restore.weight",
    ]


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_export_at_odd_sizes(variant: str) -> None:
    options = STMOptions(**VARIANTS[variant])
    block = STMBottleneck(8, 16, stride=2, num_frames=2, options=options).eval()
    frames = torch.randn(2, 8, 5, 7, generator=torch.Generator().manual_seed(1))
    exported = torch.export.export(block, (frames,)).module()
    torch.testing.assert_close(exported(frames), block(frames))


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_learn(variant: str) -> None:
    options = VARIANTS[variant]
    network = build_model("stm_resnet18", num_classes=3, num_frames=2, width=8, **options)
    clips = torch.randn(2, 2, 3, 33, 45, generator=torch.Generator().manual_seed(1))
    network(clips).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
