"""Collections in the database: where they are, their images, what is inside them, and their split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from operator import attrgetter
from pathlib import Path

from balancer.collection.findings import Finding
from balancer.collection.image_stats import Contents
from balancer.collection.listed import COLUMNS
from balancer.collection.scan import Collection
from balancer.splits.split import Split
from balancer.store import serialization
from balancer.store.connection import Connection, Row, now, require_sound

_LOOKED_AT = 20  # files of a collection that tell whether it is the one in a place
_OF = "WHERE collection = ? ORDER BY rowid"
"""What belongs to a collection, in the order in which it was written."""


class Collections(Connection):
    """What the database holds of collections.

    A collection has an id that stays when it or the working folder moves. Where it is stands there twice, from the
    working folder and whole: of both that place counts where its files are.
    """

    _ids: dict[Path, str] | None = None

    def save_collection(self, collection: Collection) -> None:
        """Remember a scanned collection; it becomes the current one."""
        key, root = self._key(collection), collection.root
        table = serialization.table_to_json(collection.table, self._state.portable)
        images = collection.images.astype(object).where(collection.images.notna(), None)
        source = serialization.source_to_json(collection.source, self._state.portable)
        row = (key, self._state.portable(root), collection.patient_pattern, now(), table, str(root.resolve()), source)
        with self.atomic():
            self._delete("images", key)
            self._delete("findings", key)
            self._delete("marks", key)
            self._insert("collections", [row])
            self._insert("images", zip([key] * len(images), images.index, *map(images.get, COLUMNS), strict=True))
            self._insert("findings", ((key, *serialization.finding_to_row(each)) for each in collection.findings))
            if sets := collection.label_sets:
                self._insert("marks", zip([key] * len(images), sets.marks.index, sets.to_texts(), strict=True))
        self._ids = None

    def make_current(self, collection: Collection) -> None:
        """Remember that a collection that is as it was saved was scanned again, and where; it becomes the current."""
        row = (self._state.portable(collection.root), str(collection.root.resolve()), now(), self._key(collection))
        self._update("collections", ("root", "place", "scanned_at"), ("id",), [row])
        self._ids = None

    def move_collection(self, known: Collection, root: Path) -> None:
        """Remember that a collection is at `root` now; all that is known of it stays."""
        row = (self._state.portable(root), str(root.resolve()), self._key(known))
        self._update("collections", ("root", "place"), ("id",), [row])
        self._ids = None

    def load_collection(self, root: Path | None = None) -> Collection | None:
        """The collection at `root`, by default the one scanned last; `None` when there is none."""
        where, values = ("", ()) if root is None else ("WHERE id = ?", (self._key_of(root),))
        columns = ("id", "root", "place", "patient_pattern", "patients_table", "source")
        found = self._sound("collections", columns, f"{where} ORDER BY scanned_at DESC, rowid DESC LIMIT 1", values)
        if not found:
            return None
        key, portable, place, pattern, reference, source = found[0]
        table = serialization.table_from(reference, self._state.place)
        findings = self._sound("findings", ("kind", "paths", "message", "fix"), _OF, (key,))
        images, origin = (
            serialization.images_from(self._images(key)),
            serialization.source_from(source, self._state.place),
        )
        marks = self._sound("marks", ("path", "marks"), "WHERE collection = ? ORDER BY path", (key,))
        return Collection(
            self._place_of(key, portable, place),
            images,
            tuple(serialization.finding_from(*row) for row in findings),
            pattern,
            table,
            origin,
            serialization.label_sets_from(marks, images.index, origin),
        )

    def roots(self) -> list[Path]:
        """Where the collections are, the one scanned last at the end."""
        rows = self._sound("collections", ("id", "root", "place"), "ORDER BY scanned_at, rowid")
        return [self._place_of(*row) for row in rows]

    def replace_findings(self, collection: Collection, kind: str, findings: Iterable[Finding]) -> None:
        """Remember findings of one kind, in place of those that were known."""
        key = self._key(collection)
        with self.atomic():
            self._tell("DELETE FROM findings WHERE collection = ? AND kind = ?", (key, kind))
            self._insert("findings", ((key, *serialization.finding_to_row(each)) for each in findings))

    def save_hashes(self, collection: Collection) -> None:
        """Remember content hashes that were found since the scan."""
        known, key = collection.images["sha256"].dropna(), self._key(collection)
        rows = [(sha256, key, path) for path, sha256 in known.items()]
        self._update("images", ("sha256",), ("collection", "path"), rows)

    def save_contents(self, collection: Collection, contents: Mapping[str, Contents]) -> None:
        """Remember what is inside the images of a collection, in place of what was known of it."""
        with self.atomic():
            self._delete("contents", self._key(collection))
            self.add_contents(collection, contents)

    def add_contents(self, collection: Collection, contents: Mapping[str, Contents]) -> None:
        """Remember what is inside some more images of a collection."""
        key, read = self._key(collection), attrgetter(*serialization.CONTENTS)
        self._insert("contents", ((key, path, *read(each)) for path, each in contents.items()))

    def load_contents(self, root: Path, *, faults: bool = False) -> dict[str, Contents]:
        """What is known of the inside of the images below `root`; with `faults`, of those that could not be decoded."""
        where = "WHERE collection = ?" + (" AND fault IS NOT NULL" if faults else "")
        rows = self._sound("contents", ("path", *serialization.CONTENTS), where, (self._key_of(root),))
        return {path: serialization.contents_from(row) for path, *row in rows}

    def pixel_digests(self, collection: Collection) -> dict[str, str]:
        """Known hashes of the grey values of images that did not change since, by path."""
        columns = ("path", "size", "mtime_ns", "digest")
        rows = self._sound("pixels", columns, "WHERE collection = ?", (self._key(collection),))
        known = {tuple(file): digest for *file, digest in rows}
        images = collection.images
        files = zip(images.index, images["size"], images["mtime_ns"], strict=True)
        return {file[0]: known[file] for file in files if file in known}

    def save_pixel_digests(self, collection: Collection, digests: Mapping[str, str]) -> None:
        """Remember hashes of grey values, by path."""
        key, images = self._key(collection), collection.images.loc[list(digests), ["size", "mtime_ns"]].astype(object)
        files = zip(digests.items(), images["size"], images["mtime_ns"], strict=True)
        self._insert("pixels", ((key, path, int(size), int(time), digest) for (path, digest), size, time in files))

    def save_split(self, collection: Collection, split: Split) -> None:
        """Remember where each image belongs."""
        key, folds = self._key(collection), {path: int(fold) for path, fold in split.folds.items()}
        with self.atomic():
            self._delete("split_parts", key)
            self._insert("splits", [(key, split.origin, split.seed)])
            self._insert("split_parts", ((key, path, part, folds.get(path)) for path, part in split.parts.items()))

    def load_split(self, collection: Collection) -> Split | None:
        """The stored split of a collection."""
        key = self._key(collection)
        found = self._sound("splits", ("origin", "seed"), "WHERE collection = ?", (key,))
        if not found:
            return None
        rows = self._sound("split_parts", ("path", "part", "fold"), "WHERE collection = ? ORDER BY path", (key,))
        return serialization.split_from(rows, *found[0])

    def _images(self, key: str) -> Iterator[list[Row]]:
        columns = ", ".join(("path", *COLUMNS, self._is_sound("images")))
        text = f"SELECT {columns} FROM images WHERE collection = ? ORDER BY path"
        return (require_sound("images", rows) for rows in self._chunks(text, (key,)))

    def _delete(self, table: str, key: str) -> None:
        self._tell(f"DELETE FROM {table} WHERE collection = ?", (key,))

    def _place_of(self, key: str, portable: str, place: str | None) -> Path:
        """Where a collection is: beside the working folder as it was, or, if only that was moved, where it was."""
        beside, whole = self._state.place(portable), Path(place or portable)
        if place is None or beside.resolve() == whole or self._is_in(beside, key) or not self._is_in(whole, key):
            return beside
        return whole

    def _is_in(self, folder: Path, key: str) -> bool:
        """Whether files of a collection are in a folder."""
        rows = self._rows(f"SELECT path, size FROM images WHERE collection = ? LIMIT {_LOOKED_AT}", (key,))
        files = ((folder / path, size) for path, size in rows)
        return sum(file.is_file() and file.stat().st_size == size for file, size in files) > len(rows) / 2  # type: ignore[no-any-return]

    def _key(self, collection: Collection) -> str:
        return self._key_of(collection.root)

    def _key_of(self, root: Path) -> str:
        """The id of the collection at `root`, or the one that it would get."""
        if self._ids is None:
            rows = self._sound("collections", ("id", "root", "place"), "ORDER BY scanned_at, rowid")
            self._ids = {self._place_of(*row).resolve(): str(row[0]) for row in rows}
        found = self._ids.get(root.resolve())
        return found or next(each for each in self._free_ids(root) if each not in self._ids.values())

    def _free_ids(self, root: Path) -> Iterator[str]:
        portable = self._state.portable(root)
        for number in count(1):
            name = portable if number == 1 else f"{portable}\0{number}"
            yield hashlib.sha256(name.encode()).hexdigest()[:16]
