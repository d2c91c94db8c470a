"""The site builds without a warning and without a network, and its reference is complete."""

from __future__ import annotations

import doctest
import html
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stmnet
import stmnet.errors
from stmnet.cli.main import make_parser
from stmnet.runs.recipe import known_keys

ROOT = Path(__file__).parents[1]
OBJECTS = {name: getattr(stmnet, name) for name in stmnet.__all__}
FUNCTIONS = [name for name, value in OBJECTS.items() if inspect.isfunction(value)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    nowhere = "http://127.0.0.1:9"  # a proxy that nobody answers at: nothing can be fetched
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def text_of(page: Path) -> str:
    """What a reader sees of a page."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"([^\"]+)\"", text)
        fetched += re.findall(r"<link[^>]*rel=\"(?:stylesheet|preconnect)\"[^>]*>", text)
        assert [each for each in fetched if "//" in each] == [], page


def test_every_public_name_stands_in_the_reference(site: Path) -> None:
    text = (site / "reference" / "api.html").read_text(encoding="utf-8")
    for name, value in OBJECTS.items():
        assert f'id="{value.__module__}.{name}"' in text, name
    for name, value in vars(importlib.import_module("stmnet.errors")).items():
        if inspect.isclass(value) and issubclass(value, stmnet.errors.StmnetError):
            assert f'id="stmnet.errors.{name}"' in text, name


def test_every_verb_stands_with_its_options(site: Path) -> None:
    text = text_of(site / "reference" / "cli.html")
    (verbs,) = (action.choices for action in make_parser()._actions if action.dest == "verb")
    assert len(verbs) >= 9
    for verb, parser in verbs.items():
        assert f"usage: stmnet {verb} " in text
        for action in parser._actions:
            for option in action.option_strings:
                assert option in text, f"{verb} {option}"


def test_keys_stand_with_their_types_and_defaults(site: Path) -> None:
    page = (site / "reference" / "recipe_keys.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr>\s*<td><code>([\w.]+)</code></td>(.*?)</tr>", page, re.DOTALL)
    assert [key for key, _ in rows] != []
    assert sorted(key for key, _ in rows) == sorted(known_keys())
    cells = {key: re.findall(r"<td>(.*?)</td>", rest, re.DOTALL) for key, rest in rows}
    assert all(len(cell) == 3 and all(cell) for cell in cells.values())
    assert cells["optimizer.momentum"][0] == "<code>0.9</code>"
    assert "<code>cosine</code>" in cells["optimizer.schedule"][1]
    assert "null" in cells["data.exclude"][1]
    assert cells["optimizer.epochs"][1] == "int, at least 1"
    assert cells["augmentation.flip_probability"][1] == "float, from 0 to 1"


@pytest.mark.parametrize("name", OBJECTS)
def test_the_examples_of_a_public_name_are_true(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # In a folder in which a reader may be: the samples lie below it, and examples write there.
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    found = [
        test
        for test in doctest.DocTestFinder().find(OBJECTS[name], name, globs={})
        if test.examples
    ]
    assert any(test.name == name for test in found), f"{name}: no example in its docstring"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    for test in found:
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_of_a_function_says_what_it_raises(name: str) -> None:
    function = OBJECTS[name]
    if inspect.signature(function).parameters:
        assert "Raises" in function.__doc__


@pytest.mark.parametrize("name", ["build_model", "optimize", "read_frames", "Preprocessing"])
def test_the_docstring_of_what_takes_tensors_says_their_shapes(name: str) -> None:
    if name in OBJECTS:
        assert re.search(r"\((N|T|len\(indices\)), ", OBJECTS[name].__doc__)
