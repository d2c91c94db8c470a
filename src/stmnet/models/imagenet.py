"""Which public file holds the ImageNet weights of a network's trunk, and where it lies here."""

from __future__ import annotations

from pathlib import Path

import torch

from stmnet.errors import CheckpointError

# torchvision has no Res2Net; this is the file of timm's release, whose names are TEA's.
RES2NET50_URL = (
    "https://github.com/huggingface/pytorch-image-models/releases/download/"
    "v0.1-res2net/res2net50_26w_4s-06e79181.pth"
)


def imagenet_file(name: str) -> Path:
    """The file of ImageNet weights for the trunk of the network `name`, downloaded if need be.

    It is looked for, and kept, where torchvision keeps its own. Raises `CheckpointError` where
    there are no such weights, or no network to have them from.
    """
    url = imagenet_url(name)
    file_name = url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file_name
    if path.is_file():
        return path
    # The published names end in the first digits of the file's hash.
    hash_prefix = Path(file_name).stem.rsplit("-", 1)[-1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix)
    except (OSError, RuntimeError) as e:
        raise CheckpointError(
            f"{file_name}, the ImageNet weights of {name}'s trunk, cannot be downloaded "
            f"({' '.join(str(e).split())}). Get {url} elsewhere and put it into {path.parent}."
        ) from e
    return path


def imagenet_url(name: str) -> str:
    """Where the ImageNet weights for the trunk of the network `name` are published.

    Paper silent: which. Of torchvision's ResNets these are the first weights, trained as He et al.
    did, which were the only ones when the paper was written.
    """
    from torchvision.models import get_model_weights, list_models

    trunk = name.rsplit("_", 1)[-1]
    if trunk == "res2net50":
        return RES2NET50_URL
    if trunk not in list_models():
        raise CheckpointError(
            f"{name}: its trunk is BN-Inception, of which neither torchvision nor timm has "
            "ImageNet weights. Start from weights of its own, pretrained=PATH, or from none."
        )
    url: str = get_model_weights(trunk)["IMAGENET1K_V1"].url
    return url
