"""Weights by name from files, and what is said where they do not belong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from stmnet.errors import CheckpointError
from stmnet.models.zoo import build_model


def test_a_file_of_torchvision_weights_fills_the_trunk(tmp_path: Path) -> None:
    source = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(source, tmp_path / "resnet18.pth")
    model = build_model("stm_resnet18", num_classes=5, pretrained=str(tmp_path / "resnet18.pth"))
    own = model.state_dict()
    same = [name for name in source if name in own and torch.equal(own[name], source[name])]
    assert set(source) - set(same) == {"fc.weight", "fc.bias"}


def test_weights_of_another_depth_or_width_are_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "r18.pth")
    with pytest.raises(CheckpointError, match=r"has no layer1\.2\.conv1\.weight .*same depth"):
        build_model("tsn_resnet34", num_classes=5, pretrained=str(tmp_path / "r18.pth"))
    with pytest.raises(CheckpointError, match=r"conv1\.weight is \(64, 3, 7, 7\).*depth and width"):
        build_model("tsn_resnet18", num_classes=5, width=8, pretrained=str(tmp_path / "r18.pth"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: no such file"):
        build_model("tsn_resnet18", num_classes=5, pretrained=str(tmp_path / "none.pth"))


def test_imagenet_without_a_network_says_which_file_goes_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"Put resnet18-\w+\.pth into .*checkpoints"):
        build_model("stm_resnet18", num_classes=5, pretrained="imagenet")


def test_imagenet_from_a_file_that_lies_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    source = torchvision.models.resnet18(weights=None).state_dict()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(source, tmp_path / "hub" / "checkpoints" / weights.url.rsplit("/", 1)[-1])
    # The published file's hash is part of its name; this one has none to check.
    monkeypatch.setattr(torch.hub, "HASH_REGEX", torch.hub.re.compile("never"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = build_model("tsn_resnet18", num_classes=5, pretrained="imagenet")
    assert torch.equal(model.state_dict()["conv1.weight"], source["conv1.weight"])
