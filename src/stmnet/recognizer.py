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

    `model` is one of `stmnet.list_models()`, and `options` are that network's. `label_names` are in
    the order of the network's scores, K of them. `preprocessing` says how many frames a clip has,
    how large they are, and their mean and standard deviation.

    >>> import stmnet
    >>> config = stmnet.ModelConfig(
    ...     model="stm_resnet18",
    ...     label_names=("jump", "sit down", "wave"),
    ...     preprocessing=stmnet.Preprocessing(num_frames=8, short_side=128, crop_size=112),
    ...     options={"modules": "cstm"},
    ... )
    >>> network = config.build()  # fresh weights
    >>> stmnet.ModelConfig.from_dict(config.to_dict()) == config
    True
    """

    model: str
    label_names: tuple[str, ...]
    preprocessing: Preprocessing
    options: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The network with fresh weights: (N, T, 3, crop, crop) float32 -> logits (N, K).

        Raises `UnknownModelError` for a name or an option that the zoo does not have.
        """
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

    `video` is its path. `top` holds (label name, probability) pairs, the likeliest first, with
    probabilities from 0 to 1; `warnings` what was wrong with the video and did not stop it from
    being read, a line each.

    >>> import stmnet
    >>> prediction = stmnet.load("motion")("samples/closing_something.mp4", top_k=2)
    >>> prediction.label
    'Closing something'
    >>> [(name, round(probability, 2)) for name, probability in prediction.top]
    [('Closing something', 0.84), ('Opening something', 0.16)]
    >>> prediction.warnings
    ()
    """

    video: str
    top: tuple[tuple[str, float], ...]
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The likeliest label's name."""
        return self.top[0][0]


class Recognizer:
    """A network that recognizes videos, with the names of its labels and its preprocessing.

    `network` takes clips (N, T, 3, H, W), normalized, to logits (N, K). It stays as it is given, in
    evaluation mode, and is what `save` writes. What recognizes is an optimized copy of it on the
    same device, made at the first call: what changes in `network` later, it does not see.

    `dtype` is what that copy computes in: "float32", whose probabilities are those of `network`
    (1e-4), or "fast", which is bfloat16 or float16 where the machine is good at it.

    >>> import stmnet
    >>> recognizer = stmnet.load("motion")
    >>> recognizer("samples/closing_something.mp4").label
    'Closing something'
    >>> view = recognizer.read_view("samples/closing_something.mp4")  # (T, 3, crop, crop) uint8
    >>> recognizer.probabilities(view.unsqueeze(0)).shape  # one clip, twelve labels
    torch.Size([1, 12])

    Raises `ValueError` for another `dtype`.
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
        """Recognize the center view of a video file or of a folder of numbered images.

        The `top_k` likeliest labels are returned, all where there are fewer. A video that ends too
        early is recognized from what is there, with a warning.

        Raises `VideoError` for one that cannot be read, or has one frame only: that shows no
        motion; `CheckpointError` for scores that are NaN or infinite; `ValueError` for a `top_k`
        below 1.
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
                    f"{video}: has only one frame; recognizing an action needs at least two. "
                    "Give a video."
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

        Raises `TypeError` for other numbers, of which nothing says what white is, and `ValueError`
        for another shape, or for no clips.
        """
        if clips.ndim != 5 or clips.shape[2] != 3 or 0 in clips.shape:
            raise ValueError(
                f"clips are {tuple(clips.shape)}: give (N, T, 3, H, W), none of them 0."
            )
        if clips.dtype != torch.uint8:
            raise TypeError(f"clips are {clips.dtype}: give uint8 from 0 to 255.")
        return self.config.preprocessing.normalize(clips.to(self.device))

    @torch.no_grad()
    def probabilities(self, clips: Tensor) -> Tensor:
        """Softmax scores: (N, T, 3, H, W) uint8 -> (N, K) float32 on the CPU, rows sum to one.

        Raises `TypeError` for clips of another type.
        """
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
                # Not `save_file`, whose files only their owner may read.
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

    Files are those that stmnet writes: .safetensors, or a training checkpoint (.ckpt), of which
    nothing but tensors and plain values is unpickled. `dtype` is what it computes in, as of
    `Recognizer`; `device` is by default a GPU where there is one.

    >>> import stmnet
    >>> recognizer = stmnet.load("motion", device="cpu")
    >>> len(recognizer.config.label_names)
    12
    >>> recognizer("samples/turning_something_clockwise.mp4").label
    'Turning something clockwise'

    Raises `CheckpointError` for a path without such weights, for a file that is damaged or not
    stmnet's, and for weights that do not fit their config; `ValueError` for another `dtype`.
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
        parsed = ModelConfig.from_dict(config)
        network = parsed.build()
        network.load_state_dict(state_dict)
    except (KeyError, TypeError, ValueError, RuntimeError) as e:
        reason = (str(e).splitlines() or [""])[0]
        raise CheckpointError(f"{path}: its config and its weights do not fit ({reason}).") from e
    network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Recognizer(network, parsed, dtype=dtype)
