"""Plans of views, read and named."""

from __future__ import annotations

import pytest

from stmnet.data.evaluation_views import choose_clips
from stmnet.data.view_plan import CENTER_VIEW, ViewPlan
from stmnet.errors import StmnetError


@pytest.mark.parametrize(
    ("text", "num_views", "name"),
    [("center", 1, "center"), ("30", 30, "10x3"), ("10x3", 30, "10x3"), ("1x1", 1, "1x1")],
)
def test_plans(text: str, num_views: int, name: str) -> None:
    plan = ViewPlan.parse(text)
    assert (plan.num_views, str(plan)) == (num_views, name)
    assert (plan == CENTER_VIEW) == (text == "center")
    assert len(choose_clips(plan, 40, 8, 1, 2)) * plan.num_crops == num_views


@pytest.mark.parametrize("text", ["", "middle", "3", "0x3", "10x2", "10x", "x3", "10x3x1", "-1x3"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(StmnetError, match=f"views {text!r}: give center, 30 or CLIPSxCROPS"):
        ViewPlan.parse(text)
