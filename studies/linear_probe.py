"""A classifier fitted to what a trunk gives before any fine-tuning, for STM to start from.

Fine-tuning from a classifier drawn at random moves the trunk before the classifier knows anything,
and of few clips it learns little but these. So the classifier is fitted first, on still features
(Kumar et al., Fine-Tuning can Distort Pretrained Features, ICLR 2022), and STM starts as the TSN
that gave them: its temporal kernels pass on the frame itself, and CMM adds nothing.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_center
from stmnet.datasets.clip_list import ClipList
from stmnet.models.stm import ChannelwiseTemporalConv
from stmnet.models.weights import load_backbone
from stmnet.models.zoo import build_model

PREPROCESSING = Preprocessing(num_frames=8, short_side=256, crop_size=224)
PENALTY = 0.01
# Beside what all features vary by on average: one that hardly varies is not blown up.
FLOOR = 0.05


def probed_start(weights: Path, clip_list: ClipList) -> dict[str, Tensor]:
    """Weights of an STM-18 that answers as a linear probe on TSN-18's features does.

    `weights`: of the trunk, without a classifier. What `clip_list` has of each class counts as
    much. Raises `VideoError`.
    """
    num_classes = len(clip_list.label_names)
    tsn = trunk_of("tsn_resnet18", weights, num_classes)
    view = PREPROCESSING.center_view
    frames_of_clips = (view(read_center(clip, PREPROCESSING)) for clip in clip_list.clips)
    # (N, 2, C): every clip and its mirror image
    features = torch.stack([clip_features(tsn, frames) for frames in frames_of_clips])
    labels = torch.tensor([clip.label for clip in clip_list.clips]).repeat_interleave(2)

    stm = trunk_of("stm_resnet18", weights, num_classes)
    for module in stm.modules():
        if isinstance(module, ChannelwiseTemporalConv):
            nn.init.dirac_(module.weight.data.squeeze(-1), groups=module.channels)
    stm.fc.weight.data, stm.fc.bias.data = fit(features.flatten(0, 1), labels, num_classes)
    return {name: tensor.contiguous() for name, tensor in stm.state_dict().items()}


def trunk_of(name: str, weights: Path, num_classes: int) -> nn.Module:
    """A network of the zoo on the trunk's weights."""
    network = build_model(name, num_classes=num_classes, num_frames=PREPROCESSING.num_frames)
    load_backbone(network, str(weights), name=name)
    return network.eval()


@torch.no_grad()
def clip_features(network: nn.Module, frames: Tensor) -> Tensor:
    """(T, 3, H, W) uint8 -> what the classifier of TSN is given, mean over time, of the frames and
    of their mirror images: (2, C).
    """
    given: list[Tensor] = []
    hook = network.fc.register_forward_hook(lambda _fc, inputs, _logits: given.append(inputs[0]))
    clip = PREPROCESSING.normalize(frames)
    network(torch.stack([clip, clip.flip(-1)]))  # (2, T, 3, H, W)
    hook.remove()
    return given[0].unflatten(0, (2, -1)).flatten(1, -2).mean(dim=1)


def fit(features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Logistic regression with an L2 penalty, every class of the same weight.

    (N, C), (N,) -> weight (K, C) and bias (K,) for the features as they are; inside they are
    standardized.
    """
    mean, deviation = features.double().mean(0), features.double().std(0)
    scale = deviation + FLOOR * deviation.mean()
    inputs = (features.double() - mean) / scale
    of_class = 1 / torch.bincount(labels, minlength=num_classes).double()

    weight = torch.zeros(num_classes, features.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(inputs, weight, bias), labels, of_class)
        loss = loss + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    weight, bias = weight.detach(), bias.detach()
    weight = weight / scale
    return weight.float(), (bias - weight @ mean).float()
