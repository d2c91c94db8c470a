"""What holds for every name in the zoo: scores, gradients, exports, clips apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stmnet.models.zoo import build_model, list_models

NAMES = list_models()


def narrow(name: str, *, num_classes: int = 5, num_frames: int = 8) -> nn.Module:
    torch.manual_seed(2)
    return build_model(name, num_classes=num_classes, num_frames=num_frames, width=8)


def random_clips(num_clips: int, num_frames: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num_clips, num_frames, 3, height, width, generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_full_networks_at_full_size(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes=174)
    assert model(torch.empty(2, 8, 3, 224, 224, device="meta")).shape == (2, 174)


@pytest.mark.parametrize(("num_classes", "num_frames"), [(400, 16), (101, 32), (51, 7)])
@pytest.mark.parametrize("name", NAMES)
def test_classes_and_frames_of_the_data_sets(name: str, num_classes: int, num_frames: int) -> None:
    with torch.device("meta"):
        model = narrow(name, num_classes=num_classes, num_frames=num_frames)
    assert model(torch.empty(2, num_frames, 3, 64, 64, device="meta")).shape == (2, num_classes)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_gradient(name: str) -> None:
    model = narrow(name, num_frames=5).train()
    with torch.no_grad():
        for parameter in model.parameters():  # away from starts where a gradient may vanish
            parameter += 0.05 * torch.randn_like(parameter)
    model(random_clips(3, 5, 45, 36)).square().mean().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_the_exported_network_gives_the_same_scores(name: str) -> None:
    model = narrow(name, num_frames=5).eval()
    clips = random_clips(2, 5, 45, 36)
    exported = torch.export.export(model, (clips,)).module()
    other = clips.flip(0).roll(1, dims=1)
    torch.testing.assert_close(exported(other), model(other), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_clips_of_a_batch_do_not_mix(name: str) -> None:
    model = narrow(name).eval()
    clips = random_clips(3, 8, 40, 32)
    alone = torch.cat([model(clip.unsqueeze(0)) for clip in clips])
    assert alone.std(dim=0).min() > 0
    torch.testing.assert_close(model(clips), alone, rtol=1e-3, atol=1e-5)
