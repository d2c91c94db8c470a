"""Checkpoints that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from stmnet.errors import CheckpointError
from stmnet.files import atomic_write
from stmnet.models.weights import read_checkpoint_file
from stmnet.runs.run_files import LAST_CHECKPOINT, PREVIOUS_CHECKPOINT


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name, flushes to the disk, then renames.

    Lightning's own way writes into the system's temporary folder, from where a move to another
    disk is a copy that a killed run leaves half done. The last checkpoint but one is kept.
    """

    def save_checkpoint(
        self,
        checkpoint: Mapping[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as unfinished:
                with unfinished.open("wb") as file:
                    torch.save(dict(checkpoint), file)
                    file.flush()
                    os.fsync(file.fileno())
                if path.name == LAST_CHECKPOINT and path.exists():
                    _keep_as(path.with_name(PREVIOUS_CHECKPOINT), path)
        except (OSError, RuntimeError) as e:
            # Of a full disk torch only says that its archive is not as long as it should be.
            reason = e.strerror if isinstance(e, OSError) else "disk full?"
            remedy = "make room and start again with another output."
            if any(path.parent.glob("*.ckpt")):
                remedy = "the checkpoint before it is whole. Make room and go on with resume=True."
            raise CheckpointError(f"{path}: cannot be written ({reason}); {remedy}") from e


def _keep_as(kept: Path, path: Path) -> None:
    # A second name for the file, so that the first is there at every moment.
    second_name = kept.with_name(f".{kept.name}.partial")
    second_name.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system gives a file two names
        second_name.hardlink_to(path)
        second_name.replace(kept)
        return
    path.replace(kept)


class MovableCheckpoint(ModelCheckpoint):
    """Knows its best score again where the run's folder was moved.

    Lightning's own forgets it, and any epoch would then overwrite the best one's checkpoint. It is
    forgotten only where that checkpoint is gone or cannot be read.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        folder = Path(self.dirpath)

        def here(path: str) -> str:
            return str(folder / Path(path).name) if path else ""

        try:
            read_checkpoint_file(Path(here(state_dict["best_model_path"])))
        except CheckpointError:
            return
        kept = {here(path): score for path, score in state_dict["best_k_models"].items()}
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        super().load_state_dict(
            state_dict | moved | {"dirpath": self.dirpath, "best_k_models": kept}
        )


def validate_again(checkpoint: dict[str, Any]) -> None:
    """Make a checkpoint of a half-done validation one of a validation that is yet to come.

    Lightning would go on after the batches that are done, but with the first ones of its loader.
    Its loop takes one as interrupted whose batch was started and not processed.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
    progress["total"]["processed"] = progress["total"]["completed"]
    progress["current"] = dict.fromkeys(progress["current"], 0)
    progress["is_last_batch"] = False
