"""The YAML of a recipe, read strictly: what YAML itself would pass over in silence is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stmnet.errors import RecipeError

TIMESTAMP = "tag:yaml.org,2002:timestamp"

MAX_BYTES = 1_000_000
"""No recipe is longer."""


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is stated twice: of two sections of one name the first would be lost.

    It refuses aliases, too: a few lines of them can stand for more values than any memory holds.
    Dates stay text, for a run may be called by one.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise RecipeError(
                f"{self.name}:{alias.start_mark.line + 1}: *{alias.anchor} is a YAML alias, which "
                "a recipe cannot have. Write the values out."
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        stated: set[str] = set()
        for key, _ in node.value:
            if key.value in stated:
                raise RecipeError(
                    f"{key.start_mark.name}:{key.start_mark.line + 1}: duplicate key "
                    f"{key.value}. Make one of both."
                )
            if isinstance(key, yaml.ScalarNode):
                stated.add(key.value)
        return super().construct_mapping(node, deep)


StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_recipe_file(path: Path) -> dict[str, Any]:
    """The keys that a recipe states. Raises `RecipeError`."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise RecipeError(f"{path}: over 1 MB, too much for a recipe. Give the path of one.")
        loader = StrictLoader(text.decode("utf-8"))
        loader.name = str(path)
        content = loader.get_single_data() or {}
    except OSError as e:
        raise RecipeError(f"{path}: {e.strerror}. Give the path of a recipe.") from e
    except RecursionError as e:
        raise RecipeError(f"{path}: nested too deeply for a recipe. Write it flat.") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise RecipeError(f"{path}: not valid YAML ({' '.join(str(e).split())}).") from e
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, as seed: 3 is.")
    return content
