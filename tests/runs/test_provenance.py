"""A run goes on with the lists of clips that it was started with, wherever they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stmnet.datasets.clip_list import Clip, ClipList
from stmnet.errors import CheckpointError, DatasetError
from stmnet.runs.list_summary import digest_of_clips
from stmnet.runs.provenance import describe_run, read_run
from stmnet.runs.recipe import DataRecipe, Recipe


def clips_in(root: Path) -> ClipList:
    names = ("left/a.mp4", "left/b.mp4", "right/a.mp4")
    clips = tuple(Clip(root / name, place // 2, place) for place, name in enumerate(names))
    return ClipList(clips, ("left", "right"))


def test_moved_data_are_the_same_and_an_altered_list_is_refused() -> None:
    recipe = Recipe(data=DataRecipe(root="/data/set"))
    lists = {"train": clips_in(Path("/data/set")), "validation": clips_in(Path("/data/set"))}
    before = describe_run(recipe, lists, world_size=1, machine={}, before=None)
    told = before["data"]["validation"]
    assert told == {"clips": 3, "digest": digest_of_clips(lists["validation"])}, "as scores say it"

    moved_recipe = Recipe(data=DataRecipe(root="/disk/copy"))
    moved = dict.fromkeys(lists, clips_in(Path("/disk/copy")))
    again = describe_run(moved_recipe, moved, world_size=1, machine={}, before=before)
    assert len(again["sessions"]) == 2

    first, *others = lists["validation"].clips
    altered = replace(lists["validation"], clips=(replace(first, end_frame=9), *others))
    message = "the validation list is not what the run was started with .3 clips, and 3 then"
    with pytest.raises(DatasetError, match=message):
        describe_run(
            recipe, lists | {"validation": altered}, world_size=1, machine={}, before=before
        )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": {}}'])
def test_a_run_json_that_training_did_not_write_is_told(tmp_path: Path, text: str) -> None:
    assert read_run(tmp_path) is None
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"run\.json: not as training wrote it"):
        read_run(tmp_path)
