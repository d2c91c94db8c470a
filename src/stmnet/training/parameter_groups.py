"""Which parameters learn at which rate, and which decay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from stmnet.runs.recipe import OptimizerRecipe

# What the TSN/TSM line multiplies the learning rate and the weight decay by. The paper states no
# such thing. That line also clips the gradients' norm at 20, which is a key of its own here.
TSN_FACTORS = {
    "weights": (1.0, 1.0),
    "biases": (2.0, 0.0),
    "batch norms": (1.0, 0.0),
    "classifier weights": (5.0, 1.0),
    "classifier biases": (10.0, 0.0),
}


def parameter_groups(
    network: nn.Module, recipe: OptimizerRecipe, learning_rate: float
) -> list[dict[str, Any]]:
    """The groups that an optimizer takes; the first has the plain learning rate."""
    if recipe.policy == "plain":
        return [{"params": list(network.parameters())}]
    groups: dict[str, list[nn.Parameter]] = {kind: [] for kind in TSN_FACTORS}
    for kind, parameter in _kinds(network):
        groups[kind].append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * TSN_FACTORS[kind][0],
            "weight_decay": recipe.weight_decay * TSN_FACTORS[kind][1],
        }
        for kind, parameters in groups.items()
        if parameters
    ]


def _kinds(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Each parameter once, with its kind. The classifier is called `fc` in every network."""
    for module_name, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, _BatchNorm):
                yield "batch norms", parameter
            else:
                kind = "biases" if name == "bias" else "weights"
                yield f"classifier {kind}" if module_name == "fc" else kind, parameter
