"""Most of an ImageNet ResNet-18, from weights whose batch norms are folded: to fine-tune from.

    python -m studies.partial_imagenet ../shared/videos/ucf101 --out runs/imagenet.safetensors

The file is then what a recipe takes as `model.pretrained`. Folded weights are one convolution with
a bias; training wants the batch norm back. Its statistics are measured on real frames, and its
scale and shift chosen so that the two together are the folded convolution again. The file has no
weights of layer4's four 3x3 convolutions: they start fresh, as torchvision draws them, and with
them layer4's own batch norms, of which the last in each block starts at zero: at first layer4
passes on its shortcut, which is trained. Alone the shortcut is faint, and a classifier on it would
hardly learn: it is made stronger. The file's classifier, which stood on all of layer4, is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18

from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_center
from stmnet.datasets.clip_list import UNLABELED, Clip
from stmnet.video.video_paths import find_videos

FOLDED = Path(__file__).parents[2] / "shared" / "weights" / "resnet18_imagenet_bnfolded_partial.npz"


def restore(folded: Path, frames: Tensor, *, seed: int = 0) -> dict[str, Tensor]:
    """Weights of a ResNet-18 by torchvision's names, without the classifier.

    `frames`: (N, 3, H, W), normalized; the batch norms' statistics are measured on them. `seed`
    draws what `folded` does not have. In evaluation, every other convolution and its batch norm
    give what the folded convolution gives; in training they do so as far as the batch resembles
    `frames`. layer4's shortcut gives a multiple: layer4's features are then 1 on average.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = resnet18(weights=None).eval()
    with np.load(folded) as file:
        arrays = {name: torch.from_numpy(array) for name, array in file.items()}
    for name, conv, norm in convolutions(network):
        if f"{name}.weight" in arrays:
            conv.weight.data = arrays[f"{name}.weight"]
            conv.register_forward_hook(partial(measure, norm, arrays[f"{name}.bias"]))
        elif name.endswith("conv2"):
            nn.init.zeros_(norm.weight)
    outputs: list[Tensor] = []
    network.layer4.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    with torch.no_grad():
        network(frames)
        shortcut = network.layer4[0].downsample[1]
        shortcut.weight /= outputs[0].mean()
        shortcut.bias /= outputs[0].mean()
    weights = network.state_dict()
    return {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}


def convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d, nn.BatchNorm2d]]:
    """Names of the convolutions, and each with the batch norm behind it: conv1 and bn1, 0 and 1."""
    for name, conv in network.named_modules():
        if isinstance(conv, nn.Conv2d):
            parent, _, own = name.rpartition(".")
            norm_name = "1" if own == "0" else own.replace("conv", "bn")
            norm = network.get_submodule(f"{parent}.{norm_name}".lstrip("."))
            assert isinstance(norm, nn.BatchNorm2d)
            yield name, conv, norm


@torch.no_grad()
def measure(
    norm: nn.BatchNorm2d, bias: Tensor, conv: nn.Module, inputs: tuple[Tensor], features: Tensor
) -> None:
    """Set the batch norm by what the convolution gives: it undoes itself, and adds `bias`.

    A forward hook on the convolution: what comes behind already sees the result.
    """
    variance, mean = torch.var_mean(features, dim=(0, 2, 3))
    norm.running_mean = mean
    norm.running_var = variance
    norm.weight.data = (variance + norm.eps).sqrt()
    norm.bias.data = bias + mean


def middle_frames(videos: Sequence[Path], num_frames: int = 128) -> Tensor:
    """A frame from the middle of each of so many videos, evenly spread over the list.

    (N, 3, 224, 224), normalized. Raises `VideoError`.
    """
    picked = np.linspace(0, len(videos) - 1, min(num_frames, len(videos)))
    preprocessing = Preprocessing(num_frames=1, short_side=256, crop_size=224)
    view = preprocessing.center_view
    frames = [
        view(read_center(Clip(videos[number], UNLABELED), preprocessing))
        for number in picked.round().astype(int)
    ]
    return preprocessing.normalize(torch.cat(frames))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+", help="files, or folders of them")
    parser.add_argument("--folded", type=Path, default=FOLDED, help="the .npz file")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--num-frames", type=int, default=128, help="measured on (default 128)")
    arguments = parser.parse_args()

    frames = middle_frames(find_videos(arguments.videos), arguments.num_frames)
    weights = restore(arguments.folded, frames)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, arguments.out)
    print(f"{arguments.out}: {len(weights)} tensors, measured on {len(frames)} frames.")
    print("Fresh, and silent: the 3x3 convolutions of layer4 and their batch norms. No classifier.")


if __name__ == "__main__":
    main()
