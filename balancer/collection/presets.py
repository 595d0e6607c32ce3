"""Known layouts of public collections, as data; a user's own is a file of the same form."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from balancer.collection.walk import Listing
from balancer.errors import TableError
from balancer.files import read_plainly

_PACKAGED = Path(__file__).with_name("presets.yaml")
_MOST = 1 << 20
_LOOKED_AT = 2000
_LISTS = ("labels", "columns", "map", "ignore", "split_list")
_TEXTS = (
    "on",
    "separator",
    "labels_in_columns",
    "uncertain",
    "blank",
    "rows",
    "strip_prefix",
    "pattern",
    "primary",
    "target_label",
)
_TOLD = ("patient", "pack", "sizes", "polarity", "policy", "licence", "citation")
_ABOUT = ("title", "aliases", "looks_like", "also", *_TOLD)
_EXAMPLE = "see the packaged ones: balance presets; then: balance scan DATA --preset FILE.yaml"


@dataclass(frozen=True, slots=True)
class Preset:
    """How one collection is read: `options` are those of `balance scan`, with globs in place of files.

    A glob may be several with `|` between, of which the first that is there counts. `also` are tables that are read
    where they are there. `patient` is the expression that finds patients in paths; `files` and `paths` tell that a
    folder is this collection. The rest is for people: `policy` says what was decided in reading it.
    """

    name: str
    title: str
    options: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    patient: str | None = None
    files: tuple[str, ...] = ()
    paths: str | None = None
    also: tuple[str, ...] = ()
    pack: str = ""
    sizes: str = ""
    polarity: str = ""
    policy: str = ""
    licence: str = ""
    citation: str = ""

    @property
    def by_table(self) -> bool:
        """Whether tables tell the labels, so that no reading of folders can be right."""
        return "labels" in self.options and "(?P<label>" not in self.options.get("pattern", "")

    def to_json(self) -> dict[str, Any]:
        """All that is to be known of it, for programs."""
        about = ("title", "aliases", "patient", "pack", "sizes", "polarity", "policy", "licence", "citation")
        return {**{name: getattr(self, name) for name in about}, "options": dict(self.options)}

    def fits(self, listing: Listing) -> bool:
        """Whether a folder looks like this collection: by files beside the images, by paths, or by both."""
        if self.files and not self._has_files(listing):
            return False
        if self.paths is None:
            return bool(self.files)
        some = [*listing.paths, *listing.others]
        return any(map(re.compile(self.paths).search, some[:: max(1, len(some) // _LOOKED_AT)]))

    def _has_files(self, listing: Listing) -> bool:
        names = [path.rpartition("/")[2] for path in listing.others] + _names_beside(listing.root)
        return all(any(fnmatchcase(name, each) for each in glob.split("|") for name in names) for glob in self.files)

    def reads(self, paths: Sequence[str]) -> bool:
        """Whether the expression that tells labels fits every path, of many some."""
        pattern = self.options.get("pattern", "")
        some = paths[:: max(1, len(paths) // _LOOKED_AT)]
        return "(?P<label>" in pattern and all(map(re.compile(pattern).search, some))

    def options_in(self, root: Path, given: Collection[str] = ()) -> tuple[dict[str, Any], list[str]]:
        """The options with the files that the globs mean, in and beside a folder; and files that were not found.

        Without lists of splits the collection has none; tables are needed where the paths do not tell the label.
        Options that are given otherwise are left out.

        Raises:
            TableError: a table of labels is not there.
        """
        rest = {name: value for name, value in self.options.items() if name not in given}
        lists, unlisted = self._lists_in(root, rest.pop("split_list", ()))
        tables, untabled = self._tables_in(root, rest.pop("labels", ()))
        if untabled:
            rest.pop("columns", None)
        found = {"labels": tables, "split_list": lists} | rest
        return {name: value for name, value in found.items() if value}, [*unlisted, *untabled]

    def _lists_in(self, root: Path, pairs: Iterable[str]) -> tuple[list[str], list[str]]:
        """The lists of splits, all or none of them; and those that are not there."""
        places = {pair: _place(root, pair.partition("=")[2]) for pair in pairs}
        absent = [pair.partition("=")[2] for pair, place in places.items() if place is None]
        found = [f"{pair.partition('=')[0]}={place}" for pair, place in places.items()]
        return ([] if absent else found), absent

    def _tables_in(self, root: Path, globs: Iterable[str]) -> tuple[list[str], list[str]]:
        """The tables of labels, all or none of them, and those that are read where they are; and what is not there."""
        places = {glob: _place(root, glob) for glob in globs}
        absent = [glob for glob, place in places.items() if place is None]
        if absent and self.by_table:
            self._missing(root, absent[0])
        more = [place for glob in self.also if places and (place := _place(root, glob))]
        return ([] if absent else [str(place) for place in (*places.values(), *more)]), absent

    def _missing(self, root: Path, glob: str) -> NoReturn:
        raise TableError(
            needed=f"{glob.replace('|', ' or ')} of {self.title}, in {root.name}, in a folder in it, or beside it",
            found="no such file",
            next_step="put it there, or name it: balance scan DATA --labels TABLE --columns 'file=COLUMN label=COLUMN'",
        )


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
        return _only(name, tuple(_read(Path(name))))
    known = {alias.casefold(): preset for preset in packaged_presets() for alias in (preset.name, *preset.aliases)}
    if name.casefold() in known:
        return known[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    raise TableError(
        needed=f"a preset: {', '.join(preset.name for preset in packaged_presets())}, or a file of your own",
        found=repr(name),
        next_step=f"balance scan DATA --preset {near[0] if near else 'nih'} (balance presets lists them)",
    )


def _only(name: str, found: tuple[Preset, ...]) -> Preset:
    if len(found) == 1:
        return found[0]
    raise TableError(
        needed="a file of one preset",
        found=f"{name} has {len(found)}: {', '.join(each.name for each in found)}",
        next_step="keep one of them in the file, then: balance scan DATA --preset FILE.yaml",
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
            needed=f"keys of a preset: {', '.join(known)}; lists for {', '.join((*_LISTS, 'also'))}, texts for "
            "the others, of which pattern and patient are regular expressions",
            found=f"{path.name}, {name}: {', '.join(map(str, wrong))}",
            next_step=_EXAMPLE,
        )
    looks = fields.get("looks_like", {})
    options = {key: value for key, value in fields.items() if key in (*_LISTS, *_TEXTS)}
    about = {key: fields[key] for key in _TOLD if key in fields}
    about |= {key: tuple(fields.get(key, ())) for key in ("aliases", "also")}
    about |= {"files": tuple(looks.get("files", ())), "paths": looks.get("paths")}
    return Preset(name, fields.get("title", name), options, **about)


def _fits(key: Any, value: Any) -> bool:
    if key in (*_LISTS, "aliases", "also"):
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if key == "looks_like":
        return isinstance(value, dict) and all(_is_sign(name, each) for name, each in value.items())
    if not (key in (*_TEXTS, *_ABOUT) and isinstance(value, str)):
        return False
    return key not in ("pattern", "patient") or _is_expression(value)


def _is_sign(name: Any, value: Any) -> bool:
    if name == "files":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return name == "paths" and isinstance(value, str) and _is_expression(value)


def _is_expression(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _names_beside(root: Path) -> list[str]:
    try:
        return [path.name for path in root.resolve().parent.iterdir()]
    except OSError:  # it may not be read
        return []


def _place(root: Path, glob: str) -> Path | None:
    """The file that a glob means: in a folder, in a folder in it, or beside it."""
    for each in glob.split("|"):
        for place in (root, root.resolve().parent):
            for pattern in (each, f"*/{each}"):
                if found := sorted(path for path in place.glob(pattern) if path.is_file()):
                    return found[0]
    return None
