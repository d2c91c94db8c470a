"""What every data set comes down to: a list of clips, and the names of their labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stmnet.errors import DatasetError

UNLABELED = -1


@dataclass(frozen=True, slots=True)
class Clip:
    """One video, or a part of a long one: frames `start_frame` to before `end_frame` (None: all).

    `video` is a file or a folder of frames. `label` is the position in `ClipList.label_names`,
    or `UNLABELED` in a test list whose answers were not published.
    """

    video: Path
    label: int
    start_frame: int = 0
    end_frame: int | None = None


@dataclass(frozen=True)
class ClipList:
    """A split of a data set. `mirrored` maps a label's name to the one a horizontal flip makes it.

    Names that `mirrored` does not hold stay as they are. `missing` are the videos that the
    published list names and that are not there, `excluded` those that a list of exclusions names,
    `unreadable` those that training could not read; none are among `clips`.
    """

    clips: tuple[Clip, ...]
    label_names: tuple[str, ...]
    mirrored: dict[str, str] = field(default_factory=dict)
    missing: tuple[Path, ...] = ()
    excluded: tuple[Path, ...] = ()
    unreadable: tuple[Path, ...] = ()

    def left_out(self) -> str:
        """How many clips of the published list are not among `clips`, as a note says it; ""
        for none.
        """
        counts = [
            (len(self.missing), "not there"),
            (len(self.excluded), "data.exclude"),
            (len(self.unreadable), "unreadable"),
        ]
        num_left_out = sum(count for count, _ in counts)
        num_listed = len(self.clips) + num_left_out
        found = [(count, why) for count, why in counts if count]
        # One reason needs no number of its own.
        why = ", ".join(why if len(found) == 1 else f"{count:,} {why}" for count, why in found)
        return f"{num_left_out:,} of {num_listed:,} clips left out ({why})" if found else ""

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
