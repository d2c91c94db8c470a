"""An extension of griffe: examples in docstrings, which begin with `>>>`, are shown as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).+)*", re.MULTILINE)


class DocstringExamples(griffe.Extension):
    """Puts each example, up to the next empty line, into a fence."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Griffe calls this with everything that it has read."""
        if obj.docstring is not None:
            fenced = EXAMPLE.sub(
                lambda example: f"\n```pycon\n{example[0]}\n```\n", obj.docstring.value
            )
            obj.docstring.value = fenced
