"""What can be varied in STM, each option with its row of the paper's ablations.

An option that means nothing beside the others is an error, so that no study measures by mistake
the network it meant to differ from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal

from stmnet.errors import UnknownModelError

Modules = Literal["none", "cstm", "cmm", "both"]
Fusion = Literal["sum", "concat"]
Kernels = Literal["learned", "frequency"]
Convolution = Literal["channelwise", "standard"]

STAGES = (2, 3, 4, 5)
"""The paper's numbers of the residual stages: conv2_x to conv5_x."""

# The values of `modules` beside which an option means something, as metadata of its field.
WITH_BOTH = {"modules": ("both",)}
WITH_ANY = {"modules": ("cstm", "cmm", "both")}
WITH_CSTM = {"modules": ("cstm", "both")}
WITH_CMM = {"modules": ("cmm", "both")}

FORMER_VALUES = {
    "kernels": {"learnt": "learned"},
    "cstm_temporal": {"ordinary": "standard"},
    "cstm_spatial": {"ordinary": "standard"},
    "cmm_transform": {"ordinary": "standard"},
}
"""Values in the configs of older checkpoints and recipes, by option, and their present names."""


def migrate_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """A network's options with the former names of values replaced by the present ones."""
    return {
        name: FORMER_VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value
        for name, value in options.items()
    }


@dataclass(frozen=True)
class STMOptions:
    """The options of STM's variants. The defaults are the paper's STM.

    Names, types, defaults and meanings stand here and nowhere else: `build_model("stm_...")`, a
    recipe's `model.options` and what validates them read these fields.

    Raises `UnknownModelError` for options that contradict each other.
    """

    modules: Modules = "both"
    """Table 6: which of CSTM and CMM the blocks carry; with none the network is TSN."""

    fusion: Fusion = field(default="sum", metadata=WITH_BOTH)
    """Table 7: CSTM and CMM summed, or concatenated and mixed by a 1x1 convolution."""

    kernels: Kernels = field(default="learned", metadata=WITH_ANY)
    """Table 8: the kernels of Eq. 1 and Eq. 2: learned, or fixed where the two modules degenerate
    into the low and the high temporal frequency (Eq. 7)."""

    stages: tuple[int, ...] = field(default=STAGES, metadata=WITH_ANY)
    """Table 9: the stages (2 to 5) that carry STM blocks."""

    blocks: int | None = field(default=None, metadata=WITH_ANY)
    """Table 9: how many of a stage's blocks, from its first, are STM blocks; None: all of them."""

    cstm_temporal: Convolution = field(default="channelwise", metadata=WITH_CSTM)
    """Table 10: the kind of CSTM's temporal convolution."""

    cstm_spatial: Convolution = field(default="standard", metadata=WITH_CSTM)
    """Table 10: the kind of CSTM's 3x3 convolution."""

    cmm_transform: Convolution = field(default="channelwise", metadata=WITH_CMM)
    """Table 10: the kind of CMM's 3x3 transform."""

    reduction: int = field(default=16, metadata=WITH_CMM)
    """Section 3.2: r, by which CMM reduces its channels. Paper silent: 16, with which STM-50 has
    the paper's parameters and FLOPs."""

    def __post_init__(self) -> None:
        # YAML and JSON have lists only.
        object.__setattr__(self, "stages", tuple(self.stages))
        for option in fields(self):
            self._validate_modules(option)
        if self.kernels == "frequency":
            self._validate_channelwise("cstm_temporal")
            self._validate_channelwise("cmm_transform")
        if not self.stages or len(set(self.stages)) < len(self.stages):
            raise UnknownModelError(f"stages is {list(self.stages)}. Name at least one, each once.")
        for stage in self.stages:
            if stage not in STAGES:
                raise UnknownModelError(f"stages has {stage}. Give some of 2, 3, 4 and 5.")
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

    def _validate_modules(self, option: Field[Any]) -> None:
        """Raise where an option is set that means nothing with these `modules`."""
        value, allowed = getattr(self, option.name), option.metadata.get("modules", ())
        if allowed and value != option.default and self.modules not in allowed:
            raise UnknownModelError(
                f"{option.name}={value!r} means nothing with modules={self.modules!r}. "
                f"Leave {option.name} out, or set modules to {' or '.join(map(repr, allowed))}."
            )

    def _validate_channelwise(self, option: str) -> None:
        if getattr(self, option) != "channelwise":
            raise UnknownModelError(
                f"{option}='standard' contradicts kernels='frequency', whose fixed kernels are "
                "channel-wise. Leave out one of the two."
            )


PAPER = STMOptions()
"""STM as the paper's main results have it."""
