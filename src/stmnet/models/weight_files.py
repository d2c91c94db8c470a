"""Where the weights of a recognizer lie, by name or path. Without torch: errors come at once."""

from __future__ import annotations

from pathlib import Path
from zipfile import is_zipfile

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
    reason = "no such file"
    if is_folder(path):
        if (path / RUN_WEIGHTS).is_file():
            return path / RUN_WEIGHTS
        if checkpoints := sorted(path.glob("*.ckpt")):
            raise CheckpointError(
                f"{path / RUN_WEIGHTS}: no such file: the run is not finished. Let it finish, or "
                f"give {' or '.join(map(str, checkpoints))}."
            )
        reason = f"not a run's folder (no {RUN_WEIGHTS} in it)"
    elif is_file(path):
        return path
    raise CheckpointError(
        f"{path}: {reason}. Give a checkpoint, a run's folder, or one of: {', '.join(PACKAGED)}."
    )


def validate_checkpoint(path: Path) -> None:
    """Raise `CheckpointError` for a file that can be neither safetensors nor `torch.save`'s."""
    if path.suffix != ".safetensors" and not is_zipfile(path):
        raise CheckpointError(
            f"{path}: not a checkpoint of tensors and plain values. Give a .safetensors or .ckpt "
            "file."
        )
