"""Drawing the split, or taking it from a table; a split that was learned from is changed only by force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.collection.label_sets import NO_FINDING
from balancer.errors import SplitError
from balancer.progress import SILENT, Progress
from balancer.store.setting_names import SPLIT
from balancer.text import printable
from balancer.workspace.exposure import exposed_models
from balancer.workspace.settings import SplitSettings
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    import pandas as pd

    from balancer.collection.scan import Collection
    from balancer.splits.split import Split, SplitShares


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The split that holds now, and the models made here that have seen what it holds out."""

    collection: Collection
    split: Split
    exposed: Sequence[Path]

    @property
    def attributes(self) -> list[str]:
        """The attributes that it is stratified by, where a table tells them."""
        return [name for name in ("sex", "view") if self.collection.images[name].notna().any()]

    def counts(self, by: str = "label") -> dict[str, dict[str, dict[str, int]]]:
        """Images and patients of each value of a column in each split."""
        from balancer.splits.groups import stay_together
        from balancer.splits.split import PARTS

        groups = stay_together(self.collection)
        parts = self.split.parts.reindex(groups.index)
        found: dict[str, dict[str, dict[str, int]]] = {}
        for value, chosen in self._values(by):
            found[value] = {}
            for name in PARTS:
                there = groups[chosen & (parts == name)]
                found[value][name] = {"images": len(there), "patients": int(there.nunique())}
        return found

    def _values(self, by: str) -> Iterator[tuple[str, pd.Series]]:
        """Each value of a column, and which images have it; of findings an image may have several."""
        sets, images = self.collection.label_sets, self.collection.images
        if by == "label" and sets is not None:
            yield from ((finding, sets.has()[finding]) for finding in self.collection.labels)
            yield sets.nothing or NO_FINDING, sets.without_finding()
            return
        values = images[by].fillna("unknown")
        yield from ((value, values == value) for value in sorted(values.unique()))

    def to_json(self) -> dict[str, Any]:
        """The split as JSON-compatible fields: origin, seed, folds, and counts of each class."""
        split = self.split
        return {
            "origin": split.origin,
            "seed": split.seed,
            "sha256": split.sha256,
            "patients_known": bool(self.collection.images["patient"].notna().all()),
            "folds": {str(fold): int((split.folds == fold).sum()) for fold in range(split.fold_count)},
            "classes": self.counts(),
            "by": {name: self.counts(name) for name in self.attributes},
            "exposed": [folder.name for folder in self.exposed],
        }


def split(
    workspace: Workspace,
    settings: SplitSettings = SplitSettings(),
    *,
    progress: Progress = SILENT,
) -> SplitResult:
    r"""Draw the split by patient, or take it from a table; without settings give the stored one.

    Raises:
        SplitError: the settings do not fit the collection, or a model learned from patients whom the split holds out.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays", patient=r"(p\d+)"))
    >>> split(Workspace.open(folder), SplitSettings(test=0.3, seed=1)).split.seed
    1
    """
    from balancer.splits.split import SplitShares

    with workspace.session(write=True, several=True) as reduced:
        session = reduced.whole()
        before = session.ledger.setting(session.collection, SPLIT) or {}  # type: ignore[var-annotated]
        asked = {"test": settings.test, "val": settings.val, "folds": settings.folds}
        shares = SplitShares(**(before | {name: value for name, value in asked.items() if value is not None}))
        wanted = session.split
        if not settings.asks_for_nothing:
            wanted = _wanted(session, settings, shares)
            _store(session, wanted, shares, force=settings.force, progress=progress)
        return SplitResult(session.collection, wanted, exposed_models(session, wanted))


def _wanted(session: Session, settings: SplitSettings, shares: SplitShares) -> Split:
    """The split that the settings ask for."""
    from balancer.collection.pseudonyms import Pseudonyms
    from balancer.splits.groups import Groups
    from balancer.splits.split import Split, SplitShares, complete_split, draw_split, draw_validation
    from balancer.splits.split_table import read_parts

    collection, stored = session.collection, session.split
    seed = stored.seed if settings.seed is None else settings.seed
    if collection.has_parts and (settings.test is not None or settings.splits is not None):
        raise SplitError(
            needed="a collection without its own splits, for --test and --splits",
            found="a collection with its own train, validation or test folders, which are kept",
            next_step="leave these options out, or put all class folders into one folder, then: balance scan FOLDER",
        )
    if settings.splits is not None:
        parts = read_parts(settings.splits, collection, Pseudonyms(session.state.pseudonym_key()))
        return complete_split(Groups.of(collection), parts, "file", seed, None, shares.folds)
    if collection.has_parts and settings.val is not None:
        return draw_validation(collection, shares.val, seed, shares.folds)
    if settings.draws or (settings.seed is not None and not collection.has_parts and stored.origin != "file"):
        return draw_split(collection, seed, None, shares)
    count = stored.fold_count if shares.folds is None else shares.folds
    bare = Split(stored.parts, stored.origin, stored.seed)  # the folds are dealt again
    return draw_split(collection, seed, bare, SplitShares(shares.test, shares.val, count))


def _store(session: Session, wanted: Split, shares: SplitShares, *, force: bool, progress: Progress) -> None:
    """Remember the split, unless a model learned from what it holds out; with `force` such models count as exposed."""
    ledger, collection = session.ledger, session.collection
    changed = wanted.sha256 != session.split.sha256
    exposed = exposed_models(session, wanted) if changed else []
    names = ", ".join(printable(folder.name) for folder in exposed)
    if exposed and not force:
        raise SplitError(
            needed="a split that holds out only patients that no model was trained on",
            found=f"{names} was trained on patients that this split would hold out",
            next_step="keep the split, or change it and mark these models as exposed: balance split ... --force",
        )
    with ledger.atomic():
        if exposed:
            ledger.mark_exposed(collection, exposed)
        ledger.save_split(collection, wanted)
        ledger.save_setting(collection, SPLIT, {"test": shares.test, "val": shares.val, "folds": shares.folds})  # type: ignore[misc]
    if exposed:
        progress.message(
            f"Now exposed: {names}. Their images are marked as exposed. It is better to train again: balance adapt"
        )
    elif not changed:
        progress.message("Nothing changed: this split is already stored.")
