"""Known layouts of public collections, as data; a user's own is a file of the same form."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from balancer.collection.walk import Listing
from balancer.errors import TableError
from balancer.files import read_plainly

_PACKAGED = Path(__file__).with_name("presets.yaml")
_MOST = 1 << 20
_LISTS = ("labels", "columns", "map", "ignore", "split_list")
_TEXTS = (
    "on",
    "separator",
    "labels_in_columns",
    "uncertain",
    "rows",
    "strip_prefix",
    "pattern",
    "primary",
    "target_label",
)
_ABOUT = ("title", "aliases", "looks_like", "patient", "pack", "licence", "citation")
_EXAMPLE = "see the packaged ones: balance presets; then: balance scan DATA --preset FILE.yaml"


@dataclass(frozen=True, slots=True)
class Preset:
    """How one collection is read: `options` are those of `balance scan`, with globs in place of files.

    `patient` is the expression that finds patients in paths; `files` and `paths` tell that a folder is this collection.
    """

    name: str
    title: str
    options: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    patient: str | None = None
    files: tuple[str, ...] = ()
    paths: str | None = None
    pack: str = ""
    licence: str = ""
    citation: str = ""

    def fits(self, listing: Listing) -> bool:
        """Whether a folder looks like this collection."""
        names = [path.rpartition("/")[2] for path in listing.others]
        by_files = any(fnmatchcase(name, glob) for glob in self.files for name in names)
        if self.paths is None:
            return by_files
        some = listing.paths[:: max(1, len(listing.paths) // _LOOKED_AT)]
        by_paths = any(re.search(self.paths, path) for path in some)
        return by_paths and (by_files or not self.files)

    def options_in(self, root: Path) -> dict[str, Any]:
        """The options with the files that the globs mean in and beside a folder.

        Raises:
            TableError: one of them is not there.
        """
        found = dict(self.options)
        if "labels" in found:
            found["labels"] = [str(_place(root, glob, self)) for glob in found["labels"]]
        if "split_list" in found:
            pairs = (each.partition("=") for each in found["split_list"])
            found["split_list"] = [f"{part}={_place(root, glob, self)}" for part, _, glob in pairs]
        return found


_LOOKED_AT = 2000


@cache
def packaged_presets() -> tuple[Preset, ...]:
    """All presets that come with the tool, in the order of the file.

    >>> [preset.name for preset in packaged_presets()][:2]
    ['nih', 'chexpert']
    """
    return tuple(_read(_PACKAGED))


def find_preset(name: str) -> Preset:
    """A preset by its name or an alias, or from a user's file.

    Raises:
        TableError: there is none, or the file is no preset.

    >>> find_preset("RSNA").title
    'RSNA Pneumonia Detection Challenge'
    """
    if name.endswith((".yaml", ".yml")):
        return next(_read(Path(name)))
    known = {alias.casefold(): preset for preset in packaged_presets() for alias in (preset.name, *preset.aliases)}
    if name.casefold() in known:
        return known[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    raise TableError(
        needed=f"a preset: {', '.join(preset.name for preset in packaged_presets())}, or a file of your own",
        found=repr(name),
        next_step=f"balance scan DATA --preset {near[0] if near else 'nih'} (balance presets lists them)",
    )


def recognised(listing: Listing) -> Preset | None:
    """The first preset whose collection a folder looks like."""
    return next((preset for preset in packaged_presets() if preset.fits(listing)), None)


def _read(path: Path) -> Iterator[Preset]:
    import yaml

    try:
        found = yaml.safe_load(read_plainly(path, _MOST))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise TableError(needed="a file of presets, as YAML", found=f"{path}: {why}", next_step=_EXAMPLE) from error
    if not isinstance(found, dict) or not found:
        raise TableError(needed="presets by name, as YAML", found=f"{path}: none", next_step=_EXAMPLE)
    for name, fields in found.items():
        yield _preset(path, str(name), fields)


def _preset(path: Path, name: str, fields: Any) -> Preset:
    known = (*_LISTS, *_TEXTS, *_ABOUT)
    if isinstance(fields, dict):
        fields = {"on" if key is True else key: value for key, value in fields.items()}  # YAML takes on for true
    wrong = [key for key, value in fields.items() if not _fits(key, value)] if isinstance(fields, dict) else [name]
    if wrong:
        raise TableError(
            needed=f"keys of a preset: {', '.join(known)}; lists for {', '.join(_LISTS)}, texts for the others",
            found=f"{path.name}, {name}: {', '.join(map(str, wrong))}",
            next_step=_EXAMPLE,
        )
    looks = fields.get("looks_like", {})
    options = {key: value for key, value in fields.items() if key in (*_LISTS, *_TEXTS)}
    about = {key: fields[key] for key in ("patient", "pack", "licence", "citation") if key in fields}
    signs = {"files": tuple(looks.get("files", ())), "paths": looks.get("paths")}
    return Preset(name, fields.get("title", name), options, tuple(fields.get("aliases", ())), **signs, **about)


def _fits(key: Any, value: Any) -> bool:
    if key in (*_LISTS, "aliases"):
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if key == "looks_like":
        return isinstance(value, dict) and value.keys() <= {"files", "paths"}
    return key in (*_TEXTS, *_ABOUT) and isinstance(value, str)


def _place(root: Path, glob: str, preset: Preset) -> Path:
    places: Sequence[Path] = (root, root.resolve().parent)
    for place in places:
        for pattern in (glob, f"*/{glob}"):
            found = sorted(each for each in place.glob(pattern) if each.is_file())
            if found:
                return found[0]
    raise TableError(
        needed=f"{glob} of {preset.title}, in {root.name}, in a folder in it, or beside it",
        found="no such file",
        next_step="put it there, or name it: balance scan DATA --labels TABLE --columns 'file=COLUMN label=COLUMN'",
    )
