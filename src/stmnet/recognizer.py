"""A network with its label names and its preprocessing: what a user loads, calls and saves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import safe_open
from safetensors.torch import save as as_safetensors
from torch import Tensor, nn

from stmnet.data.preprocessing import Preprocessing
from stmnet.data.reading import read_clip
from stmnet.data.sampling import center_segment_indices
from stmnet.datasets.clip_list import UNLABELED, Clip
from stmnet.errors import CheckpointError, VideoError
from stmnet.files import atomic_write
from stmnet.models.optimize import optimize
from stmnet.models.stm_options import migrate_options
from stmnet.models.weight_files import find_weights
from stmnet.models.weights import read_checkpoint_file
from stmnet.models.zoo import build_model

METADATA_KEY = "stmnet"

# "float32" gives the network's own scores; "fast" is what the machine is good at (`fast_dtype`).
InferenceDtype = Literal["float32", "fast"]


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed, beside the weights, to recognize a video; stored with the weights.

    `label_names` are in the order of the network's scores.
    """

    model: str
    label_names: tuple[str, ...]
    preprocessing: Preprocessing
    options: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The network with fresh weights."""
        return build_model(
            self.model,
            num_classes=len(self.label_names),
            num_frames=self.preprocessing.num_frames,
            **self.options,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON and for checkpoints."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`; configs of older files, too."""
        preprocessing = dict(plain["preprocessing"])
        preprocessing["mean"] = tuple(preprocessing["mean"])
        preprocessing["std"] = tuple(preprocessing["std"])
        return cls(
            model=plain["model"],
            label_names=tuple(plain["label_names"]),
            preprocessing=Preprocessing(**preprocessing),
            options=migrate_options(plain["options"]),
        )


@dataclass(frozen=True)
class Prediction:
    """What a recognizer says of one video.

    `top` holds (label name, probability) pairs, the likeliest first; `warnings` what was wrong
    with the video and did not stop it from being read.
    """

    video: str
    top: tuple[tuple[str, float], ...]
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The likeliest label's name."""
        return self.top[0][0]


