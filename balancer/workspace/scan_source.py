"""Where a scan takes labels from: what the settings say, else what the last scan was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.progress import Progress
from balancer.text import printable
from balancer.workspace.settings import ScanSettings

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.collection.sources.options import SourceOptions
    from balancer.collection.sources.reading import Source

_ANEW = ("preset", "labels", "pattern", "source")
"""Options that begin a reading anew; the others change the one of the last scan."""
OPTIONS = (
    *(
        *_ANEW,
        "columns",
        "on",
        "separator",
        "labels_in_columns",
        "uncertain",
        "blank",
        "rows",
        "map",
        "strip_prefix",
        "ignore",
    ),
    *("split_list", "target_label", "primary", "as_is"),
)


@dataclass(frozen=True, slots=True)
class ScanSource:
    """The source, and the options that it was made of, as they are remembered."""

    source: Source
    options: Mapping[str, Any]

    @property
    def as_is(self) -> bool:
        """Whether the user takes the reading as it is."""
        return bool(self.options.get("as_is"))


def scan_source(settings: ScanSettings, earlier: Collection | None, progress: Progress) -> ScanSource:
    """What the settings name, else what the last scan was told.

    Raises:
        TableError: options that cannot be read.
    """
    from balancer.collection.sources.made import make_source

    options = _options(settings, earlier, progress)
    as_is = bool(options.get("as_is"))
    return ScanSource(make_source(_parsed(options), str(settings.data), as_is=as_is), options)


def columns_are_of_labels(settings: ScanSettings, earlier: Collection | None) -> bool:
    """Whether `--columns` are those of the tables with the labels, and not of the table of patients."""
    if settings.labels or settings.preset or settings.patients:
        return bool(settings.labels or settings.preset)
    return earlier is not None and earlier.source is not None and "labels" in earlier.source.options


def preset_patient(settings: ScanSettings) -> str | None:
    """The expression for patients of the preset that is named."""
    from balancer.collection.presets import find_preset

    return find_preset(settings.preset).patient if settings.preset else None


def _options(settings: ScanSettings, earlier: Collection | None, progress: Progress) -> dict[str, Any]:
    given = {name: value for name, value in settings.changed().items() if name in OPTIONS}
    if not columns_are_of_labels(settings, earlier):
        given.pop("columns", None)
    remembered = {} if earlier is None or earlier.source is None else dict(earlier.source.options)
    if given.keys() & set(_ANEW):
        remembered = {}
    elif remembered and not given:
        progress.message(f"Labels as in the last scan: {_typed(remembered)} (--labels '' removes this)")
    if settings.preset:
        remembered = _of_preset(settings, given, progress)
    merged = _without_places({**remembered, **given})
    choice = given.keys() & {"target_label", "primary"}
    if len(choice) == 1:  # one takes the place of the other
        merged.pop("primary" if "target_label" in choice else "target_label", None)
    return merged


def _of_preset(settings: ScanSettings, given: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The options of the named preset; says what was decided in it, and which of its files are not there."""
    from balancer.collection.presets import find_preset

    preset = find_preset(settings.preset or "")
    found, lacking = preset.options_in(settings.data, given.keys())
    if preset.policy:
        progress.message(f"{printable(preset.title)}: {printable(preset.policy)}.")
    if lacking:
        names = ", ".join(each.replace("|", " or ") for each in lacking)
        progress.message(f"Note: --preset {settings.preset} would also read {names}, which is not there.")
    return found


def _without_places(options: dict[str, Any]) -> dict[str, Any]:
    """The options with whole paths, since the next scan may run elsewhere; empty ones are left out."""
    found = dict(options)
    if "labels" in found:
        found["labels"] = [str(Path(each).resolve()) for each in found["labels"] if each]
    if "split_list" in found:
        pairs = (each.partition("=") for each in found["split_list"])
        found["split_list"] = [f"{part}={Path(file).resolve() if file else ''}" for part, _, file in pairs]
    if found.get("source"):
        name, colon, argument = found["source"].partition(":")
        is_place = bool(argument) and Path(argument).exists()
        found["source"] = f"{name}{colon}{Path(argument).resolve() if is_place else argument}"
    return {name: value for name, value in found.items() if value}


def _typed(options: Mapping[str, Any]) -> str:
    """The options as they are typed, files by their names alone."""
    words = []
    for name, value in options.items():
        texts = value if isinstance(value, list) else [value]
        if "preset" in options and name != "preset" and name not in ("target_label", "primary", "as_is"):
            continue  # it is part of the preset
        if name in ("labels", "source"):
            texts = [Path(each).name if name == "labels" else each.partition(":")[0] for each in texts]
        words += [f"--{name.replace('_', '-')}" + ("" if each is True else f" '{each}'") for each in texts]
    return printable(" ".join(words))


def _parsed(options: Mapping[str, Any]) -> SourceOptions:
    from balancer.collection.sources.options import SourceOptions, parse_names, parse_pairs, parse_roles

    lists = parse_pairs(options.get("split_list", ()), "--split-list", "test=test_list.txt")
    return SourceOptions(
        labels=tuple(map(Path, options.get("labels", ()))),
        columns=parse_roles(options.get("columns", ())),
        on=parse_names(options.get("on")),
        separator=options.get("separator"),
        labels_in_columns=parse_names(options.get("labels_in_columns")),
        uncertain=options.get("uncertain"),
        blank=options.get("blank"),
        rows=options.get("rows"),
        mapped=parse_pairs(options.get("map", ()), "--map", "OLD=NEW"),
        strip_prefix=options.get("strip_prefix"),
        ignore=tuple(options.get("ignore", ())),
        split_lists=tuple((part, Path(file)) for part, file in lists.items()),
        pattern=options.get("pattern"),
        target_label=options.get("target_label"),
        primary=parse_names(options.get("primary")),
        source=options.get("source"),
    )
