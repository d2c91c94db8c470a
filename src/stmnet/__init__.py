"""Recognize actions in video with STM: spatiotemporal and motion features in a 2D network.

The public names are imported when they are first used, so that `import stmnet` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stmnet.data.preprocessing import Preprocessing
    from stmnet.models.optimize import optimize
    from stmnet.models.zoo import build_model, list_models
    from stmnet.recognizer import ModelConfig, Prediction, Recognizer, load
    from stmnet.video.frames import read_frames

__version__ = "0.1.0"

__all__ = [
    "ModelConfig",
    "Prediction",
    "Preprocessing",
    "Recognizer",
    "build_model",
    "list_models",
    "load",
    "optimize",
    "read_frames",
]

_HOMES = {
    "ModelConfig": "stmnet.recognizer",
    "Prediction": "stmnet.recognizer",
    "Preprocessing": "stmnet.data.preprocessing",
    "Recognizer": "stmnet.recognizer",
    "build_model": "stmnet.models.zoo",
    "list_models": "stmnet.models.zoo",
    "load": "stmnet.recognizer",
    "optimize": "stmnet.models.optimize",
    "read_frames": "stmnet.video.frames",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stmnet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