class Recognizer:
    """A network that recognizes videos: `recognizer("clip.mp4").label`.

    `network` stays as it is given, and is what `save` writes. What recognizes is an optimized copy
    of it on the same device, made at the first call: what changes in `network` later, it does not
    see. In float32 its probabilities are those of `network` (1e-4). Raises `ValueError` for a
    `dtype` that is none of `InferenceDtype`.
    """

    def __init__(
        self, network: nn.Module, config: ModelConfig, *, dtype: InferenceDtype = "float32"
    ) -> None:
        if dtype not in get_args(InferenceDtype):
            raise ValueError(f"dtype {dtype!r}: give one of {', '.join(get_args(InferenceDtype))}.")
        self.network = network.eval()
        self.config = config
        self.dtype = dtype

    @cached_property
    def _quick(self) -> nn.Module:
        # Not compiled: that would work for a minute at every new size of a batch.
        return optimize(self.network, dtype="fast" if self.dtype == "fast" else torch.float32)

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.network.parameters()).device

    def __call__(self, video: str | Path, top_k: int = 5) -> Prediction:
        """Recognize the center view of a video file.

        A video that ends too early is recognized from what is there, with a warning. Raises
        `VideoError` for one that cannot be read, or has one frame only: that shows no motion;
        `ValueError` for a `top_k` below 1.
        """
        if top_k < 1:
            raise ValueError(f"top_k {top_k}: give at least 1.")
        video = Path(video)
        warnings: list[str] = []
        frames = self.read_view(video, remark=warnings.append)
        probabilities = self.probabilities(frames.unsqueeze(0))[0]
        if not probabilities.isfinite().all():
            raise CheckpointError(
                f"{video}: the network's scores are NaN or infinite: training diverged. Lower "
                "optimizer.learning_rate and train again."
            )
        top = probabilities.topk(min(top_k, len(self.config.label_names)))
        names = [self.config.label_names[label] for label in top.indices.tolist()]
        return Prediction(
            str(video), tuple(zip(names, top.values.tolist(), strict=True)), tuple(warnings)
        )

    def read_view(
        self, video: str | Path, *, remark: Callable[[str], None] = lambda line: None
    ) -> Tensor:
        """The center view of a video: (T, 3, crop, crop) uint8, as `probabilities` takes it.

        The file is opened once. `remark` is called with one line on a video that is not whole.
        Raises `VideoError` as a call does.
        """
        preprocessing = self.config.preprocessing

        def choose_indices(num_frames: int) -> list[int]:
            if num_frames == 1:
                raise VideoError(
                    f"{video}: has one frame only, and motion needs two. Give a video."
                )
            return center_segment_indices(num_frames, preprocessing.num_frames)

        frames = read_clip(
            Clip(Path(video), UNLABELED),
            choose_indices,
            by_time=preprocessing.by_time,
            remark=remark,
        )
        return preprocessing.center_view(frames)

    def network_input(self, clips: Tensor) -> Tensor:
        """Clips as `network` takes them, on its device: (N, T, 3, H, W) uint8 -> float32.

        Raises `TypeError` for other numbers, of which nothing says what white is.
        """
        if clips.dtype != torch.uint8:
            raise TypeError(f"clips are {clips.dtype}: give uint8 from 0 to 255.")
        return self.config.preprocessing.normalize(clips.to(self.device))

    @torch.no_grad()
    def probabilities(self, clips: Tensor) -> Tensor:
        """Softmax scores: (N, T, 3, H, W) uint8 -> (N, K) float32 on the CPU, rows sum to one."""
        logits: Tensor = self._quick(self.network_input(clips))
        return logits.softmax(dim=1).cpu()

    def save(self, path: str | Path) -> Path:
        """Write the weights, with the config inside, as safetensors; whole or not at all.

        Raises `CheckpointError` where that cannot be, or the name does not end in .safetensors.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise CheckpointError(f"{path}: weights are safetensors. End the name in .safetensors.")
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        try:
            with atomic_write(path) as unfinished:
                config = json.dumps(self.config.to_dict())
                # Not by `save_file`, whose files no one but their owner may read.
                unfinished.write_bytes(as_safetensors(tensors, metadata={METADATA_KEY: config}))
        except OSError as e:
            raise CheckpointError(
                f"{path}: cannot be written ({e.strerror}). Make room there."
            ) from e
        return path


def load(
    name_or_path: str | Path,
    *,
    dtype: InferenceDtype = "float32",
    device: str | torch.device | None = None,
) -> Recognizer:
    """Load a recognizer: "motion" (comes with the package), a file of weights, or a run's folder.

    Files are those that stmnet writes: .safetensors, or a training checkpoint (.ckpt). `dtype` is
    what it computes in; `device` is by default a GPU where there is one. Raises `CheckpointError`,
    and `ValueError` as `Recognizer` does.
    """
    path = find_weights(name_or_path)
    state_dict = read_checkpoint_file(path)
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
    else:
        config = state_dict.get(METADATA_KEY)
        state_dict = {
            name.removeprefix("network."): tensor
            for name, tensor in state_dict.get("state_dict", {}).items()
        }
    if config is None:
        raise CheckpointError(f"{path}: weights without stmnet's config. Give a file it wrote.")
    try:
        recognizer = Recognizer(
            (parsed := ModelConfig.from_dict(config)).build(), parsed, dtype=dtype
        )
        recognizer.network.load_state_dict(state_dict)
    except (KeyError, TypeError, RuntimeError) as e:
        reason = (str(e).splitlines() or [""])[0]
        raise CheckpointError(f"{path}: its config and its weights do not fit ({reason}).") from e
    recognizer.network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return recognizer
