"""Typed recipes: the one place where defaults are written down. A YAML states what differs.

The defaults are the paper's (section 4.2), for Something-Something v2 with T = 8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentParser, Namespace

from stmnet.data.option_types import Crop, NumCropPositions, Sampling
from stmnet.errors import RecipeError
from stmnet.models.builder_options import nearest
from stmnet.models.stm_options import migrate_options
from stmnet.runs.number_types import (
    ClassCount,
    ClosedUnitInterval,
    FiniteFloat,
    HalfOpenUnitInterval,
    Hue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
    WholeNumber,
)
from stmnet.runs.packaged_recipes import find_recipe
from stmnet.runs.recipe_values import (
    explain_parser_error,
    refuse_nulls,
    validate_option,
    with_plain_numbers,
)
from stmnet.runs.recipe_yaml import read_recipe_file

BASE = "base"
"""The key by which a recipe names the one whose keys it inherits."""

CorrelationBatch = Literal["global", "local"]


@dataclass
class ModelRecipe:
    """`name` and `options` as `stmnet.build_model` takes them; `num_frames` is T.

    `num_classes`, where it is stated, must be the number of the data's labels.
    """

    name: str = "stm_resnet50"
    num_classes: ClassCount | None = None
    num_frames: PositiveInt = 8
    pretrained: str | None = None
    options: dict[str, int | float | str | list[int]] = field(default_factory=dict)


@dataclass
class DataRecipe:
    """Where the clips are and how they are loaded. Sizes in pixels, `batch_size` in clips.

    `batch_size` is that of one step of the optimizer, over all ranks and micro-batches.
    `sampling` names how a training clip's frames are drawn (`stmnet.data.sampling.SAMPLINGS`),
    `by_time` spreads frames over a clip's time where its rate varies, and `class_balanced` draws
    every class as often.
    `allow_missing` leaves out videos that the lists name and that are not there; `exclude` is a
    list of clips to leave out, as `stmnet check` writes it. How many were left out is said.
    `max_unreadable` clips may fail to decode in a run; each is named. One more stops the run.
    `cache_gigabytes` is how much of decoded clips may be kept for later epochs, in a file of the
    temporary folder; frames are then resized to `short_side` before they are augmented, and clips
    that no longer fit are decoded every time. 0: nothing is kept.
    """

    dataset: str = "something_v2"
    root: str = "data/something-v2"
    allow_missing: bool = False
    exclude: str | None = None
    sampling: Sampling = "segments"
    by_time: bool = False
    class_balanced: bool = False
    short_side: PositiveInt = 256
    crop_size: PositiveInt = 224
    batch_size: PositiveInt = 64
    num_workers: NonNegativeInt = 8
    max_unreadable: NonNegativeInt = 10
    cache_gigabytes: NonNegativeFloat = 0.0


@dataclass
class AugmentationRecipe:
    """As `stmnet.data.augmentation.Augmentation`.

    `scales` and `num_crop_positions` are read where `crop` is multi_scale, `short_sides` where it
    is scale_jitter.
    """

    crop: Crop = "multi_scale"
    scales: list[FiniteFloat] = field(default_factory=lambda: [1.0, 0.875, 0.75, 0.66])
    num_crop_positions: NumCropPositions = 13
    short_sides: list[WholeNumber] = field(default_factory=lambda: [256, 288, 320])
    flip_probability: ClosedUnitInterval = 0.5
    brightness: NonNegativeFloat = 0.2
    contrast: NonNegativeFloat = 0.2
    saturation: NonNegativeFloat = 0.2
    hue: Hue = 0.0
    grayscale_probability: ClosedUnitInterval = 0.1


@dataclass
class TwinsRecipe:
    """Twins Training (section 3.5): two distortions of every clip, and the correlation loss.

    `correlation_weight` is lambda of Eq. 10, `off_diagonal_weight` beta of Eq. 9. C of Eq. 8 is of
    the clips of all ranks ("global"), or of each rank by itself ("local").
    """

    enabled: bool = False
    correlation_weight: NonNegativeFloat = 0.01
    off_diagonal_weight: NonNegativeFloat = 0.0039
    batch: CorrelationBatch = "global"


@dataclass
class OptimizerRecipe:
    """SGD. `steps` divides the learning rate by ten at `milestones` (epochs); `cosine` anneals it.

    `warmup_epochs` raises it linearly from zero first, during half of the epochs at most.
    `learning_rate` is for steps of `reference_batch_size` clips, and is scaled to those of
    `data.batch_size`; without a reference it is used as it stands. A step adds up the gradients
    of `accumulate` micro-batches, and scales them down to a norm of `clip_gradient_norm`, where one
    is given. `policy` "tsn" gives parts of the network rates and decays of their own
    (`stmnet.training.parameter_groups`). `class_weighted` weighs the cross-entropy by the inverse
    frequency of the classes.
    """

    epochs: PositiveInt = 70
    learning_rate: PositiveFloat = 0.01
    reference_batch_size: PositiveInt | None = 64
    momentum: HalfOpenUnitInterval = 0.9
    weight_decay: NonNegativeFloat = 5e-4
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: list[PositiveInt] = field(default_factory=lambda: [30, 40, 60])
    warmup_epochs: NonNegativeFloat = 0.0
    accumulate: PositiveInt = 1
    clip_gradient_norm: PositiveFloat | None = None
    policy: Literal["plain", "tsn"] = "plain"
    class_weighted: bool = False

    @property
    def warmup_length(self) -> float:
        """The epochs of the warm-up, which leaves half of them to the schedule."""
        return min(self.warmup_epochs, self.epochs / 2)

    def learning_rate_for(self, batch_size: int) -> float:
        """The rate at the start, for steps of `batch_size` clips."""
        if self.reference_batch_size is None:
            return self.learning_rate
        return self.learning_rate * batch_size / self.reference_batch_size


@dataclass
class RunningRecipe:
    """What the machine decides. A checkpoint is written every `checkpoint_minutes`.

    `devices` processes run on each of `nodes` machines; null: as many as it has GPUs, or one on
    the CPU. Under torchrun and SLURM these say how many. `sync_batch_norm` takes the statistics
    of batch norms over all GPUs.
    """

    devices: PositiveInt | None = None
    nodes: PositiveInt = 1
    sync_batch_norm: bool = False
    checkpoint_minutes: PositiveFloat = 30.0


@dataclass
class Recipe:
    """All that a training run is made from. `output` is the folder that the run writes."""

    model: ModelRecipe = field(default_factory=ModelRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)
    twins: TwinsRecipe = field(default_factory=TwinsRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    running: RunningRecipe = field(default_factory=RunningRecipe)
    output: str = "runs/stmnet"
    seed: Seed = 0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"

    def to_yaml(self) -> str:
        """The whole recipe, defaults written out, so that a run can be repeated from it."""
        return yaml.safe_dump(asdict(self), sort_keys=False)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `--key value` or `--key=value` overrides (keys with dots).

    `path` is a file, or the name of a recipe that comes with stmnet, as "own_folder". A recipe may
    begin with `base: other.yaml`, a path from where it lies or such a name: it has all keys of that
    one, and those that it states itself win.

    Raises `RecipeError` for a file that cannot be read, a key that does not exist (naming the
    nearest that does), a value of the wrong type and a number out of its range.
    """
    path = find_recipe(path)
    content = _read_with_bases(path, ())
    _validate_keys(_override_keys(overrides), source="command line", known=known_keys())
    recipe = _parse(content, overrides, "command line" if overrides else str(path))
    recipe.model.options = migrate_options(recipe.model.options)
    _expand_home(recipe)
    return recipe


