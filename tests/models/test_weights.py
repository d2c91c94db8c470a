"""Weights by name from files, what is said of them, and what is said where they do not belong."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from stmnet.cli.printing import show_notes
from stmnet.data.preprocessing import Preprocessing
from stmnet.errors import CheckpointError
from stmnet.models.imagenet import imagenet_url
from stmnet.models.stm import ChannelwiseTemporalConv
from stmnet.models.weights import load_backbone
from stmnet.models.zoo import build_model
from stmnet.recognizer import METADATA_KEY, ModelConfig, Recognizer


@cache
def torchvision_weights(depth: int) -> dict[str, Tensor]:
    """As torchvision's files have them, of random numbers."""
    weights: dict[str, Tensor] = getattr(torchvision.models, f"resnet{depth}")().state_dict()
    return weights


def timm_res2net50() -> dict[str, Tensor]:
    """Names and shapes of timm's res2net50_26w_4s, of random numbers."""
    weights: dict[str, Tensor] = {}

    def conv(name: str, *shape: int) -> None:
        weights[f"{name}.weight"] = torch.randn(shape)

    def norm(name: str, channels: int) -> None:
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{name}.{tensor}"] = torch.rand(channels)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", 64, 3, 7, 7)
    norm("bn1", 64)
    in_channels = 64
    for stage, (num_blocks, width) in enumerate(
        zip((3, 4, 6, 3), (26, 52, 104, 208), strict=True), start=1
    ):
        out_channels = 128 * 2**stage
        for block in range(num_blocks):
            name = f"layer{stage}.{block}"
            conv(f"{name}.conv1", 4 * width, in_channels, 1, 1)
            norm(f"{name}.bn1", 4 * width)
            for part in range(3):
                conv(f"{name}.convs.{part}", width, width, 3, 3)
                norm(f"{name}.bns.{part}", width)
            conv(f"{name}.conv3", out_channels, 4 * width, 1, 1)
            norm(f"{name}.bn3", out_channels)
            if block == 0:
                conv(f"{name}.downsample.0", out_channels, in_channels, 1, 1)
                norm(f"{name}.downsample.1", out_channels)
            in_channels = out_channels
    conv("fc", 1000, 2048)
    weights["fc.bias"] = torch.randn(1000)
    return weights


def equal_tensors(model: torch.nn.Module, weights: dict[str, Tensor]) -> set[str]:
    own = model.state_dict()
    return {name for name in weights if name in own and torch.equal(own[name], weights[name])}


def test_a_file_of_torchvision_weights_fills_the_trunk_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stmnet")
    source = torchvision_weights(18)
    path = tmp_path / "resnet18.pth"
    torch.save(source, path)
    model = build_model("stm_resnet18", num_classes=5, pretrained=str(path))
    assert set(source) - equal_tensors(model, source) == {"fc.weight", "fc.bias"}
    # ResNet-18 has 20 convolutions and 20 batch norms of 5 tensors. Of its 8 blocks each has one
    # temporal convolution, and in CMM 3 convolutions and a batch norm.
    assert caplog.messages == [
        f"{path}: 120 tensors loaded; newly initialized: temporal parts (72 tensors), "
        "classifier (5 classes; the file's has 1000)"
    ]
    as_safetensors = tmp_path / "resnet18.safetensors"
    save_file(source, as_safetensors)
    for name in ("tsn_resnet18", "tsm_resnet18"):
        model = build_model(name, num_classes=1000, pretrained=str(as_safetensors))
        assert equal_tensors(model, source) == set(source)
        assert caplog.messages[-1] == (
            f"{as_safetensors}: 122 tensors loaded, the classifier with them; "
            "newly initialized: nothing"
        )


