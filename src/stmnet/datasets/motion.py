"""The generated motion set (`stmnet generate motion`): its lists are in Something v2's format."""

from __future__ import annotations

MIRRORED: dict[str, str] = {
    "Moving something left": "Moving something right",
    "Moving something right": "Moving something left",
    "Turning something clockwise": "Turning something anticlockwise",
    "Turning something anticlockwise": "Turning something clockwise",
}
"""What a class becomes when its frames are flipped left to right; the others stay as they are."""
