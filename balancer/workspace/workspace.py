"""One project: the folder in which somebody works, its state, and the collection that was scanned last."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.errors import BalanceError, CollectionError, OutputError, SplitError
from balancer.store.setting_names import EXCLUDED
from balancer.store.state_dir import NAME, State, find_state, locked
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.exclusion import Excluded
    from balancer.splits.split import Split
    from balancer.store.database import Ledger


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder in which somebody works; all that is remembered lies in its `.balance`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Workspace.open(folder).is_new
    True
    """

    home: Path

    @classmethod
    def open(cls, folder: Path | str = ".") -> Workspace:
        """The workspace of `folder`: the nearest one, in it or above, as git finds its own; else a new one in it."""
        start = Path(folder).resolve()
        return cls(next((each for each in (start, *start.parents) if (each / NAME).is_dir()), start))

    @property
    def is_new(self) -> bool:
        """Whether nothing was scanned here yet."""
        return not (self.home / NAME).is_dir()

    @property
    def state(self) -> State:
        """The state folder `.balance` of this workspace.

        Raises:
            StateError: there is none yet.
        """
        return find_state(self.home)

    @contextmanager
    def session(self, *, write: bool, several: bool = False, private: bool = False) -> Iterator[Session]:
        """Open what is remembered, without what `scan --exclude` lists; with `write`, nobody else writes meanwhile.

        `several`: the caller knows what to do with images of several findings. `private`: a copy of the database is
        read, for one of many machines that share the folder.

        Raises:
            StateError: there is none, or another command is using it.
            CollectionError: the collection is gone, or its images have several findings and the caller needs one class.
        """
        from balancer.splits.exclusion import leave_out
        from balancer.store.database import Ledger

        state = self.state
        with locked(state) if write else nullcontext(), Ledger(state, private=private) as ledger:
            collection = ledger.load_collection()
            if collection is None or not collection.root.is_dir():
                raise CollectionError(
                    needed="a scanned collection",
                    found="none yet" if collection is None else f"{collection.root}, which is missing",
                    next_step="balance scan FOLDER",
                )
            _require_readable(collection, several)
            split = ledger.load_split(collection)
            if split is None:
                raise SplitError(needed="the stored split", found="none", next_step="balance scan FOLDER")
            yield Session(state, ledger, *leave_out(excluded_of(ledger, collection), collection, split))

    def balanced_folder(self, folder: Path | None = None) -> Path:
        """The folder that is named, else where the last fill put its balanced folder.

        Raises:
            StateError: no folder is named, and nothing was scanned.
            OutputError: no folder is named, and there is no balanced folder yet.
        """
        from balancer.dataset.merge import default_out

        if folder is not None:
            return folder
        with self.session(write=False, several=True) as session:
            found = session.balanced_folder()
            if found is not None:
                return found
            raise OutputError(
                needed="a balanced folder",
                found=f"none at the default place, {default_out(session.collection.root)}",
                next_step="make one: balance fill --target max; or give the folder that fill --out made",
            )

    def require_outside(self, folder: Path, next_step: str) -> None:
        """Refuse a new folder inside the collection; where nothing was scanned there is none.

        Raises:
            OutputError: it is inside the collection.
        """
        try:
            with self.session(write=False, several=True) as session:
                root = session.collection.root.resolve()
        except BalanceError:  # nothing was scanned here, as on a machine with internet
            return
        if folder.resolve().is_relative_to(root):
            raise OutputError(
                needed="a folder outside the collection, which balance never changes",
                found=f"{folder}, inside {root}",
                next_step=next_step,
            )


def excluded_of(ledger: Ledger, collection: Collection) -> Excluded:
    """The images that are listed to be left out."""
    from balancer.splits.exclusion import Excluded

    return Excluded.from_fields(ledger.setting(collection, EXCLUDED))


def _require_readable(collection: Collection, several: bool) -> None:
    """Refuse images of several findings where one class is needed, and where an old state does not know all of them."""
    name = printable(collection.root.name)
    if collection.source is not None and collection.source.is_undecided and not collection.is_multi_label:
        raise CollectionError(
            needed="what is known of each finding on each image",
            found=f"{name} was scanned by an earlier version, which did not keep it",
            next_step="scan it again: balance scan FOLDER",
        )
    if several or not collection.is_multi_label:
        return
    rarest = min(collection.labels, key=collection.label_sets.counts().__getitem__)  # type: ignore[union-attr]
    message = next(each.message for each in collection.findings if each.kind == "several-labels")
    raise CollectionError(
        needed="one class for each image, since this command does not support several findings yet",
        found=f"{name}: {message.partition(';')[0]}",
        next_step=f"choose: balance scan DATA --target-label {shlex.quote(rarest)} "
        "(this label against all others), or balance scan DATA --primary 'A,B,C' (the first of these that an image "
        "has)",
    )


@dataclass(frozen=True, slots=True)
class Session:
    """What is remembered, opened: the collection that was scanned last, its split, and the database of both."""

    state: State
    ledger: Ledger
    collection: Collection
    split: Split

    @property
    def home(self) -> Path:
        """The folder in which somebody works."""
        return self.state.folder.resolve().parent

    def whole(self) -> Session:
        """The session with the images that `scan --exclude` lists.

        Raises:
            CollectionError: another command has removed the collection.
        """
        collection, split = self.ledger.load_collection(self.collection.root), self.ledger.load_split(self.collection)
        if collection is None or split is None:
            raise CollectionError(needed="a scanned collection", found="none", next_step="balance scan FOLDER")
        return Session(self.state, self.ledger, collection, split)

    def without_holdout(self) -> Session:
        """The session with all images of a flat collection as training data.

        Raises:
            SplitError: the collection has splits of its own, or names that a loader takes for splits.
        """
        from balancer.splits.split import no_split

        if self.collection.has_parts:
            raise SplitError(
                needed="a flat collection for --no-holdout",
                found="a collection with its own splits, which are kept",
                next_step="leave --no-holdout out",
            )
        named = [finding for finding in self.collection.findings if finding.kind == "named-like-a-part"]
        if named:
            raise SplitError(
                needed="file names that no loader takes for a split, for --no-holdout",
                found=f"{printable(str(named[0].paths[0]))}: {named[0].message}",
                next_step="rename such files and scan again, or leave --no-holdout out",
            )
        return Session(self.state, self.ledger, self.collection, no_split(self.collection))

    def balanced_folder(self) -> Path | None:
        """Where the last fill put its balanced folder, else the usual place; `None` where there is none.

        A folder that `unmerge` has left is none: it has no manifest.
        """
        from balancer.dataset.merge import default_out
        from balancer.dataset.metadata_files import MANIFEST
        from balancer.workspace.last_fill import FillManifest

        last = FillManifest.load(self.ledger, self.collection)
        places = [] if last is None else [self.state.folder.parent / last.place]
        return next(
            (each for each in (*places, default_out(self.collection.root)) if (each / MANIFEST).is_file()), None
        )
