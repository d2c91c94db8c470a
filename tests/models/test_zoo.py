"""Whole networks: sizes by formula, names by torchvision, and what time does to the scores."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, get_type_hints

import pytest
import torch
import torchvision
from torch import Tensor

from stmnet.errors import UnknownModelError
from stmnet.models.builder_options import validate_options, with_options_of
from stmnet.models.stm import CMM, ChannelwiseTemporalConv
from stmnet.models.stm_options import STMOptions
from stmnet.models.weights import load_matching
from stmnet.models.zoo import MODELS, build_model, list_models

DEPTHS = (18, 34, 50, 101)
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def conv(inputs: int, outputs: int, size: int) -> int:
    return inputs * outputs * size * size


def batch_norm(channels: int) -> int:
    return 2 * channels


def tsn_parameters(depth: int, num_classes: int) -> int:
    """He et al.'s ResNet, part by part."""
    expansion = 1 if depth < 50 else 4
    total = conv(3, 64, 7) + batch_norm(64)
    inputs = 64
    for stage, num_blocks in enumerate(BLOCKS[depth]):
        c = 64 * 2**stage
        for _ in range(num_blocks):
            if expansion == 1:
                total += conv(inputs, c, 3) + conv(c, c, 3) + 2 * batch_norm(c)
            else:
                total += conv(inputs, c, 1) + conv(c, c, 3) + conv(c, 4 * c, 1)
                total += 2 * batch_norm(c) + batch_norm(4 * c)
            if inputs != expansion * c:
                total += conv(inputs, expansion * c, 1) + batch_norm(expansion * c)
            inputs = expansion * c
    return total + inputs * num_classes + num_classes