def test_res2net_weights_by_timms_names_fill_the_trunk_of_tea(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stmnet")
    source = timm_res2net50()
    torch.save({"state_dict": source, "epoch": 3}, tmp_path / "res2net50_26w_4s.pth")
    model = build_model(
        "tea_res2net50", num_classes=5, pretrained=str(tmp_path / "res2net50_26w_4s.pth")
    )
    assert set(source) - equal_tensors(model, source) == {"fc.weight", "fc.bias"}
    # A block has 4 temporal convolutions, and in ME 3 convolutions and 2 batch norms.
    assert "temporal parts (272 tensors), classifier (5 classes" in caplog.messages[-1]


def test_a_2d_networks_kernels_are_inflated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stmnet")
    torch.save(torchvision_weights(50), tmp_path / "resnet50.pth")
    build_model("i3d_resnet50", num_classes=5, pretrained=str(tmp_path / "resnet50.pth"))
    # The stem, and 3 + 2 + 3 + 1 first convolutions of blocks.
    (message,) = caplog.messages
    assert "318 tensors loaded; inflated along time: 10 kernels; newly initialized: cl" in message


@pytest.mark.parametrize("kind", ["folder", "safetensors", "ckpt", "ddp"])
def test_fine_tuning_from_a_run_replaces_the_head(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.INFO, "stmnet")
    names = tuple(f"kinetics {label}" for label in range(7))
    config = ModelConfig("stm_resnet18", names, Preprocessing(8, 256, 224), {"width": 8})
    trained = Recognizer(config.build(), config)
    weights = trained.network.state_dict()
    path = trained.save(tmp_path / "model.safetensors")
    if kind == "folder":
        given = tmp_path
    elif kind == "safetensors":
        given = path
    else:
        prefix = {"ckpt": "network.", "ddp": "module."}[kind]
        path = given = tmp_path / "last.ckpt"
        wrapped = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
        torch.save({"state_dict": wrapped, METADATA_KEY: config.to_dict(), "epoch": 3}, given)
    model = build_model("stm_resnet18", num_classes=5, width=8, pretrained=str(given))
    assert set(weights) - equal_tensors(model, weights) == {"fc.weight", "fc.bias"}
    assert caplog.messages == [
        f"{path}: {len(weights) - 2} tensors loaded; "
        "newly initialized: classifier (5 classes; the file's has 7)"
    ]


@pytest.mark.parametrize("fusion", ["sum", "concat"])
@pytest.mark.parametrize("depth", [18, 50])
def test_a_trained_trunks_features_are_as_they_were(
    tmp_path: Path, depth: int, fusion: str
) -> None:
    tsn = build_model(f"tsn_resnet{depth}", num_classes=5, width=8).eval()
    with torch.no_grad():
        for name, buffer in tsn.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 1.5)
    path = tmp_path / "tsn.pth"
    torch.save(tsn.state_dict(), path)
    stm = build_model(
        f"stm_resnet{depth}", num_classes=5, width=8, fusion=fusion, pretrained=str(path)
    ).eval()
    for module in stm.modules():
        if isinstance(module, ChannelwiseTemporalConv):  # each frame as it is
            module.weight.data = torch.zeros_like(module.weight).index_fill(2, torch.tensor(1), 1)
    clips = torch.randn(2, 8, 3, 32, 32)
    torch.testing.assert_close(stm(clips), tsn(clips), atol=1e-5, rtol=1e-5)


def test_the_command_line_shows_what_was_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(torchvision_weights(18), tmp_path / "r18.pth")
    with show_notes("stderr"):
        build_model("tsn_resnet18", num_classes=5, pretrained=str(tmp_path / "r18.pth"))
    assert f"{tmp_path}/r18.pth: 120 tensors loaded; newly init" in capsys.readouterr().err


def test_what_a_network_has_no_use_for_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stmnet")
    stm = build_model("stm_resnet18", num_classes=5, width=8).state_dict()
    torch.save({"module.network." + name: tensor for name, tensor in stm.items()}, tmp_path / "a")
    build_model("tsn_resnet18", num_classes=5, width=8, pretrained=str(tmp_path / "a"))
    assert "not used: 72 (layer1.0.conv2.temporal.weight, ...)" in caplog.messages[-1]


