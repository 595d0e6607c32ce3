"""The result of the probe as text: the verdict, then advice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from analysis.realism.detectability import ClassProbe, Detector, Probe
from analysis.realism.shortcut_reliance import LEVEL, Lean
from analysis.statistics.intervals import Interval

_KINDS = (
    (("file format",), "the file formats differ: convert the collection to one format, then fill again"),
    (("width", "height"), "the image sizes differ: resize the collection to one size, then fill again"),
    (
        ("noise", "frequencies", "compressed", "steps every", "texture"),
        "fine detail differs: generate at the size of the real images (balance fill --size), or train the model longer",
    ),
    (
        ("border", "black", "white", "darkest", "brightest", "levels"),
        "borders or grey levels differ: check the contact sheet, and train the model longer",
    ),
    (
        ("one pixel",),
        "fixed positions differ, as with a mark: look for a mark in real and in synthetic images",
    ),
)
_SHORTCUT = (
    "add the same number to every class, so that being synthetic does not reveal the label: balance fill --symmetric"
)


def verdict(found: Probe) -> str:
    """One paragraph: can they be distinguished, by what, and does a classifier rely on it?"""
    return " ".join((_recognised(found), *(_leaning(lean, " or ".join(found.minority)) for lean in found.leans)))


def fixes(found: Probe) -> list[str]:
    """What could be done about it, most telling first; nothing where nothing was found."""
    names = [name for one in found.classes for name in _told_by(one)]
    advice = [text for words, text in _KINDS if any(word in name for name in names for word in words)]
    return [*([_SHORTCUT] if names or any(each.leans for each in found.leans) else []), *advice]


def report(found: Probe) -> dict[str, Any]:
    """The verdict, fixes and all measurements as JSON-compatible fields."""
    content = asdict(found)
    for one, lean in zip(content["leans"], found.leans, strict=True):
        one["leans"] = lean.leans
    for one, of_class in zip(content["classes"], found.classes, strict=True):
        one["flagged"] = any(each.alarms for each in of_class.detectors)
    return {
        "verdict": verdict(found),
        "fixes": fixes(found),
        "flagged": found.p_value <= LEVEL,
        "p_value": found.p_value,
        "level": LEVEL,
        **content,
    }


def _recognised(found: Probe) -> str:
    tested = [each for each in found.classes if each.detectors]
    if not tested:
        return "It is not known whether synthetic images can be distinguished from real ones: " + _unknown(
            found.classes
        )
    flagged = [each for each in tested if any(one.alarms for one in each.detectors)]
    if not flagged:
        names = ", ".join(each.label for each in tested)
        return f"Real and synthetic {names} could not be distinguished (p = {found.p_value:.3g} over all detectors)."
    return " ".join(map(_of_class, flagged))


def _told_by(found: ClassProbe) -> list[str]:
    """The detectors that raised an alarm; fixed places only where no figure of the whole image tells as well."""
    alarms = [each for each in found.detectors if each.alarms]
    trace = max((each.area.value for each in alarms if each.kind == "trace"), default=0.0)
    return [each.name for each in alarms if each.kind != "position" or each.area.value > trace]


def _of_class(found: ClassProbe) -> str:
    alarms = [each for each in found.detectors if each.alarms]
    clearest = max(alarms, key=lambda each: each.area.value)
    trace = _strongest(each for each in alarms if each.kind in ("trace", "position"))
    giveaway = f" The clearest single feature is {trace.name} ({trace.area})." if trace else ""
    return (
        f"Synthetic {found.label} can {_how_well(clearest.area.value)} be distinguished from real: AUROC "
        f"{clearest.area} by "
        f"{clearest.name}.{giveaway}"
    )


def _strongest(some: Iterable[Detector]) -> Detector | None:
    """The one that tells best; of equals one that says more to a person than how well pixels compress."""
    order = lambda each: (round(each.area.value, 2), each.kind == "trace", each.name != "compressed size")  # noqa: E731
    return max(some, key=order, default=None)


def _how_well(area: float) -> str:
    if area >= 0.95:
        return "nearly always"
    if area >= 0.8:
        return "mostly"
    return "often" if area >= 0.65 else "sometimes"


def _leaning(lean: Lean, minority: str) -> str:
    moved = f"{lean.plain:.0%} of plain and {lean.traced:.0%} of {lean.images} {lean.what}"
    shifts = (
        f"compared with a control of duplicated real images ({lean.seeds} seeds), the trace moves images by "
        f"{_percent(lean.excess)} of the distance between the classes"
    )
    if not lean.is_known:
        return (
            f"It is not known from {lean.what} whether a classifier relies on it: the control does not separate the "
            "classes. "
            "Train longer (--steps)."
        )
    if lean.leans:
        return f"A classifier relies on it: it classifies {moved} as {minority}; {shifts}."
    return f"No classifier was shown to rely on it: it classifies {moved} as {minority}; {shifts}."


def _percent(found: Interval) -> str:
    return f"{100 * found.value:+.0f}% [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"


def _unknown(classes: Iterable[ClassProbe]) -> str:
    return "; ".join(f"{each.label}: {each.unknown.removeprefix('not known: ')}" for each in classes) + "."
