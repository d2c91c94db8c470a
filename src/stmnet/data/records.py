"""What every data set comes down to: a list of clips, and the names of their labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stmnet.errors import DatasetError


@dataclass(frozen=True)
class Clip:
    """One labelled video. `label` is the position in `ClipList.label_names`."""

    video: Path
    label: int


@dataclass(frozen=True)
class ClipList:
    """A split of a data set. `mirrored` maps a label's name to the one a horizontal flip makes it.

    Names that `mirrored` does not hold stay as they are.
    """

    clips: tuple[Clip, ...]
    label_names: tuple[str, ...]
    mirrored: dict[str, str] = field(default_factory=dict)

    def mirrored_labels(self) -> list[int]:
        """For every class id the id of its mirror image. Raises `DatasetError` for a lost partner.

        By name, never by id: the ids of one data set differ between its published lists.
        """
        ids = {name: label for label, name in enumerate(self.label_names)}
        labels = []
        for label, name in enumerate(self.label_names):
            partner = self.mirrored.get(name, name)
            if partner not in ids:
                raise DatasetError(
                    f"the mirror image of {name!r} is {partner!r}, which is not among the labels. "
                    "Add it to the list of labels, or turn horizontal flips off."
                )
            labels.append(ids[partner] if partner != name else label)
        return labels