def test_weights_of_another_trunk_are_refused(tmp_path: Path) -> None:
    for depth in (18, 34):
        torch.save(torchvision_weights(depth), tmp_path / f"r{depth}.pth")
    shallow, deep = str(tmp_path / "r18.pth"), str(tmp_path / "r34.pth")
    with pytest.raises(
        CheckpointError, match=r"r18\.pth: missing weights: layer1\.2\.conv1\.weight .*depth"
    ):
        build_model("tsn_resnet34", num_classes=5, pretrained=shallow)
    # Every tensor of ResNet-18 has its equal in a ResNet-34, and would load.
    with pytest.raises(CheckpointError, match=r"r34\.pth: unexpected weights: layer1\.2, .*depth"):
        build_model("stm_resnet18", num_classes=5, pretrained=deep)
    with pytest.raises(
        CheckpointError, match=r"r18\.pth: shape mismatch: conv1\.weight is \(64, 3, 7, 7\).*width"
    ):
        build_model("tsn_resnet18", num_classes=5, width=8, pretrained=shallow)


def test_files_without_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: no such file"):
        build_model("tsn_resnet18", num_classes=5, pretrained=str(tmp_path / "none.pth"))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file"):
        build_model("tsn_resnet18", num_classes=5, pretrained=str(tmp_path))
    torch.save({"epoch": 3}, tmp_path / "empty.ckpt")
    with pytest.raises(CheckpointError, match=r"empty\.ckpt: holds no weights"):
        build_model("tsn_resnet18", num_classes=5, pretrained=str(tmp_path / "empty.ckpt"))


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which torchvision keeps its downloads, empty, on a machine without network."""

    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("stm_resnet18", "resnet18-f37072fd.pth"),
        ("tsm_resnet50", "resnet50-0676ba61.pth"),
        ("i3d_resnet50", "resnet50-0676ba61.pth"),
        ("tea_res2net50", "res2net50_26w_4s-06e79181.pth"),
    ],
)
def test_imagenet_without_a_network_says_which_file_goes_where(
    checkpoints: Path, name: str, file: str
) -> None:
    with pytest.raises(CheckpointError) as error:
        build_model(name, num_classes=5, width=8, pretrained="imagenet")
    message = str(error.value)
    assert message.startswith(f"{file}, the ImageNet weights of {name}'s trunk, cannot be")
    assert "Name or service not known" in message
    assert message.endswith(f"/{file} elsewhere and put it into {checkpoints}.")
    assert "\n" not in message


def test_imagenet_from_a_file_that_lies_there(
    checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stmnet")
    checkpoints.mkdir(parents=True)
    source = torchvision_weights(18)
    torch.save(source, checkpoints / "resnet18-f37072fd.pth")
    model = build_model("tsn_resnet18", num_classes=5, pretrained="imagenet")
    assert set(source) - equal_tensors(model, source) == {"fc.weight", "fc.bias"}
    assert caplog.messages[-1].startswith(
        "ImageNet weights resnet18-f37072fd.pth: 120 tensors loaded; "
        "newly initialized: classifier (5 classes"
    )
    (checkpoints / "resnet18-f37072fd.pth").write_bytes(b"half a downl")
    with pytest.raises(CheckpointError, match=r"resnet18-f37072fd\.pth: not a checkpoint"):
        build_model("tsn_resnet18", num_classes=5, pretrained="imagenet")


def test_imagenet_is_downloaded_and_its_hash_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, str]] = []

    def download(url: str, path: str, hash_prefix: str) -> None:
        asked.append((url, hash_prefix))
        torch.save(timm_res2net50(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for _ in range(2):
        model = build_model("tea_res2net50", num_classes=5)
        report = load_backbone(model, "imagenet", name="tea_res2net50")
    assert asked == [(imagenet_url("tea_res2net50"), "06e79181")]
    assert report.source == "ImageNet weights res2net50_26w_4s-06e79181.pth"


@pytest.mark.parametrize("name", ["eco_full", "eco_lite"])
def test_eco_has_no_imagenet_weights(name: str) -> None:
    with pytest.raises(
        CheckpointError, match=rf"{name}: its trunk is BN-Inception.*torchvision nor"
    ):
        build_model(name, num_classes=5, pretrained="imagenet")


def test_eco_starts_from_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    source = build_model("eco_full", num_classes=7, width=8).state_dict()
    torch.save(source, tmp_path / "eco.pth")
    model = build_model("eco_full", num_classes=5, width=8, pretrained=str(tmp_path / "eco.pth"))
    assert set(source) - equal_tensors(model, source) == {"fc.weight", "fc.bias"}
