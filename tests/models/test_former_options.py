"""Files of older versions, whose configs spell options' values by their former names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stmnet.errors import RecipeError, UnknownModelError
from stmnet.models.stm_variants import StandardTemporalConv, StandardTransform
from stmnet.models.zoo import build_model
from stmnet.recognizer import METADATA_KEY, ModelConfig, load
from stmnet.runs.recipe import load_recipe
from stmnet.runs.resuming import compare_recipes

FORMER = {
    "kernels": "learnt",
    "cstm_temporal": "ordinary",
    "cstm_spatial": "ordinary",
    "cmm_transform": "ordinary",
}
PRESENT = {
    "kernels": "learned",
    "cstm_temporal": "standard",
    "cstm_spatial": "standard",
    "cmm_transform": "standard",
}
LABELS = ("up", "down")


def former_config() -> dict[str, Any]:
    """What version 0.1 wrote beside a network's weights, letter by letter."""
    return {
        "model": "stm_resnet18",
        "label_names": ["up", "down"],
        "preprocessing": {
            "num_frames": 2,
            "short_side": 36,
            "crop_size": 32,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "options": {"width": 8, "reduction": 2, "dropout": 0.0, **FORMER},
    }


@pytest.fixture
def former_weights() -> dict[str, torch.Tensor]:
    network = build_model(
        "stm_resnet18", num_classes=2, num_frames=2, width=8, reduction=2, dropout=0.0, **PRESENT
    )
    weights: dict[str, torch.Tensor] = network.state_dict()
    return weights


def save_former(path: Path, weights: dict[str, torch.Tensor]) -> None:
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(contiguous, path, metadata={METADATA_KEY: json.dumps(former_config())})


def test_weights_of_an_older_version_load(
    tmp_path: Path, former_weights: dict[str, torch.Tensor]
) -> None:
    save_former(tmp_path / "model.safetensors", former_weights)
    recognizer = load(tmp_path / "model.safetensors")
    own = recognizer.network.state_dict()
    assert own.keys() == former_weights.keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in former_weights.items())
    block = recognizer.network.get_submodule("layer1.0")
    assert isinstance(block.conv2.temporal, StandardTemporalConv)
    assert isinstance(block.cmm.transform, StandardTransform)
    # and what is saved from now on has the present names
    assert recognizer.config.options == {"width": 8, "reduction": 2, "dropout": 0.0, **PRESENT}


def test_a_training_checkpoint_of_an_older_version_loads(
    tmp_path: Path, former_weights: dict[str, torch.Tensor]
) -> None:
    content = {
        "state_dict": {f"network.{name}": tensor for name, tensor in former_weights.items()},
        METADATA_KEY: former_config(),
    }
    torch.save(content, tmp_path / "last.ckpt")
    recognizer = load(tmp_path / "last.ckpt")
    assert isinstance(recognizer.network.layer1[0].conv2.temporal, StandardTemporalConv)


def test_a_config_goes_around_and_comes_back_as_it_was() -> None:
    config = ModelConfig.from_dict(former_config())
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("option", FORMER)
def test_build_model_takes_former_values(option: str) -> None:
    built = build_model("stm_resnet18", num_classes=2, width=8, **{option: FORMER[option]})
    present = build_model("stm_resnet18", num_classes=2, width=8, **{option: PRESENT[option]})
    assert str(built) == str(present)


def test_a_former_value_is_that_of_its_own_options_only() -> None:
    with pytest.raises(UnknownModelError, match="fusion is 'ordinary'. Give 'sum' or 'concat'"):
        build_model("stm_resnet18", num_classes=2, fusion="ordinary")
    with pytest.raises(UnknownModelError, match="kernels is 'ordinary'. Give 'learned' or"):
        build_model("stm_resnet18", num_classes=2, kernels="ordinary")
    with pytest.raises(UnknownModelError, match="cstm_temporal='standard' contradicts"):
        build_model("stm_resnet18", num_classes=2, kernels="frequency", cstm_temporal="ordinary")


def test_a_run_of_an_older_version_is_resumed_by_todays_recipe(tmp_path: Path) -> None:
    run, today, other = (tmp_path / f"{name}.yaml" for name in ("run", "today", "other"))
    text = "model: {{name: stm_resnet18, options: {{cstm_temporal: {}}}}}\n"
    run.write_text(text.format("ordinary"))
    today.write_text(text.format("standard"))
    other.write_text(text.format("channelwise"))
    assert load_recipe(run).model.options == {"cstm_temporal": "standard"}
    assert compare_recipes(load_recipe(today), run) == ()
    with pytest.raises(RecipeError, match="model.options"):
        compare_recipes(load_recipe(other), run)
