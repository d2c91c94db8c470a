"""What can be varied in STM, each option with its row of the paper's ablations.

An option that means nothing beside the others is an error, so that no study measures by mistake
the network it meant to differ from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from stmnet.errors import UnknownModelError

Modules = Literal["none", "cstm", "cmm", "both"]
Fusion = Literal["sum", "concat"]
Kernels = Literal["learned", "frequency"]
Convolution = Literal["channelwise", "ordinary"]

STAGES = (2, 3, 4, 5)
"""The paper's numbers of the residual stages: conv2_x to conv5_x."""

MEANS_SOMETHING_WITH: dict[str, tuple[Modules, ...]] = {
    "fusion": ("both",),
    "kernels": ("cstm", "cmm", "both"),
    "stages": ("cstm", "cmm", "both"),
    "blocks": ("cstm", "cmm", "both"),
    "cstm_temporal": ("cstm", "both"),
    "cstm_spatial": ("cstm", "both"),
    "cmm_transform": ("cmm", "both"),
    "reduction": ("cmm", "both"),
}


@dataclass(frozen=True)
class STMOptions:
    """The defaults are the paper's STM; every option names the table that varies it.

    - `modules` (Table 6): which of CSTM and CMM the blocks carry; with none the network is TSN.
    - `fusion` (Table 7): their sum, or their concatenation and a 1x1 convolution.
    - `kernels` (Table 8): of Eq. 1 and Eq. 2: learned, or fixed where the two modules degenerate
      into the low and the high temporal frequency (Eq. 7).
    - `stages`, `blocks` (Table 9): the stages (2 to 5) that carry STM blocks, and how many of
      each stage's blocks do, counted from its first; None is all of them.
    - `cstm_temporal`, `cstm_spatial`, `cmm_transform` (Table 10): the kind of convolution.
    - `reduction` (section 3.2): r, by which CMM reduces its channels. Paper silent: 16.

    Raises `UnknownModelError` for options that contradict each other.
    """

    modules: Modules = "both"
    fusion: Fusion = "sum"
    kernels: Kernels = "learned"
    stages: tuple[int, ...] = STAGES
    blocks: int | None = None
    cstm_temporal: Convolution = "channelwise"
    cstm_spatial: Convolution = "ordinary"
    cmm_transform: Convolution = "channelwise"
    reduction: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in MEANS_SOMETHING_WITH and value != field.default:
                self._check_seat(field.name, value)
        if self.kernels == "frequency":
            self._check_channelwise("cstm_temporal")
            self._check_channelwise("cmm_transform")
        if not self.stages or len(set(self.stages)) < len(self.stages):
            raise UnknownModelError(f"stages is {list(self.stages)}. Name each stage once.")
        for stage in self.stages:
            if stage not in STAGES:
                raise UnknownModelError(f"stages names {stage}. The stages are 2, 3, 4 and 5.")
        if self.blocks is not None and self.blocks < 1:
            raise UnknownModelError(
                f"blocks is {self.blocks}. Give at least 1; without STM blocks: modules='none'."
            )
        if self.reduction < 1:
            raise UnknownModelError(f"reduction is {self.reduction}. Give at least 1.")

    @property
    def has_cstm(self) -> bool:
        """Whether an STM block carries Eq. 1."""
        return self.modules in ("cstm", "both")

    @property
    def has_cmm(self) -> bool:
        """Whether an STM block carries Eq. 2."""
        return self.modules in ("cmm", "both")

    def num_blocks(self, stage: int, num_blocks: int) -> int:
        """How many of the `num_blocks` blocks of a stage, from its first, are STM blocks."""
        if self.modules == "none" or stage not in self.stages:
            return 0
        if self.blocks is not None and self.blocks > num_blocks:
            raise UnknownModelError(
                f"blocks is {self.blocks}, and stage {stage} of this network has {num_blocks}. "
                f"Give at most {num_blocks}, or leave blocks out for all of them."
            )
        return num_blocks if self.blocks is None else self.blocks

    def _check_seat(self, option: str, value: object) -> None:
        allowed = MEANS_SOMETHING_WITH[option]
        if self.modules not in allowed:
            raise UnknownModelError(
                f"{option}={value!r} means nothing with modules={self.modules!r}. "
                f"Leave {option} out, or set modules to {' or '.join(map(repr, allowed))}."
            )

    def _check_channelwise(self, option: str) -> None:
        if getattr(self, option) != "channelwise":
            raise UnknownModelError(
                f"{option}='ordinary' contradicts kernels='frequency', whose fixed kernels are "
                f"one a channel. Leave out one of the two."
            )


PAPER = STMOptions()
"""STM as the paper's main results have it."""