def temporal_parameters(depth: int) -> int:
    """Eq. 1's kernels, and the CMM: 1x1 down, batch norm, Eq. 2's kernels, 1x1 up; r = 16."""
    total = 0
    for stage, num_blocks in enumerate(BLOCKS[depth]):
        c = 64 * 2**stage
        total += num_blocks * (3 * c + c * c // 16 + 2 * c // 16 + 9 * c // 16 + c * c // 16)
    return total


def num_parameters(name: str, num_classes: int = 174) -> int:
    model = build_model(name, num_classes=num_classes)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("depth", DEPTHS)
def test_parameters_by_formula(depth: int) -> None:
    tsn = tsn_parameters(depth, 174)
    assert num_parameters(f"tsn_resnet{depth}") == tsn
    assert num_parameters(f"stm_resnet{depth}") == tsn + temporal_parameters(depth)


def test_parameters_of_the_paper() -> None:
    # The paper's 23.8M and 24.0M, to the last parameter (FACTS: agreement to the printed digit).
    assert tsn_parameters(50, 174) == 23_864_558
    assert tsn_parameters(50, 174) + temporal_parameters(50) == 24_035_666


@pytest.mark.parametrize("depth", [18, 34, 50])
@pytest.mark.parametrize("kind", ["tsn", "stm"])
def test_torchvision_weights_load_by_name(kind: str, depth: int) -> None:
    source = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
    model = build_model(f"{kind}_resnet{depth}", num_classes=174)
    report = load_matching(model, source)
    assert report.unexpected == ()
    left_fresh = {name for name in report.missing if ".temporal." not in name}
    left_fresh = {name for name in left_fresh if ".cmm." not in name}
    assert left_fresh == {"fc.weight", "fc.bias"}
    own = model.state_dict()
    for name in report.loaded:
        assert torch.equal(own[name], source[name]), name


def random_clips(num_frames: int = 8, size: int = 32, clips: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(clips, num_frames, 3, size, size, generator=generator)


def settled(name: str, **options: float) -> torch.nn.Module:
    """A network with random batch-norm statistics and a head whose logits are not tiny."""
    torch.manual_seed(2)
    model = build_model(name, num_classes=7, **options)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.nn.init.normal_(model.fc.weight, std=0.1)
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("depth", DEPTHS)
def test_stm_without_its_temporal_parts_is_tsn(depth: int) -> None:
    stm = settled(f"stm_resnet{depth}", width=16)
    clips = random_clips()
    with_time = stm(clips)
    for module in stm.modules():
        if isinstance(module, ChannelwiseTemporalConv):
            module.weight.zero_()
            module.weight[:, 0, 1] = 1
        elif isinstance(module, CMM):
            module.restore.weight.zero_()
    tsn = build_model(f"tsn_resnet{depth}", num_classes=7, width=16).eval()
    assert load_matching(tsn, stm.state_dict()).missing == ()
    scale = tsn(clips).abs().max()
    assert scale > 1e-2
    torch.testing.assert_close(stm(clips), tsn(clips), rtol=1e-5, atol=1e-5)
    assert (with_time - tsn(clips)).abs().max() > 0.01 * scale


@torch.no_grad()
@pytest.mark.parametrize("depth", DEPTHS)
def test_only_stm_sees_the_direction_of_time(depth: int) -> None:
    clips = random_clips()
    tsn = settled(f"tsn_resnet{depth}", width=16)
    torch.testing.assert_close(tsn(clips), tsn(clips.flip(1)), rtol=1e-5, atol=1e-5)
    stm = settled(f"stm_resnet{depth}", width=16)
    scores = stm(clips)
    assert (scores - stm(clips.flip(1))).abs().max() > 1e-2 * scores.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize(("num_frames", "size"), [(1, 32), (3, 45), (16, 32)])
def test_any_number_of_frames_and_odd_sizes(name: str, num_frames: int, size: int) -> None:
    model = build_model(name, num_classes=5, num_frames=num_frames, width=8).eval()
    logits = model(random_clips(num_frames, size))
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix() -> None:
    stm = settled("stm_resnet18", width=16)
    clips = random_clips(clips=3)
    alone = torch.cat([stm(clip.unsqueeze(0)) for clip in clips])
    torch.testing.assert_close(stm(clips), alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_score_is_the_mean_of_the_frames_scores() -> None:
    tsn = settled("tsn_resnet18", width=16)
    single = build_model("tsn_resnet18", num_classes=7, num_frames=1, width=16).eval()
    single.load_state_dict(tsn.state_dict())
    clips = random_clips()
    per_frame = torch.stack([single(clips[:, t : t + 1]) for t in range(8)]).mean(dim=0)
    torch.testing.assert_close(tsn(clips), per_frame, rtol=1e-4, atol=1e-5)


def test_wrong_number_of_frames_is_named() -> None:
    model = build_model("tsn_resnet18", num_classes=5, width=8)
    with pytest.raises(ValueError, match=r"\(N, 8, 3, H, W\), not \(2, 4, 3, 32, 32\)"):
        model(random_clips(4))


def test_unknown_names_and_options_suggest_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match=r"'stm_resnet5'.*mean 'stm_resnet50'"):
        build_model("stm_resnet5", num_classes=5)
    with pytest.raises(UnknownModelError, match=r"no option 'widht'.*mean 'width'"):
        build_model("stm_resnet50", num_classes=5, widht=32)
    with pytest.raises(UnknownModelError, match="tsn_resnet50 has no option 'reduction'"):
        build_model("tsn_resnet50", num_classes=5, reduction=8)


def test_stms_signature_is_that_of_its_options() -> None:
    """Names, defaults and types are spelled once, in `STMOptions`."""
    parameters = inspect.signature(MODELS["stm_resnet50"]).parameters
    types = get_type_hints(STMOptions)
    for option in fields(STMOptions):
        assert parameters[option.name].default == option.default
        assert parameters[option.name].annotation == types[option.name]
    assert set(parameters) - {option.name for option in fields(STMOptions)} == {
        "num_classes",
        "num_frames",
        "width",
        "dropout",
    }


def test_an_option_added_to_stm_is_known_to_the_builder() -> None:
    @dataclass
    class Options:
        speed: Literal["slow", "quick"] = "slow"

    @with_options_of(Options)
    def build(depth: int, *, num_classes: int, **options: Any) -> Any:
        return depth, Options(**options)

    validate_options("net", partial(build, 18), {"speed": "quick"})
    assert partial(build, 18)(num_classes=3, speed="quick") == (18, Options("quick"))
    with pytest.raises(UnknownModelError, match=r"net: speed is 'fast'. Give 'slow' or 'quick'."):
        validate_options("net", partial(build, 18), {"speed": "fast"})
    with pytest.raises(UnknownModelError, match="no option 'sped'. Did you mean 'speed'"):
        validate_options("net", partial(build, 18), {"sped": "slow"})


def test_unknown_options_without_a_neighbor_list_stms() -> None:
    with pytest.raises(UnknownModelError) as error:
        build_model("stm_resnet18", num_classes=5, zzz=1)
    assert str(error.value) == (
        "stm_resnet18 has no option 'zzz'. Known: width, dropout, modules, fusion, kernels, "
        "stages, blocks, cstm_temporal, cstm_spatial, cmm_transform, reduction."
    )
