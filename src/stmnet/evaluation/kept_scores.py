"""Per-view scores in a file, piece by piece: a killed test goes on, and several share the work.

While a test runs, every piece is a file of its own in the folder `FILE.pieces`. Whoever finds them
all there joins them into FILE and removes the folder. The bytes of FILE are the same whoever scored
which piece, and when.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_safetensors
from torch import Tensor

from stmnet.datasets.clip_list import ClipList
from stmnet.errors import ScoresError
from stmnet.evaluation.options import WHOLE, Shard
from stmnet.evaluation.scoring import Scoring, cut_into_pieces, targets_of
from stmnet.files import replaceable
from stmnet.recognizer import METADATA_KEY, Recognizer
from stmnet.runs.list_summary import digest_of_clips, relative_names

Identity = dict[str, str]
"""What scores are of: digests of the network and of the list of clips, dtype, views, seed."""

DIFFERENCES = {"network": "another network", "clips": "another list of clips"}


def identify(recognizer: Recognizer, clip_list: ClipList, scoring: Scoring) -> Identity:
    """What the scores depend on, whatever the files' names and the machine."""
    plan = scoring.plan
    identity = {
        "network": digest_of_network(recognizer),
        "clips": digest_of_clips(clip_list),
        "dtype": recognizer.dtype,
        "views": str(plan),
    }
    if plan.num_random_clips:
        identity |= {"sampling": plan.sampling, "seed": str(scoring.seed)}
    return identity


def short_digest(identity: Identity) -> str:
    """Eight letters that no other identity is likely to have, for names of files."""
    return hashlib.sha256(_as_json(identity)).hexdigest()[:8]


def digest_of_network(recognizer: Recognizer) -> str:
    """SHA-256 of the config and of all weights."""
    digest = hashlib.sha256(_as_json(recognizer.config.to_dict()))
    for name, tensor in sorted(recognizer.network.state_dict().items()):
        digest.update(_as_json([name, str(tensor.dtype), list(tensor.shape)]))
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class KeptScores:
    """The scores of a split, in a file or on the way there."""

    def __init__(
        self, path: Path, clip_list: ClipList, scoring: Scoring, identity: Identity
    ) -> None:
        self.path = path
        self.folder = path.with_name(f"{path.name}.pieces")
        self.clip_list = clip_list
        self.scoring = scoring
        self.identity = identity
        self.pieces = cut_into_pieces(len(clip_list.clips), scoring.plan)

    @property
    def is_whole(self) -> bool:
        """Whether the file is there. Raises `ScoresError` where it holds other scores."""
        if not self.path.is_file():
            return False
        self._validate(self.path)
        return True

    def missing(self, shard: Shard = WHOLE) -> list[range]:
        """The pieces of a shard's part that are not there.

        Raises `ScoresError` where what is there are other scores.
        """
        if self.is_whole:
            return []
        part = self.pieces[shard.number - 1 :: shard.total]
        there = [piece for piece in part if self._path_of(piece).is_file()]
        for piece in there:
            self._validate(self._path_of(piece))
        return [piece for piece in part if piece not in there]

    def keep(self, piece: range, scores: Tensor) -> None:
        """Write the scores (clips of the piece, views, K) float32."""
        self._write(self._path_of(piece), {"scores": scores}, {})

    def join(self) -> None:
        """Make the file, if every piece is there and nobody else has made it."""
        try:
            if not self.is_whole and not self.missing():
                self._join()
        except (FileNotFoundError, ScoresError):
            # Another process may have joined the pieces meanwhile, and removed their folder.
            if not self.is_whole:
                raise
        if self.is_whole:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _join(self) -> None:
        scores = torch.cat([_read(self._path_of(piece)) for piece in self.pieces])
        self._write(
            self.path,
            {"scores": scores, "targets": targets_of(self.clip_list)},
            {
                "label_names": list(self.clip_list.label_names),
                "videos": relative_names(self.clip_list),
            },
        )

    def read(self) -> Tensor:
        """All scores: (clips, views, K) float32."""
        self._validate(self.path)
        return _read(self.path)

    def _path_of(self, piece: range) -> Path:
        return self.folder / f"{piece.start:07d}-{piece.stop:07d}.safetensors"

    def _write(self, path: Path, tensors: dict[str, Tensor], more: dict[str, list[str]]) -> None:
        # One entry of metadata: several would come in another order every time.
        metadata = {METADATA_KEY: _as_json(self.identity | more).decode()}
        unfinished = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            target = replaceable(path)
            # Under a name of its own: several processes may write the same file.
            unfinished = target.with_name(f".{uuid4().hex}.partial")
            # Not `save_file`, whose files only their owner may read.
            unfinished.write_bytes(as_safetensors(tensors, metadata=metadata))
            unfinished.replace(target)
        except OSError as e:
            with suppress(OSError):
                if unfinished is not None:
                    unfinished.unlink()
            raise ScoresError(
                f"{path}: cannot be written ({e}). Make room there, or give scores another file."
            ) from e

    def _validate(self, path: Path) -> None:
        """Raise `ScoresError` where a file holds other scores than those of this test."""
        try:
            with safe_open(path, framework="pt") as file:
                found = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
        except FileNotFoundError:
            raise
        except (OSError, SafetensorError, ValueError) as e:
            raise ScoresError(
                f"{path}: not a file of scores ({e}). Delete it and test again."
            ) from e
        if found is None:
            raise ScoresError(f"{path}: not a file of scores. Give scores another file.")
        differing = [
            DIFFERENCES.get(name, f"{name} {found.get(name)}, not {asked}")
            for name, asked in self.identity.items()
            if found.get(name) != asked
        ]
        if differing:
            raise ScoresError(
                f"{path}: its scores are of {' and of '.join(differing)}. "
                "Delete it, or give scores another file."
            )


def _read(path: Path) -> Tensor:
    with safe_open(path, framework="pt") as file:
        scores: Tensor = file.get_tensor("scores")
    return scores


def _as_json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True).encode()
