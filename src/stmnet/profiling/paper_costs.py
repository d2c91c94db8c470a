"""The costs that the paper states in Tables 4 and 10, and what was counted for each here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stmnet.models.zoo import list_models
from stmnet.profiling.complexity import Complexity, measure

UNITS = {"M": 1e6, "G": 1e9}


@dataclass(frozen=True)
class PaperFigure:
    """A number as the paper prints it, for instance "33.3G"."""

    printed: str

    @property
    def value(self) -> float:
        """The number itself."""
        return float(self.printed[:-1]) * UNITS[self.unit]

    @property
    def unit(self) -> str:
        """M or G."""
        return self.printed[-1]

    def agrees_with(self, counted: float) -> bool:
        """Whether `counted` gives what is printed; the paper rounds some figures and cuts some."""
        num_digits = len(self.printed[:-1].partition(".")[2])
        return abs(counted - self.value) < 10**-num_digits * UNITS[self.unit]

    def difference(self, counted: float) -> float:
        """How much more is counted, as a part of the paper's figure."""
        return counted / self.value - 1


@dataclass(frozen=True)
class PaperCost:
    """A row of a table, and the network and the clip that it is counted for here.

    `views` clips make one of the paper's videos. `remark` says what the table does not, or why
    the figure is missed.
    """

    row: str
    model: str
    macs: PaperFigure
    parameters: PaperFigure | None = None
    num_classes: int = 174
    num_frames: int = 8
    size: int = 224
    views: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""

    def measure(self) -> Complexity:
        """What is counted here for one view."""
        return measure(
            self.model,
            num_classes=self.num_classes,
            num_frames=self.num_frames,
            size=self.size,
            options=self.options,
        )


KINETICS_HEAD = "parameters with the 400 classes of Kinetics"
BELOW_RESNET = "parameters: the paper's are below those of a plain ResNet with this head"
CMM_ROWS = (
    "no reading found gives the paper's figures; here Eq. 2 stands between two 1x1, r = 16, "
    "beside a plain 3x3"
)

TABLE_4 = (
    PaperCost(
        "I3D, 64 frames",
        "i3d_resnet50",
        PaperFigure("306G"),
        PaperFigure("28.0M"),
        num_classes=400,
        num_frames=32,
        views=2,
        remark=f"2 views of 32 frames; {KINETICS_HEAD}",
    ),
    PaperCost(
        "ECO, 16 frames",
        "eco_full",
        PaperFigure("64G"),
        PaperFigure("47.5M"),
        num_classes=400,
        num_frames=16,
        remark=f"ECO-Full; {KINETICS_HEAD}",
    ),
    PaperCost(
        "TSM, 8 frames",
        "tsm_resnet50",
        PaperFigure("32.9G"),
        PaperFigure("24.3M"),
        num_classes=400,
        remark=KINETICS_HEAD,
    ),
    PaperCost("TSM, 16 frames", "tsm_resnet50", PaperFigure("65.8G"), num_frames=16),
    PaperCost("TEA, 8 frames", "tea_res2net50", PaperFigure("35G")),
    PaperCost("TSN, 8 frames", "tsn_resnet50", PaperFigure("32.9G"), PaperFigure("23.8M")),
    PaperCost(
        "STM-18, 8 frames",
        "stm_resnet18",
        PaperFigure("14.6G"),
        PaperFigure("11.0M"),
        remark=BELOW_RESNET,
    ),
    PaperCost(
        "STM-34, 8 frames",
        "stm_resnet34",
        PaperFigure("29.4G"),
        PaperFigure("20.5M"),
        remark=f"FLOPs: the paper's are a plain ResNet-34's; {BELOW_RESNET}",
    ),
    PaperCost("STM-50, 8 frames", "stm_resnet50", PaperFigure("33.3G"), PaperFigure("24.0M")),
    PaperCost("STM-50, 16 frames", "stm_resnet50", PaperFigure("66.5G"), num_frames=16),
)

TABLE_10 = (
    PaperCost(
        "CSTM, channel-wise 1D",
        "stm_resnet50",
        PaperFigure("32.93G"),
        PaperFigure("23.88M"),
        options={"modules": "cstm"},
    ),
    PaperCost(
        "CSTM, channel-wise 1D, 2D",
        "stm_resnet50",
        PaperFigure("24.05G"),
        PaperFigure("13.28M"),
        options={"modules": "cstm", "cstm_spatial": "channelwise"},
        remark="no reading found gives the paper's figures; here all 3x3 are channel-wise",
    ),
    PaperCost(
        "CSTM, all ordinary",
        "stm_resnet50",
        PaperFigure("40.59G"),
        PaperFigure("27.64M"),
        options={"modules": "cstm", "cstm_temporal": "standard"},
    ),
    PaperCost(
        "CMM, channel-wise",
        "stm_resnet50",
        PaperFigure("32.95G"),
        PaperFigure("23.95M"),
        options={"modules": "cmm"},
        remark=CMM_ROWS,
    ),
    PaperCost(
        "CMM, ordinary",
        "stm_resnet50",
        PaperFigure("33.5G"),
        PaperFigure("24.25M"),
        options={"modules": "cmm", "cmm_transform": "standard"},
        remark=CMM_ROWS,
    ),
)

TABLES = {4: TABLE_4, 10: TABLE_10}


@dataclass(frozen=True)
class Compared:
    """The paper's figure beside ours."""

    paper: PaperFigure
    ours: int

    def to_json(self) -> dict[str, Any]:
        """Plain values: the numbers, the relative difference, whether the printed digits agree."""
        return {
            "paper": self.paper.value,
            "ours": self.ours,
            "difference": self.paper.difference(self.ours),
            "agrees": self.paper.agrees_with(self.ours),
        }


@dataclass(frozen=True)
class ComparedCost:
    """A row of the paper's table with what is counted here."""

    cost: PaperCost
    macs: Compared
    parameters: Compared | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "row": self.cost.row,
            "model": self.cost.model,
            "options": dict(self.cost.options),
            "num_classes": self.cost.num_classes,
            "num_frames": self.cost.num_frames,
            "size": self.cost.size,
            "views": self.cost.views,
            "macs": self.macs.to_json(),
            "parameters": self.parameters.to_json() if self.parameters else None,
            "remark": self.cost.remark,
        }


def compare(table: int) -> list[ComparedCost]:
    """Table 4 or 10, row by row, of all networks that the zoo has."""
    return [compare_row(cost) for cost in TABLES[table] if cost.model in list_models()]


def compare_row(cost: PaperCost) -> ComparedCost:
    """One row, counted now."""
    ours = cost.measure()
    parameters = Compared(cost.parameters, ours.parameters) if cost.parameters else None
    return ComparedCost(cost, Compared(cost.macs, ours.macs * cost.views), parameters)
