"""The probe that a study starts from: its optimum, and an STM that answers as it does."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from studies.linear_probe import FLOOR, PENALTY, fit, probed_start
from torch import Tensor

from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_center
from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.models.zoo import build_model
from tests.conftest import VideoWriter


def test_the_fit_is_where_the_gradient_of_its_objective_is_zero() -> None:
    """Closed form: of every class, what is expected of its features less what they are."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 30 + [1] * 10 + [2] * 20)
    features = torch.randn(60, 5, generator=generator) * torch.tensor([1.0, 2, 3, 4, 0.1]) + 7
    features[:, 0] += labels
    weight, bias = fit(features, labels, 3)

    scale = features.std(0) + FLOOR * features.std(0).mean()
    inputs = (features - features.mean(0)) / scale
    probabilities = (features @ weight.T + bias).softmax(1)
    of_clip = (1 / torch.tensor([30.0, 10, 20]))[labels] / 3  # the classes weigh the same
    surplus = of_clip[:, None] * (probabilities - torch.eye(3)[labels])
    of_weight = surplus.T @ inputs + 2 * PENALTY * weight * scale
    torch.testing.assert_close(of_weight, torch.zeros(3, 5), rtol=0, atol=1e-4)
    torch.testing.assert_close(surplus.sum(0), torch.zeros(3), rtol=0, atol=1e-4)


def test_stm_starts_as_the_probed_tsn(make_video: VideoWriter, tmp_path: Path) -> None:
    """Features of a plain ResNet and the fitted classifier, by hand, beside the network."""
    torch.manual_seed(0)
    tsn = build_model("tsn_resnet18", num_classes=2, num_frames=8).eval()
    trunk = tsn.state_dict().items()
    weights = {name: t.contiguous() for name, t in trunk if not name.startswith("fc.")}
    save_file(weights, tmp_path / "trunk.safetensors")
    movie = make_video("movie.mp4", num_frames=16)
    clips = ClipList((Clip(movie, 0), Clip(movie, 1, start_frame=4)), ("first", "second"))
    stm = build_model("stm_resnet18", num_classes=2, num_frames=8).eval()
    stm.load_state_dict(probed_start(tmp_path / "trunk.safetensors", clips))

    preprocessing = Preprocessing(num_frames=8, short_side=256, crop_size=224)
    frames = preprocessing.center_view(read_center(clips.clips[0], preprocessing))
    given: list[Tensor] = []
    tsn.fc.register_forward_hook(lambda _fc, inputs, _logits: given.append(inputs[0]))
    with torch.no_grad():
        batch = preprocessing.normalize(frames)[None]
        tsn(batch)
        by_hand = given[0].reshape(-1, 512).mean(0) @ stm.fc.weight.T + stm.fc.bias
        torch.testing.assert_close(stm(batch)[0], by_hand, rtol=1e-4, atol=1e-4)
