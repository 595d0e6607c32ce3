"""The report's plots as SVG. Colours come from the page; forms and hatches tell series apart without them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.report.blocks import figure
from analysis.report.svg import LETTER, SHAPES, WIDTH, Drawing, Point, Scale, shorten, shown, width_of
from analysis.statistics.intervals import Interval

_ROW, _BAR, _LETTERS = 20, 13, 24
_MARGIN = 6


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
    """A line of an xy plot, with the `bars` of each of its points, where there are some."""

    label: str
    points: Sequence[Point]
    series: int = 0
    marked: bool = True
    bars: Sequence[tuple[float, float]] = ()


def bars(rows: Sequence[Bar], kinds: Sequence[str], told: str) -> str:
    """Horizontal bars, each the sum of its kinds, in their order; each kind has a hatch of its own.

    >>> "<svg" in bars([Bar("nodule", {"real": 8, "synthetic": 22}, "8 + 22")], ["real", "synthetic"], "classes")
    True
    """
    left, right = _left([row.label for row in rows]), WIDTH - _right([row.note for row in rows])
    most = max((sum(row.amounts.values()) for row in rows), default=0) or 1
    top = _MARGIN + 14
    drawing, scale = Drawing(top + _ROW * len(rows) + 4, told), Scale(0, most, left, right)
    _keys(drawing, left, kinds)
    for place, row in enumerate(rows):
        y, x = top + _ROW * place + 4, left
        drawing.text(left - 6, y + 10, row.label, "end", letters=_LETTERS)
        for kind in kinds:
            width = scale(row.amounts.get(kind, 0)) - left
            if width > 0:
                drawing.box(x, y, width, _BAR, f"fill {kind}")
            x += width
        drawing.text(x + 5, y + 10, row.note, kind="figure")
    drawing.line((left, top), (left, top + _ROW * len(rows) + 2), "axis")
    return str(drawing)


def _keys(drawing: Drawing, x: float, kinds: Sequence[str]) -> None:
    for kind in kinds:
        drawing.box(x, _MARGIN - 4, 11, 11, f"fill {kind}")
        drawing.text(x + 15, _MARGIN + 5, kind)
        x += 15 + LETTER * len(kind) + 16


def forest(
    rows: Sequence[Row],
    told: str,
    axis: str,
    *,
    reference: float | None = None,
    limits: tuple[float, float] | None = None,
    signed: bool = False,
    digits: int = 3,
) -> str:
    """Points with intervals, one under the other, their figures at the right; `reference` is a line through all."""
    shown_figures = {row: figure(row.interval, digits, signed=signed) for row in rows if row.interval}
    left = _left([row.label for row in shown_figures])
    right = WIDTH - _right(list(shown_figures.values()))
    scale = Scale(*(limits or _limits([row.interval for row in rows if row.interval], reference)), left, right)
    bottom = _MARGIN + _ROW * len(rows) + 4
    drawing = Drawing(bottom + 34, told)
    for tick in _fitting_ticks(scale):
        drawing.line((scale(tick), _MARGIN), (scale(tick), bottom), "grid")
        drawing.text(scale(tick), bottom + 13, shown(tick), "middle", "tick")
    if reference is not None:
        drawing.line((scale(reference), _MARGIN), (scale(reference), bottom), "reference")
    drawing.line((left, bottom), (right, bottom), "axis")
    drawing.text((left + right) / 2, bottom + 28, axis, "middle", "tick")
    for place, row in enumerate(rows):
        _forest_row(drawing, scale, left, _MARGIN + _ROW * (place + 0.5), row)
        drawing.text(WIDTH, _MARGIN + _ROW * (place + 0.5) + 4, shown_figures.get(row, ""), "end", "figure")
    return str(drawing)


def _forest_row(drawing: Drawing, scale: Scale, left: float, y: float, row: Row) -> None:
    if row.interval is None:
        drawing.text(0, y + 4, row.label, kind="strong", letters=2 * _LETTERS)
        return
    drawing.text(left - 8, y + 4, row.label, "end", letters=_LETTERS)
    low, high = scale(row.interval.low), scale(row.interval.high)
    drawing.line((low, y), (high, y), f"whisker series-{_series(row.series)}")
    for end, inside in ((low, row.interval.low >= scale.low), (high, row.interval.high <= scale.high)):
        if inside:  # an interval without an end goes on beyond the edge
            drawing.line((end, y - 3.5), (end, y + 3.5), f"whisker series-{_series(row.series)}")
    drawing.mark(scale(row.interval.value), y, _shape(row.series), f"mark series-{_series(row.series)}")


def xy(
    lines: Sequence[Line],
    told: str,
    axes: tuple[str, str],
    *,
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    height: float = 250,
    diagonal: bool = False,
    verticals: Sequence[tuple[float, str]] = (),
    horizontals: Sequence[tuple[float, str]] = (),
) -> str:
    """Lines over a plane, with a key of their own below; `verticals` and `horizontals` are named thresholds."""
    xs = x_limits or _span([x for line in lines for x, _ in line.points])
    tops = [end for line in lines for bar in line.bars for end in bar]
    ys = y_limits or _span([*(y for line in lines for _, y in line.points), *tops, *(y for y, _ in horizontals)])
    top = _MARGIN + (32 if verticals else 18)
    drawing = Drawing(height + 40 + 18 * len(lines), told)
    across, down = Scale(*xs, 52, WIDTH - 14), Scale(*ys, height, top)
    _frame(drawing, across, down, axes)
    if diagonal:
        drawing.line((across(xs[0]), down(xs[0])), (across(xs[1]), down(xs[1])), "reference")
    for x, name in verticals:
        drawing.line((across(x), top), (across(x), height), "reference")
        drawing.text(across(x), top - 4, name, "end" if across(x) > WIDTH - 60 else "middle", "tick")
    for y, name in horizontals:
        drawing.line((52, down(y)), (WIDTH - 14, down(y)), "reference")
        drawing.text(WIDTH - 16, down(y) - 4, name, "end", "tick")
    for place, line in enumerate(lines):
        _draw_line(drawing, across, down, line)
        _key_of(drawing, height + 50 + 18 * place, line)
    return str(drawing)


def _frame(drawing: Drawing, across: Scale, down: Scale, axes: tuple[str, str]) -> None:
    for tick in down.ticks(4):
        drawing.line((across.start, down(tick)), (across.end, down(tick)), "grid")
        drawing.text(across.start - 6, down(tick) + 4, shown(tick), "end", "tick")
    for tick in across.ticks(5):
        drawing.line((across(tick), down.start), (across(tick), down.start + 4), "axis")
        drawing.text(across(tick), down.start + 16, shown(tick), "middle", "tick")
    drawing.line((across.start, down.start), (across.end, down.start), "axis")
    drawing.line((across.start, down.start), (across.start, down.end), "axis")
    drawing.text((across.start + across.end) / 2, down.start + 31, axes[0], "middle", "tick")
    drawing.text(0, _MARGIN + 5, axes[1], kind="tick strong", letters=60)


def _draw_line(drawing: Drawing, across: Scale, down: Scale, line: Line) -> None:
    series = f"series-{_series(line.series)}"
    drawing.way([(across(x), down(y)) for x, y in line.points], f"way {series}")
    for (x, _), (low, high) in zip(line.points, line.bars, strict=False):
        drawing.line((across(x), down(low)), (across(x), down(high)), f"whisker {series}")
    for x, y in line.points if line.marked else ():
        drawing.mark(across(x), down(y), _shape(line.series), f"mark {series}")


def _key_of(drawing: Drawing, y: float, line: Line) -> None:
    series = f"series-{_series(line.series)}"
    drawing.way([(52, y - 4), (84, y - 4)], f"way {series}")
    if line.marked:
        drawing.mark(68, y - 4, _shape(line.series), f"mark {series}")
    drawing.text(92, y, line.label, letters=52)


def steps(values: Sequence[float], start: float, end: float) -> list[Point]:
    """The share of values that are at most x, as corners of a staircase from `start` to `end`.

    >>> steps([1.0, 2.0], 0.0, 3.0)
    [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (2.0, 0.5), (2.0, 1.0), (3.0, 1.0)]
    """
    found = [(start, 0.0)]
    for place, value in enumerate(sorted(values), start=1):
        at = min(max(value, start), end)
        found += [(at, found[-1][1]), (at, place / len(values))]
    return [*found, (end, found[-1][1])]


def _series(number: int) -> int:
    return number % len(SHAPES)


def _shape(number: int) -> str:
    return SHAPES[_series(number)]


def _left(labels: Sequence[str]) -> float:
    return 14 + max((width_of(shorten(label, _LETTERS)) for label in labels), default=0)


def _right(notes: Sequence[str]) -> float:
    return 10 + LETTER * max(map(len, notes), default=0)


def _limits(found: Sequence[Interval], reference: float | None) -> tuple[float, float]:
    fixed = [] if reference is None else [reference]
    return _span([*(end for each in found for end in (each.low, each.value, each.high)), *fixed])


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the largest value, with some air."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - air, high + air


def _fitting_ticks(scale: Scale) -> list[float]:
    """Ticks whose labels do not touch."""
    return scale.ticks(max(2, round((scale.end - scale.start) / 42)))