def _expand_home(recipe: Recipe) -> None:
    """Make a path's ~ the home folder: no shell sees a recipe's, nor that of `--key=~/path`."""

    def expanded(path: str) -> str:
        return str(Path(path).expanduser()) if path.startswith("~/") else path

    recipe.output, recipe.data.root = expanded(recipe.output), expanded(recipe.data.root)
    recipe.data.exclude = recipe.data.exclude and expanded(recipe.data.exclude)
    recipe.model.pretrained = recipe.model.pretrained and expanded(recipe.model.pretrained)


def _read_with_bases(path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in heirs:
        raise RecipeError(f"{path}: is a base of itself. Take one of the `base:` lines out.")
    content = read_recipe_file(path)
    base = content.pop(BASE, None)
    # A section of which every line is commented out states nothing.
    for section in sections():
        if section in content and content[section] is None:
            del content[section]
    _validate_keys(_keys(content), source=str(path), known=[BASE, *known_keys()])
    _parse(content, (), str(path))
    if base is None:
        return content
    if not isinstance(base, str):
        raise RecipeError(f"{path}: base is {base!r}; give the path of one recipe.")
    inherited = _read_with_bases(find_recipe(base, path.parent), (*heirs, path.resolve()))
    return _merged(inherited, content)


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        is_section = isinstance(value, dict) and key in base
        merged[key] = _merged(base[key], value) if is_section else value
    return merged


def _parse(content: dict[str, Any], overrides: Sequence[str], source: str) -> Recipe:
    try:
        parsed = _parser().parse_args(["--config", json.dumps(content), *overrides])
    except Exception as e:  # jsonargparse raises ArgumentError, TypeError or ValueError by the case
        raise RecipeError(explain_parser_error(e, source)) from e
    return _instantiate(parsed, source)


def validate_values(recipe: Recipe) -> Recipe:
    """The recipe with every value of its field's type, also where it was built in Python.

    Raises `RecipeError` for a value that cannot be, as `load_recipe` does.
    """
    try:
        parsed = _parser().parse_object(asdict(recipe))
    except Exception as e:
        raise RecipeError(explain_parser_error(e, "recipe")) from e
    return _instantiate(parsed, "recipe")


def _instantiate(parsed: Namespace, source: str) -> Recipe:
    parsed.pop("config")
    recipe = Recipe(**_parser().instantiate(parsed))
    refuse_nulls(recipe, source)
    for option, value in recipe.model.options.items():
        validate_option(option, value)
    return with_plain_numbers(recipe)


@cache
def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(Recipe)
    return parser


def known_keys() -> list[str]:
    """Every key of a recipe, with dots, in the order of the dataclasses."""
    return list(_dataclass_keys(Recipe()))


def sections() -> list[str]:
    """What precedes the dots of the keys."""
    return [name for name, value in vars(Recipe()).items() if is_dataclass(value)]


def _dataclass_keys(recipe: Any, prefix: str = "") -> Iterator[str]:
    for entry in fields(recipe):
        value = getattr(recipe, entry.name)
        if is_dataclass(value):
            yield from _dataclass_keys(value, f"{prefix}{entry.name}.")
        else:
            yield f"{prefix}{entry.name}"


def _keys(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        name = f"{prefix}{key}"
        # What `model.options` holds is the network's to validate.
        if isinstance(value, dict) and name != "model.options":
            yield from _keys(value, f"{name}.")
        else:
            yield name


def _override_keys(overrides: Sequence[str]) -> Iterator[str]:
    for word in overrides:
        if word.startswith("--"):
            key = word[2:].partition("=")[0].rstrip("+")
            yield "model.options" if key.startswith("model.options.") else key


def _validate_keys(keys: Iterable[str], *, source: str, known: list[str]) -> None:
    with_keys = sections()
    for key in keys:
        if key in with_keys:
            example = next(name for name in known if name.startswith(f"{key}."))
            raise RecipeError(f"{source}: {key} is a section. Set the keys in it, as {example}.")
        if key not in known:
            raise RecipeError(f"{source}: unknown key {key!r}.{nearest(key, known)}")
