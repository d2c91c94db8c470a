"""Something-Something v2's lists, as published and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stmnet.data.datasets import read_split
from stmnet.data.datasets.something import MIRRORED, read_something_v2
from stmnet.data.records import ClipList
from stmnet.errors import DatasetError

LABELS = {"Opening something": "1", "Closing something": "0"}
ENTRIES = [
    {"id": "7", "label": "opening a box", "template": "Opening [something]"},
    {"id": "3", "label": "closing a door", "template": "Closing [something]"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    (tmp_path / "train.json").write_text(json.dumps(ENTRIES))
    (tmp_path / "test-answers.csv").write_text("3;Closing something\n")
    (tmp_path / "videos").mkdir()
    for video_id in ("7", "3"):
        (tmp_path / "videos" / f"{video_id}.webm").touch()
    return tmp_path


def test_lists_as_published(root: Path) -> None:
    clip_list = read_something_v2(root, "train")
    assert clip_list.label_names == ("Closing something", "Opening something")
    assert [(clip.video.name, clip.label) for clip in clip_list.clips] == [
        ("7.webm", 1),
        ("3.webm", 0),
    ]
    test = read_something_v2(root, "test")
    assert [(clip.video.name, clip.label) for clip in test.clips] == [("3.webm", 0)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.json", "{}", "list is empty|not in"),
        ("labels.json", "[1", "labels.json: not valid JSON"),
        ("labels.json", "[]", "labels.json: holds no JSON object"),
        ("labels.json", '{"Opening something": "0", "Closing something": "2"}', "not 0 to 1"),
        ("train.json", "{}", "train.json: holds no JSON array"),
        ("train.json", "[]", "the train list is empty"),
        ("train.json", '[{"id": "7"}]', 'train.json: entry 1 has no "id" or no "template"'),
        (
            "train.json",
            '[{"id": "7", "template": "Eating [something]"}]',
            "7 has the label 'Eating something', which is not in",
        ),
        (
            "train.json",
            '[{"id": "8", "template": "Opening [something]"}]',
            "no video 8 there",
        ),
    ],
)
def test_damaged_lists_are_named(root: Path, name: str, content: str, message: str) -> None:
    (root / name).write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_something_v2(root, "train")


def test_a_wrong_line_is_named_with_its_number(root: Path) -> None:
    (root / "test-answers.csv").write_text("3;Closing something\n7,Opening something\n")
    with pytest.raises(DatasetError, match=r"test-answers\.csv:2: expected `id;label`"):
        read_something_v2(root, "test")


def test_missing_lists_and_unknown_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no labels\.json there. Set data\.root"):
        read_something_v2(tmp_path, "train")
    with pytest.raises(DatasetError, match=r"unknown data set 'ssv2'. Known: motion, something_v2"):
        read_split("ssv2", tmp_path, "train")


def test_published_labels_and_their_mirrors(shared: Path, tmp_path: Path) -> None:
    lists = shared / "annotations" / "ssv2"
    labels = json.loads((lists / "something-something-v2-labels.json").read_text())
    entries = json.loads((lists / "something-something-v2-validation.json").read_text())
    (tmp_path / "videos").mkdir()
    for entry in entries[:50]:
        (tmp_path / "videos" / f"{entry['id']}.webm").touch()
    (tmp_path / "something-something-v2-labels.json").write_text(json.dumps(labels))
    (tmp_path / "validation.json").write_text(json.dumps(entries[:50]))
    clip_list = read_something_v2(tmp_path, "validation")
    assert len(clip_list.label_names) == 174
    for clip, entry in zip(clip_list.clips, entries[:50], strict=True):
        name = entry["template"].replace("[", "").replace("]", "")
        assert clip.label == int(labels[name])

    # FACTS: by id the pairs of v2 are 86:87, 93:94, 166:167, and nothing else moves.
    mirrored = ClipList((), clip_list.label_names, MIRRORED).mirrored_labels()
    moved = {label: partner for label, partner in enumerate(mirrored) if label != partner}
    assert moved == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}
