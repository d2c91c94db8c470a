"""Batch normalization folded into the convolution before it: in inference both are one linear map.

Which convolution stands before which batch normalization is read from the networks' structure:
neighbors in an `nn.Sequential`, and the pairs that a block's class is known to have. A batch
normalization that belongs to no such pair stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from stmnet.models.eco import ResidualBlock3d
from stmnet.models.resnet import BasicBlock, Bottleneck, ResNet
from stmnet.models.stm import CMM, STMBasicBlock
from stmnet.models.stm_variants import ChannelwiseCSTM, Concatenation
from stmnet.models.tea import MotionExcitation, TEABottleneck

# Names of a convolution and of the batch normalization that alone reads it.
PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    ResNet: (("conv1", "bn1"),),
    BasicBlock: (("conv1", "bn1"), ("conv2", "bn2")),
    Bottleneck: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    CMM: (("reduce", "bn"),),
    MotionExcitation: (("reduce", "bn_reduced"), ("expand", "bn_expanded")),
    # Its first batch normalization stands before the convolutions, and stays.
    ResidualBlock3d: (("conv1", "bn2"),),
    TEABottleneck: (
        ("conv1", "bn1"),
        *((f"convs.{part}", f"bns.{part}") for part in range(3)),
        ("conv3", "bn3"),
    ),
}


def fold_batch_norms(network: nn.Module) -> None:
    """Fold, in place, every batch normalization that is sure to follow a convolution.

    An `nn.Identity` stands where it was. Only its stored statistics are used, so that the network
    is one for inference from then on.
    """
    for module in network.modules():
        if isinstance(module, STMBasicBlock) and module.cmm is not None:
            fold_fused(module, module.cmm)
        for conv, bn in pairs(module):
            fold(module, conv, bn)


def pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Names, inside of `module`, of convolutions with the batch normalization behind them."""
    if isinstance(module, nn.Sequential):
        names = [name for name, _ in module.named_children()]
        yield from pairwise(names)
    for module_type, named in PAIRS.items():
        if isinstance(module, module_type):
            yield from named


def fold(module: nn.Module, conv_name: str, bn_name: str) -> None:
    """Fold one pair of `module`, if it is one: an ablation may have put something in its place."""
    conv, bn = module.get_submodule(conv_name), module.get_submodule(bn_name)
    if isinstance(conv, ChannelwiseCSTM):
        conv = conv.spatial
    if not isinstance(conv, nn.Conv2d | nn.Conv3d) or not isinstance(
        bn, nn.BatchNorm2d | nn.BatchNorm3d
    ):
        return
    assert bn.running_mean is not None
    assert bn.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    module.set_submodule(bn_name, nn.Identity())


def fold_fused(block: STMBasicBlock, cmm: CMM) -> None:
    """The block's second batch normalization reads CSTM and CMM fused, not a convolution alone.

    Behind a sum it goes into both of the convolutions that are summed, its shift into one of them
    only. A concatenation ends in a convolution of its own.
    """
    if isinstance(block.fusion, Concatenation):
        fold(block, "fusion.mix", "bn2")
        return
    variance, weight = block.bn2.running_var, block.bn2.weight
    assert variance is not None
    with torch.no_grad():
        cmm.restore.weight *= (weight / (variance + block.bn2.eps).sqrt()).view(-1, 1, 1, 1)
    fold(block, "conv2", "bn2")
