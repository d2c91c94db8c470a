"""The YAML of a recipe, read strictly: what YAML itself would pass over in silence is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stmnet.errors import RecipeError

TIMESTAMP = "tag:yaml.org,2002:timestamp"


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that is stated twice: of two sections of one name the first would be lost.

    Dates stay text, for a run may be called by one.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        stated: set[str] = set()
        for key, _ in node.value:
            if key.value in stated:
                raise RecipeError(
                    f"{key.start_mark.name}:{key.start_mark.line + 1}: {key.value} is stated a "
                    "second time. Make one of both."
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
        loader = StrictLoader(path.read_text(encoding="utf-8"))
        loader.name = str(path)
        content = loader.get_single_data() or {}
    except OSError as e:
        raise RecipeError(f"{path}: {e.strerror}. Give the path of a recipe (see recipes/).") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise RecipeError(f"{path}: not valid YAML ({' '.join(str(e).split())}).") from e
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, as those in recipes/ are.")
    return content
