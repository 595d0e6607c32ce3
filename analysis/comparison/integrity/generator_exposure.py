"""Which models drew the synthetic images, and whether one of them learned from the test part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.comparison.integrity.leakage_finding import Breach
from analysis.data.balanced_folder import BalancedFolder
from balancer.collection.scan import Collection
from balancer.generators.models.checkpoint import weights_of
from balancer.splits.contamination import exposed_images, learned_files
from balancer.splits.split import Split
from balancer.text import many

_UNKNOWN = "generator exposure unknown"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What must be known to tell who learned from whom; `folders` may hold the models, with their cards.

    Those of `elsewhere` may too, but learned from another collection, perhaps: its files are known by content alone,
    since another image may have the same name. `validation` are the paths by which an arm is chosen.
    """

    collection: Collection
    split: Split
    balanced: BalancedFolder | None
    folders: tuple[Path, ...]
    elsewhere: tuple[Path, ...] = ()
    validation: tuple[str, ...] = ()

    def models(self) -> dict[tuple[str, str], str]:
        """Name by (role, hash) of every model and adapter that drew a merged image; role: model or adapter."""
        rows = () if self.balanced is None else self.balanced.provenance.values()
        found = {}
        for role in ("model", "adapter"):
            found.update(
                {(role, row[f"{role}_sha256"]): row.get(role, "") for row in rows if row.get(f"{role}_sha256")}
            )
        return found

    def cards(self) -> dict[tuple[str, str], dict[str, str] | None]:
        """For each of them the files that it learned from; None where that is not on record."""
        wanted = self.models()
        found: dict[tuple[str, str], dict[str, str] | None] = dict.fromkeys(wanted)
        named = set(wanted.values())
        own = sorted(self.folders, key=lambda folder: folder.name not in named)
        for folder in (*own, *self.elsewhere):
            if all(card is not None for card in found.values()):
                break
            for key in weights_of(folder) & found.keys():
                found[key] = found[key] or self._card(folder) or None
        return found

    def _card(self, folder: Path) -> dict[str, str] | None:
        learned = learned_files(folder)
        if learned is None or folder not in self.elsewhere:
            return learned
        return {sha256: sha256 for sha256 in learned.values()}


def learned_from_test(exposure: Exposure) -> Iterator[Breach]:
    """Models whose record names test images, copies of them, or other images of their patients."""
    test = set(exposure.split.paths("test"))
    for key, learned in exposure.cards().items():
        if learned is None:
            continue
        known = exposed_images(exposure.collection, exposure.split, learned)
        seen = [path for path in known if path in test]
        if seen:
            name = exposure.models()[key]
            yield Breach(
                "generator",
                f"the {key[0]} {name} was trained on {many(len(seen), 'test image')}, or on others of their patients",
                tuple(seen),
                "train a new one with the current split, then generate the images again: balance adapt, balance fill",
            )


def unknown_exposure(exposure: Exposure) -> Iterator[str]:
    """What cannot be known of the generators, and validation images that one of them learned from."""
    names, validation = exposure.models(), set(exposure.validation)
    for key, learned in exposure.cards().items():
        if learned is None:
            yield f"{_UNKNOWN}: there is no record of what the {key[0]} {names[key]} was trained on"
            continue
        known = exposed_images(exposure.collection, exposure.split, learned)
        if count := sum(path in validation for path in known):
            what = many(count, "validation image")
            yield f"the {key[0]} {names[key]} was trained on {what}: the choice among synthetic arms is biased"
    if count := _from_elsewhere(exposure.balanced):
        what = many(count, "synthetic image")
        yield f"{_UNKNOWN}: there is no record of what the generator of {what} from elsewhere was trained on"


def _from_elsewhere(balanced: BalancedFolder | None) -> int:
    """How many merged images name no model."""
    if balanced is None:
        return 0
    return sum(not balanced.provenance.get(row.path, {}).get("model_sha256") for row in balanced.synthetic)
