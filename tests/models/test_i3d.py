"""I3D, made of 2D operators over frames, against the same network of 3D ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from stmnet.models.i3d import InflatedPointwise
from stmnet.models.zoo import build_model
from stmnet.profiling.complexity import measure

# FACTS: 3x1x1 kernels in alternating blocks.
ALTERNATING = ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0))


def settled(num_frames: int) -> nn.Module:
    torch.manual_seed(3)
    model = build_model("i3d_resnet50", num_classes=7, num_frames=num_frames, width=8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.double().eval()


def as_3d(kernel: Tensor) -> Tensor:
    """(C', C, T, H, W) of a weight, which has time as its rows, in the stem as groups of RGB."""
    if kernel.shape[2:] == (7, 7):
        return kernel.unflatten(1, (5, 3)).transpose(1, 2)
    if kernel.shape[2:] == (3, 1):
        return kernel.unsqueeze(-1)
    return kernel.unsqueeze(2)


def reference(weights: dict[str, Tensor], clips: Tensor) -> Tensor:
    """I3D from its description, on (N, C, T, H, W), by 3D convolutions and pools."""

    def conv_bn(x: Tensor, conv: str, bn: str, stride: int = 1) -> Tensor:
        kernel = as_3d(weights[f"{conv}.weight"])
        padding = tuple(size // 2 for size in kernel.shape[2:])
        x = F.conv3d(x, kernel, stride=(1, stride, stride), padding=padding)
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weights[f"{bn}.{kind}"] for kind in kinds))

    x = conv_bn(clips.transpose(1, 2), "conv1", "bn1", stride=2).relu()
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage, blocks in enumerate(ALTERNATING):
        if stage == 1:
            x = F.max_pool3d(x, (3, 1, 1), (2, 1, 1), (1, 0, 0))
        for index, inflated in enumerate(blocks):
            block = f"layer{stage + 1}.{index}"
            kernel = as_3d(weights[f"{block}.conv1.weight"])
            assert kernel.shape[2:] == (3 if inflated else 1, 1, 1)
            stride = 2 if index == 0 and stage in (1, 2) else 1
            y = conv_bn(x, f"{block}.conv1", f"{block}.bn1").relu()
            y = conv_bn(y, f"{block}.conv2", f"{block}.bn2", stride).relu()
            y = conv_bn(y, f"{block}.conv3", f"{block}.bn3")
            if index == 0:
                x = conv_bn(x, f"{block}.downsample.0", f"{block}.downsample.1", stride)
            x = (x + y).relu()
    return F.linear(x.mean(dim=(2, 3, 4)), weights["fc.weight"], weights["fc.bias"])


@torch.no_grad()
@pytest.mark.parametrize(("num_frames", "size"), [(1, 32), (5, 45), (8, 33)])
def test_it_is_the_network_of_3d_operators(num_frames: int, size: int) -> None:
    model = settled(num_frames)
    clips = torch.randn(2, num_frames, 3, size, size + 3, dtype=torch.float64)
    expected = reference(model.state_dict(), clips)
    assert expected.std() > 1e-3
    torch.testing.assert_close(model(clips), expected, rtol=1e-9, atol=1e-9)


def test_size_and_cost() -> None:
    cost = measure("i3d_resnet50", num_classes=400, num_frames=32)
    resnet = 23_508_032 + 2048 * 400 + 400
    inflation, inputs = 4 * 3 * 64 * 49, 64
    for stage, blocks in enumerate(ALTERNATING):
        for inflated in blocks:
            inflation += inflated * 2 * inputs * 64 * 2**stage
            inputs = 256 * 2**stage
    assert cost.parameters == resnet + inflation
    assert cost.parameters / 1e6 == pytest.approx(28.0, rel=0.01)  # Table 4
    assert cost.macs / 1e9 == pytest.approx(153, rel=0.01)  # Table 4: 306/2


def test_weights_of_a_2d_resnet_are_inflated(tmp_path: Path) -> None:
    source = torchvision.models.resnet50(weights=None).state_dict()
    torch.save(source, tmp_path / "resnet50.pth")
    model = build_model("i3d_resnet50", num_classes=5, pretrained=str(tmp_path / "resnet50.pth"))
    own = model.state_dict()
    for name, kernel in source.items():
        if name.startswith("fc."):
            continue
        if own[name].shape == kernel.shape:
            assert torch.equal(own[name], kernel), name
        else:
            in_3d = as_3d(own[name])
            assert in_3d.shape[2] == (5 if name == "conv1.weight" else 3)
            torch.testing.assert_close(in_3d.sum(dim=2), kernel)
            assert (in_3d == in_3d[:, :, :1]).all()
    assert own["layer4.1.conv1.weight"].shape == (512, 2048, 3, 1)


def test_an_inflated_kernel_gives_a_still_clip_what_its_picture_gave() -> None:
    flat = nn.Conv2d(6, 4, 1, bias=False).double()
    conv = InflatedPointwise(6, 4, num_frames=5).double()
    conv.weight.data = conv.inflate(flat.weight.data)
    picture = torch.randn(1, 6, 3, 4, dtype=torch.float64)
    still = conv(picture.repeat(5, 1, 1, 1))
    torch.testing.assert_close(still[1:4], flat(picture).expand(3, -1, -1, -1))
