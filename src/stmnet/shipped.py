"""Files that come with stmnet: in a wheel beside the code, in a checkout at its top."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """The path of a file or folder such as "recipes/motion_stm.yaml" or "samples"."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.exists() else package.parents[1] / name
