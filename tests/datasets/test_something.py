"""Something-Something's lists, as published and damaged: v1's csv files, v2's JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stmnet.datasets.clip_list import UNLABELED, ClipList
from stmnet.datasets.something import MIRRORED, read_something_v1, read_something_v2
from stmnet.datasets.splits import read_split
from stmnet.errors import DatasetError

LABELS = {"Opening something": "1", "Closing something": "0"}
ENTRIES = [
    {"id": "7", "label": "opening a box", "template": "Opening [something]"},
    {"id": "3", "label": "closing a door", "template": "Closing [something]"},
]
CHANGED_BY_A_FLIP = {
    ("Pulling something from left to right", "Pulling something from right to left"),
    ("Pushing something from left to right", "Pushing something from right to left"),
    (
        "Turning the camera left while filming something",
        "Turning the camera right while filming something",
    ),
}


def moved(clip_list: ClipList) -> dict[int, int]:
    """The class ids that a flip changes."""
    labels = enumerate(clip_list.mirrored_labels())
    return {label: partner for label, partner in labels if label != partner}


def moved_names(clip_list: ClipList) -> set[tuple[str, str]]:
    names = clip_list.label_names
    return {(names[label], names[partner]) for label, partner in moved(clip_list).items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    (tmp_path / "train.json").write_text(json.dumps(ENTRIES, indent=1))
    (tmp_path / "test.json").write_text(json.dumps([{"id": "3"}]))
    (tmp_path / "videos").mkdir()
    for video_id in ("7", "3"):
        (tmp_path / "videos" / f"{video_id}.webm").touch()
    return tmp_path


def test_v2_as_published(root: Path) -> None:
    clip_list = read_something_v2(root, "train")
    assert clip_list.label_names == ("Closing something", "Opening something")
    assert [(clip.video.name, clip.label) for clip in clip_list.clips] == [
        ("7.webm", 1),
        ("3.webm", 0),
    ]


def test_a_test_list_has_labels_once_its_answers_are_there(root: Path) -> None:
    assert [clip.label for clip in read_something_v2(root, "test").clips] == [UNLABELED]
    assert len(read_split("something_v2", root, "test", labeled=False).clips) == 1
    with pytest.raises(DatasetError, match=r"the test list has no labels.*such as validation"):
        read_split("something_v2", root, "test")
    (root / "test-answers.csv").write_text("3;Closing something\n")
    assert [clip.label for clip in read_split("something_v2", root, "test").clips] == [0]


@pytest.mark.parametrize("template", [None, [], {}, 5, True, ["Opening [something]"]])
def test_a_template_is_text(root: Path, template: object) -> None:
    (root / "train.json").write_text(
        "[\n"
        + ",\n".join(json.dumps(e) for e in (*ENTRIES, ENTRIES[0] | {"template": template}))
        + "]"
    )
    with pytest.raises(
        DatasetError, match=r"train\.json:4: entry 3 has no \"id\" or no \"template\""
    ):
        read_split("something_v2", root, "train")


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (None, 'entry 2 has no "id"'),
        (["7"], 'entry 2 has no "id"'),
        (7.5, 'entry 2 has no "id"'),
        ("", "'' is not a valid file name"),
        ("7\0", r"'7\\x00' is not a valid file name"),
        ("\ud800/7", r"'\\ud800/7' is not a valid file name"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_id_is_a_name(root: Path, split: str, video: object, message: str) -> None:
    (root / f"{split}.json").write_text(json.dumps([ENTRIES[1], ENTRIES[0] | {"id": video}]))
    with pytest.raises(DatasetError, match=rf"{split}\.json:1: {message}"):
        read_split("something_v2", root, split, labeled=False)


def test_a_list_of_other_labels_is_told_line_by_line(root: Path) -> None:
    entries = [{"id": str(n), "template": "Eating [something]"} for n in range(20_000)]
    (root / "train.json").write_text(json.dumps(entries, indent=1))
    wrong: list[str] = []
    assert not read_something_v2(root, "train", wrong.append).clips
    assert len(wrong) == 20_000
    # Four lines each, after the first.
    assert wrong[-1].startswith(f"{root / 'train.json'}:{2 + 4 * 19_999}: video 19999 has")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.json", "{}", r"train\.json:2: .*not among the 0 labels"),
        ("labels.json", "[1", "labels.json: not valid JSON"),
        ("labels.json", "[]", "labels.json: not a JSON object"),
        ("labels.json", '{"Opening something": "0", "Closing something": "2"}', "not 0 to 1"),
        (
            "labels.json",
            '{"Opening something": "x"}',
            "the id of 'Opening something' is 'x', not a whole",
        ),
        ("labels.json", '{"Opening something": 1e999}', "'Opening something' is inf, not a whole"),
        ("labels.json", '{"Opening something": 0.9}', "'Opening something' is 0.9, not a whole"),
        ("labels.json", '{"Opening something": null}', "'Opening something' is None, not a whole"),
        (
            "labels.json",
            '{"a":' * 100_000,
            r"labels\.json: not a valid list: brackets nested",
        ),
        (
            "labels.json",
            f'{{"a": {"1" * 5_000}}}',
            r"labels\.json: not a valid list: .*of digits",
        ),
        ("train.json", "[" * 100_000, r"train\.json: not a valid list: brackets nested too deep"),
        ("train.json", f'[{{"id": {"1" * 5_000}}}]', r"train\.json: not a valid list: .*of digits"),
        ("train.json", "{}", "train.json: not a JSON array"),
        ("train.json", "[]", "the train list is empty"),
        ("train.json", '[{"id": "7"}]', 'train.json:1: entry 1 has no "id" or no "template"'),
        (
            "train.json",
            '[\n{"id": "7", "template": "Opening [something]"},\n\n {"id": "3"}]',
            r"train\.json:4: entry 2 has no",
        ),
        (
            "train.json",
            '[\n{"id": "7", "template": "Eating [something]"}]',
            r"train\.json:2: video 7 has the label 'Eating something', which is not among",
        ),
        (
            "train.json",
            '[{"id": "8", "template": "Opening [something]"}]',
            r"none of the 1 videos of the train list is there, the first: .*videos/8\.webm",
        ),
    ],
)
def test_damaged_lists_are_named(root: Path, name: str, content: str, message: str) -> None:
    (root / name).write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_split("something_v2", root, "train")


def test_a_wrong_line_is_named_with_its_number(root: Path) -> None:
    (root / "test-answers.csv").write_text("3;Closing something\n7,Opening something\n")
    with pytest.raises(DatasetError, match=r"test-answers\.csv:2: expected `id;label`"):
        read_something_v2(root, "test")


def test_missing_lists_and_unknown_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no labels\.json there. Set root"):
        read_something_v2(tmp_path, "train")
    with pytest.raises(DatasetError, match=r"unknown data set 'ssv2'. Known: motion, something_v1"):
        read_split("ssv2", tmp_path, "train")
    with pytest.raises(DatasetError, match="unknown split 'valid'. Known: train, validation, test"):
        read_split("motion", tmp_path, "valid")


def test_v2s_published_lists_and_mirrors(shared: Path, tmp_path: Path) -> None:
    lists = shared / "annotations" / "ssv2"
    (tmp_path / "labels").symlink_to(lists)
    entries = json.loads((lists / "something-something-v2-validation.json").read_text())
    labels = json.loads((lists / "something-something-v2-labels.json").read_text())
    (tmp_path / "videos").mkdir()
    for entry in entries[:50]:
        (tmp_path / "videos" / f"{entry['id']}.webm").touch()
    clip_list = read_something_v2(tmp_path, "validation")
    assert len(clip_list.label_names) == 174
    assert (len(clip_list.clips), len(clip_list.missing)) == (50, 24_777 - 50)
    for clip, entry in zip(clip_list.clips, entries[:50], strict=True):
        name = entry["template"].replace("[", "").replace("]", "")
        assert clip.label == int(labels[name])
    assert len(read_something_v2(tmp_path, "test").missing) == 27_157 - len(
        {entry["id"] for entry in entries[:50]}
        & {entry["id"] for entry in json.loads(next(lists.glob("*test.json")).read_text())}
    )
    # FACTS: by id the pairs of v2 are 86:87, 93:94, 166:167, and nothing else moves.
    assert moved(clip_list) == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}


@pytest.mark.parametrize(
    ("order", "pairs"),
    [("category.txt", {86: 87, 93: 94, 166: 167}), ("label_map.txt", {2: 4, 30: 41, 52: 66})],
)
def test_v1s_mirrors_in_both_published_orders(
    shared: Path, tmp_path: Path, order: str, pairs: dict[int, int]
) -> None:
    published = (shared / "annotations" / "ssv1" / order).read_text()
    (tmp_path / "something-something-v1-labels.csv").write_text(published)
    upright = "Putting something upright on the table"
    pulled = "Plugging something into something but pulling it right out as you remove your hand"
    (tmp_path / "something-something-v1-train.csv").write_text(f"12;{upright}\n9;{pulled}\n")
    frames = tmp_path / "20bn-something-something-v1"
    (frames / "12").mkdir(parents=True)
    (frames / "9").mkdir()

    clip_list = read_split("something_v1", tmp_path, "train")
    assert clip_list.label_names == tuple(published.split("\n")[:174])
    assert moved(clip_list) == pairs | {right: left for left, right in pairs.items()}
    assert {tuple(sorted(names)) for names in moved_names(clip_list)} == CHANGED_BY_A_FLIP
    # "upright" and "pulling it right out" stay.
    mirrored = clip_list.mirrored_labels()
    assert [clip.video for clip in clip_list.clips] == [frames / "12", frames / "9"]
    assert [mirrored[clip.label] for clip in clip_list.clips] == [
        clip.label for clip in clip_list.clips
    ]
    assert clip_list.label_names[clip_list.clips[0].label] == upright
    assert clip_list.label_names[clip_list.clips[1].label] == pulled


def test_v1_reads_the_order_lists_that_come_without_labels_csv(tmp_path: Path) -> None:
    (tmp_path / "label_map.txt").write_text("Opening something\nClosing something")
    (tmp_path / "validation.csv").write_text("4;Closing something\n")
    (tmp_path / "frames" / "4").mkdir(parents=True)
    assert [c.label for c in read_something_v1(tmp_path, "validation").clips] == [1]
    (tmp_path / "test.csv").write_text("4\n")
    assert [c.label for c in read_something_v1(tmp_path, "test").clips] == [UNLABELED]


def test_a_lost_partner_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("Pushing something from left to right\nPoking something\n")
    (tmp_path / "train.csv").write_text("1;Poking something\n")
    (tmp_path / "1").mkdir()
    clip_list = read_split("something_v1", tmp_path, "train")
    with pytest.raises(DatasetError, match="'Pushing something from right to left', which is not"):
        clip_list.mirrored_labels()


def test_labels_listed_twice_are_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("Opening something\nClosing something\nOpening something")
    (tmp_path / "train.csv").write_text("1;Opening something\n")
    with pytest.raises(DatasetError, match=r"labels\.csv:3: 'Opening something' is in line 1"):
        read_something_v1(tmp_path, "train")


def test_the_table_of_mirrors_goes_both_ways() -> None:
    assert all(MIRRORED[MIRRORED[name]] == name for name in MIRRORED)
