"""The report's figures, drawn by matplotlib. Marks, dashes and hatches tell series apart without colours."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from analysis.report.formatting import clean, figure, number
from analysis.statistics.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

WIDTH = 4.6
"""Inches. All figures are as wide as this, so that their text has one size."""
COLOURS = ("#0063a6", "#b34700", "#00785a", "#8a3f7d", "#5b6570", "#7a5c00")
"""Of the series; page.css replaces them where the page is dark."""
MARKS = ("o", "s", "^", "D", "o", "P")
_HOLLOW = 4
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), "-", "--")
_HATCHED = (
    *((COLOURS[0], "", COLOURS[0]), ("#f6e3d6", "/////", COLOURS[1]), ("#d9ebe6", "....", COLOURS[2])),
    *(("#eee0ec", "xxxx", COLOURS[3]), ("#e3e6e9", "-----", COLOURS[4]), ("#efe8d2", "|||||", COLOURS[5])),
)
"""Face, hatch and its colour, of kinds in their order; page.css has them for a dark page too."""
_SOLID, _STRIPES, _DOTS, _CROSSES, *_ = _HATCHED
_FILLS = {
    **{"real": _SOLID, "accept": _SOLID, "synthetic": _STRIPES, "reject": _STRIPES},
    **{"review": _DOTS, "unscreened": _CROSSES},
}
_LETTERS = 24
_METADATA: Mapping[str, Mapping[str, None]] = {
    **{"svg": {"Date": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}},
    **{"png": {"Software": None}},
}
_STYLE = {
    **{
        "font.size": 9,
        "axes.labelsize": 8.5,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
    },
    **{"axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "hatch.linewidth": 0.8},
    **{"text.parse_math": False, "svg.fonttype": "none", "pdf.fonttype": 42, "grid.color": "#e6eaee"},
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure that is not drawn yet: its name in the page and of its files, and what to say to who cannot see it.

    `height` is in inches; `plot` draws into the axes that it is handed.
    """

    name: str
    title: str
    description: str
    height: float
    plot: Callable[[Axes], None]

    def save(self, form: str) -> bytes:
        """The figure as "svg", "pdf" or "png" (300 dots an inch): of the same data the same bytes.

        >>> bars("classes", [Bar("nodule", {"real": 8}, "8")], ["real"], "Classes").save("png")[1:4]
        b'PNG'
        """
        _first_import()
        import matplotlib.style
        from matplotlib.figure import Figure

        buffer = io.BytesIO()
        with (
            matplotlib.style.context(["default", _STYLE, {"svg.hashsalt": f"balance {self.name}"}]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # a letter that the font lacks is a box in a PNG
            drawn: Figure = Figure(figsize=(WIDTH, self.height), dpi=300, layout="constrained")
            self.plot(drawn.add_subplot())
            paper = "none" if form == "svg" else "white"
            drawn.savefig(buffer, format=form, facecolor=paper, metadata=_METADATA[form])
        return buffer.getvalue()

    def inline(self) -> Markup:
        """The SVG as a part of a page that allows no style but its own: with attributes, and the page's letters."""
        root = ElementTree.fromstring(self.save("svg"))
        for parent in [*root.iter()]:
            for child in [each for each in parent if _local(each.tag) in ("metadata", "style")]:
                parent.remove(child)
            _plain(parent)
        for size in ("width", "height"):
            del root.attrib[size]
        names = [f"{self.name}-{each}" for each in ("title", "desc")]
        root.attrib |= {"role": "img", "aria-labelledby": " ".join(names)}
        for name, said in zip(reversed(names), (self.description, self.title), strict=True):
            element = ElementTree.Element(name.rpartition("-")[2], {"id": name})
            element.text = clean(said)
            root.insert(0, element)
        return Markup(ElementTree.tostring(root, encoding="unicode"))


def _first_import() -> None:
    """Let matplotlib write its list of fonts into the user's cache; where it cannot, it takes a temporary folder."""
    if "matplotlib" in sys.modules:
        return
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  # no error without home
    os.environ.setdefault("MPLCONFIGDIR", f"{cache}/matplotlib")
    logger = logging.getLogger("matplotlib")
    logger.setLevel(logging.ERROR)  # of the temporary folder
    import matplotlib.figure  # noqa: F401

    logger.setLevel(logging.NOTSET)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _plain(element: ElementTree.Element) -> None:
    """Styles as attributes; no names of groups, which every figure has alike."""
    kept = {_local(name): value for name, value in element.attrib.items() if name != "style"}
    rules = (rule.partition(":") for rule in element.attrib.get("style", "").split(";"))
    kept |= {name.strip(): value.strip() for name, _, value in rules if name.strip() not in ("", "font-family")}
    element.tag = _local(element.tag)
    element.attrib.clear()
    element.attrib |= {name: value for name, value in kept.items() if (element.tag, name) != ("g", "id")}


@dataclass(frozen=True, slots=True)
class Bar:
    """A stacked bar: how much of each kind; `note` stands behind it."""

    label: str
    amounts: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a forest plot; without an interval a heading. `series` chooses mark and colour."""

    label: str
    interval: Interval | None = None
    series: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot, with the `bars` (low, high) of each of its points, where there are some."""

    label: str
    points: Sequence[Point]
    series: int = 0
    bars: Sequence[tuple[float, float]] = ()


def shorten(text: str, letters: int = _LETTERS) -> str:
    """A text that fits in one line, its middle left out.

    >>> shorten("pleural_effusion", 9)
    'pleu…sion'
    """
    text = clean(text).replace("\n", " ")
    head, tail = letters // 2, letters - letters // 2 - 1
    return text if len(text) <= letters else f"{text[:head]}…{text[-tail:]}"


def bars(name: str, rows: Sequence[Bar], kinds: Sequence[str], title: str) -> Chart:
    """Horizontal bars, each the sum of its kinds, in their order; each kind has a hatch of its own.

    Kinds of images and of decisions look the same in all figures.
    """

    def plot(axes: Axes) -> None:
        ends, places = [0.0] * len(rows), range(len(rows))
        for place, kind in enumerate(kinds):
            amounts = [row.amounts.get(kind, 0.0) for row in rows]
            face, hatch, ink = _FILLS.get(kind, _HATCHED[place % len(_HATCHED)])
            fill: dict[str, Any] = {
                "facecolor": face,
                "hatch": hatch,
                "hatchcolor": ink,
                "edgecolor": "black",
                "linewidth": 0.5,
            }
            drawn = axes.barh(places, amounts, 0.66, ends, label=shorten(kind, 12), **fill)
            ends = [end + amount for end, amount in zip(ends, amounts, strict=True)]
        axes.bar_label(drawn, [clean(row.note) for row in rows], padding=4, fontsize=8.5)
        axes.set(xticks=[], xlim=(0, max(ends, default=0) or 1))
        _label_rows(axes, [row.label for row in rows])
        axes.spines.bottom.set_visible(False)
        axes.figure.legend(loc="outside upper left", ncols=len(kinds), handlelength=1.2, columnspacing=1.2)

    said = "; ".join(f"{row.label}: {row.note}" for row in rows)
    return Chart(name, title, said, 0.45 + 0.21 * max(1, len(rows)), plot)


def heat(name: str, rows: Mapping[str, Mapping[str, int]], totals: Mapping[str, int], title: str) -> Chart:
    """A square for each pair of rows: how many images have both, the darker the larger their share of the row's own.

    `totals` are the images of each row, which stand on the diagonal.
    """
    names = list(totals)

    def plot(axes: Axes) -> None:
        for down, row in enumerate(names):
            for right, column in enumerate(names):
                count = totals[row] if row == column else rows.get(row, {}).get(column, 0)
                share = 0.0 if row == column else count / max(1, totals[row])
                square: dict[str, Any] = {"facecolor": COLOURS[0], "alpha": 0.65 * share, "linewidth": 0}
                axes.barh(down, 1, 0.96, right - 0.5, **square)
                weight = "bold" if row == column else "normal"
                said = f"{count:,}" if count else ""
                axes.text(right, down, said, ha="center", va="center", fontsize=6.5, fontweight=weight)
        axes.set(xlim=(-0.5, len(names) - 0.5))
        _label_rows(axes, names)
        axes.set_xticks(range(len(names)), [shorten(each, 16) for each in names], rotation=60, ha="right")
        axes.tick_params(axis="x", length=0)
        axes.spines.bottom.set_visible(False)

    pairs = [(row, *pair) for row in names for pair in rows.get(row, {}).items() if pair[0] in totals]
    said = "; ".join(f"{row} with {column}: {count:,} of {totals[row]:,}" for row, column, count in pairs)
    return Chart(name, title, said or "no two go together", 1.2 + 0.21 * max(1, len(names)), plot)


def forest(
    name: str,
    rows: Sequence[Row],
    title: str,
    axis: str,
    *,
    reference: float | None = None,
    limits: tuple[float, float] | None = None,
    signed: bool = False,
    digits: int = 3,
    keys: Mapping[int, str] = {},
) -> Chart:
    """Points with intervals, one under the other, their figures at the right; `reference` is a line through all.

    `keys` says what the series stand for.
    """
    figures = [figure(row.interval, digits, signed=signed) if row.interval else "" for row in rows]

    def plot(axes: Axes) -> None:
        axes.grid(axis="x")
        if reference is not None:
            axes.axvline(reference, color="black", linewidth=0.9, linestyle=(0, (5, 3)))
        for series in sorted({row.series for row in rows}):
            own = [(place, row.interval) for place, row in enumerate(rows) if row.interval and row.series == series]
            _intervals(axes, own, series, keys.get(series, ""))
        if limits is not None:
            air = 0.03 * (limits[1] - limits[0])
            axes.set_xlim(limits[0] - air, limits[1] + air)
        axes.set_xlabel(shorten(axis, 60))
        axes.set_axisbelow(True)
        for row, label in zip(rows, _label_rows(axes, [row.label for row in rows]), strict=True):
            label.set_fontweight("normal" if row.interval else "bold")
        right = axes.twinx()
        right.set_ylim(axes.get_ylim())
        right.set_yticks(range(len(rows)), figures, fontsize=8)
        right.tick_params(length=0)
        right.spines[:].set_visible(False)
        if any(row.series in keys for row in rows):
            axes.figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, columnspacing=1.2)

    said = "; ".join(f"{row.label}: {shown}" for row, shown in zip(rows, figures, strict=True) if shown)
    return Chart(name, title, said, 0.6 + (0.4 if keys else 0) + 0.21 * len(rows), plot)


def _intervals(axes: Axes, own: Sequence[tuple[int, Interval]], series: int, key: str) -> None:
    series %= len(MARKS)
    places = [place for place, _ in own]
    lows, highs = [each.low for _, each in own], [each.high for _, each in own]
    axes.hlines(places, lows, highs, COLOURS[series], linewidth=1.3)
    axes.plot([*lows, *highs], [*places, *places], "|", color=COLOURS[series], markersize=6, markeredgewidth=1.3)
    axes.plot([each.value for _, each in own], places, label=key or None, **_mark(series), linestyle="none")


def _mark(series: int) -> dict[str, Any]:
    face = "white" if series == _HOLLOW else COLOURS[series]
    return {"marker": MARKS[series], "color": COLOURS[series], "markerfacecolor": face, "markersize": 5.5}


def _label_rows(axes: Axes, labels: Sequence[str]) -> Sequence[Any]:
    """Name the rows from top to bottom."""
    axes.set_yticks(range(len(labels)), [shorten(label) for label in labels])
    axes.set_ylim(max(1, len(labels)) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.spines.left.set_visible(False)
    found: Sequence[Any] = axes.get_yticklabels()
    return found


def curves(
    name: str,
    lines: Sequence[Line],
    title: str,
    axes_names: tuple[str, str],
    *,
    limits: tuple[float, float] | None = None,
    levels: Mapping[str, float] = {},
    marks: Mapping[str, float] = {},
) -> Chart:
    """Lines with marks; with `limits` both axes have them, and a diagonal.

    `levels` are named horizontal lines, `marks` named vertical ones.
    """

    def plot(axes: Axes) -> None:
        axes.grid(axis="y")
        for line in lines:
            series = line.series % len(MARKS)
            style = {"linestyle": _DASHES[series], "linewidth": 1.5, "label": shorten(line.label, 52)}
            axes.plot([x for x, _ in line.points], [y for _, y in line.points], **style, **_mark(series))
            for (x, _), ends in zip(line.points, line.bars, strict=False):
                axes.vlines(x, *ends, COLOURS[series], linewidth=1.3)
        for label, level in levels.items():
            axes.axhline(level, color="black", linewidth=0.9, linestyle=(0, (5, 3)))
            place = ("axes fraction", "data")
            axes.annotate(shorten(label), (0.99, level), (0, 3), place, "offset points", ha="right", fontsize=8)
        for label, at in marks.items():
            axes.axvline(at, color="black", linewidth=0.9, linestyle=(0, (5, 3)))
            place = ("data", "axes fraction")
            axes.annotate(shorten(label), (at, 1), (0, 2), place, "offset points", ha="center", fontsize=8)
        if limits is not None:
            axes.axline((0, 0), slope=1, color="black", linewidth=0.9, linestyle=(0, (5, 3)))
            axes.set(xlim=limits, ylim=limits)
        _finish(axes, axes_names)

    said = "; ".join(f"{line.label}: {', '.join(f'{x:g} to {number(y)}' for x, y in line.points)}" for line in lines)
    said = "; ".join([said, *marks])
    return Chart(name, title, f"{axes_names[0]} to {axes_names[1]}: {said}", 2.9 + 0.17 * len(lines), plot)


def shares(
    name: str,
    groups: Mapping[str, Sequence[float]],
    title: str,
    axes_names: tuple[str, str],
    *,
    end: float,
    thresholds: Sequence[tuple[float, str]] = (),
) -> Chart:
    """For each group the share of values that are at most x, for x from 0 to `end`; `thresholds` are named."""
    found = {label: values for label, values in groups.items() if values}

    def plot(axes: Axes) -> None:
        axes.grid(axis="y")
        for place, (label, values) in enumerate(found.items()):
            style = {"linestyle": _DASHES[place % len(MARKS)], "color": COLOURS[place % len(MARKS)], "linewidth": 1.5}
            axes.ecdf(values, label=shorten(label, 60), **style)
        for at, label in thresholds:
            axes.axvline(at, color="black", linewidth=0.9, linestyle=(0, (5, 3)))
            axes.annotate(label, (at, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center", fontsize=8)
        axes.set(xlim=(0, end), ylim=(0, 1.02))
        _finish(axes, axes_names)

    middles = {label: sorted(values)[len(values) // 2] for label, values in found.items()}
    said = "; ".join(f"{label}: half of them below {number(middle, 2)}" for label, middle in middles.items())
    return Chart(name, title, said, 2.9 + 0.17 * len(found), plot)


def _finish(axes: Axes, names: tuple[str, str]) -> None:
    axes.set_xlabel(shorten(names[0], 60))
    axes.set_ylabel(shorten(names[1], 36))
    axes.figure.legend(loc="outside lower left", handlelength=3)
