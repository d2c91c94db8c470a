"""The recipes that come with stmnet, which are found by name wherever one works."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from stmnet.errors import RecipeError
from stmnet.files import packaged_file

BASES = "base"
"""The folder of what other recipes inherit from; by themselves they train nothing."""


def list_recipes() -> list[str]:
    """The names of the recipes that come with stmnet, as "own_folder" and "table6/cstm"."""
    return [name for name in _every_name() if not name.startswith(f"{BASES}/")]


def find_recipe(name: str | Path, folder: Path = Path()) -> Path:
    """The file of a recipe: a path from `folder` where there is one, else by a packaged one's name.

    Raises `RecipeError` where it is neither, with the nearest name.
    """
    path = folder / name
    try:
        if path.exists() and not path.is_dir():
            return path
        reason = "is a folder" if path.is_dir() else "no such file"
    except (OSError, ValueError) as e:  # a name that is too long, a zero byte
        reason = str(getattr(e, "strerror", e))
    names = _every_name()
    if str(name) in names:
        return packaged_file("recipes") / f"{name}.yaml"
    word = str(name).removeprefix("recipes/").removesuffix(".yaml")
    near = get_close_matches(word, names, n=1)
    remedy = f" Did you mean {near[0]}?" if near else " Give a path, or a name as own_folder."
    raise RecipeError(f"{path}: {reason}, and no recipe of stmnet has this name.{remedy}")


def _every_name() -> list[str]:
    folder = packaged_file("recipes")
    paths = folder.rglob("*.yaml")
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)
