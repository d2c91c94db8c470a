"""Where the weights of a recognizer lie, by name or path. Without torch: errors come at once."""

from __future__ import annotations

from pathlib import Path

from stmnet.errors import CheckpointError
from stmnet.files import is_file, is_folder, packaged_file

RUN_WEIGHTS = "model.safetensors"
"""The name of a finished run's weights in its folder."""

PACKAGED = ("motion",)
"""The recognizers that come with stmnet."""


def find_weights(name_or_path: str | Path) -> Path:
    """The file of weights of a packaged recognizer, of a run's folder, or the file itself.

    Raises `CheckpointError` where there is none.
    """
    if str(name_or_path) in PACKAGED:
        return packaged_file(f"weights/{name_or_path}.safetensors")
    path = Path(name_or_path)
    if is_folder(path):
        checkpoints = sorted(path.glob("*.ckpt"))
        path = path / RUN_WEIGHTS
        if checkpoints and not path.is_file():
            raise CheckpointError(
                f"{path}: no such file: the run is not finished. Let it finish, or give "
                f"{' or '.join(map(str, checkpoints))}."
            )
    if not is_file(path):
        raise CheckpointError(
            f"{path}: no such file. Give a checkpoint, a run's folder, or one of: "
            f"{', '.join(PACKAGED)}."
        )
    return path
