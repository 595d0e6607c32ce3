"""A small SVG drawing: shapes, marks and text in the page's own colours, told apart by form as well as by colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from analysis.report.blocks import clean

WIDTH = 440
"""All drawings are as wide as this, in their own units, so that their text has one size."""
LETTER = 6.4
"""How wide a letter of the usual text is, at most times."""
_CAPITAL = 1.6  # more than that
SHAPES = ("circle", "square", "triangle", "diamond", "ring", "cross")
_SIZE = 4.6
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` to places from `start` to `end`.

    >>> Scale(0, 10, 100, 200)(5)
    150.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value; what is outside is put at the edge."""
        span = self.high - self.low or 1.0
        share = (min(max(value, self.low), self.high) - self.low) / span
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values within the scale, about so many.

        >>> Scale(0, 0.87, 0, 1).ticks()
        [0.0, 0.2, 0.4, 0.6, 0.8]
        """
        step = _round_step((self.high - self.low) / max(1, count))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(place * step, 10) + 0.0 for place in range(first, last + 1)]


def shown(value: float) -> str:
    """Format the label of an axis tick.

    >>> shown(0.25), shown(-2.0), shown(1500)
    ('0.25', '−2', '1500')
    """
    return f"{value:.10g}".replace("-", "−")


def width_of(text: str) -> float:
    """About how wide a text is; capitals take more room.

    >>> round(width_of("nodule"), 1), round(width_of("NODULE"), 1)
    (38.4, 48.0)
    """
    return LETTER * len(text) + _CAPITAL * sum(letter.isupper() for letter in text)


def shorten(text: str, letters: int) -> str:
    """A text that fits, its middle left out.

    >>> shorten("pleural_effusion", 9)
    'pleu…sion'
    """
    text = text.replace("\n", " ")
    if len(text) <= letters:
        return text
    head = letters // 2
    return f"{text[:head]}…{text[len(text) - (letters - head - 1) :]}"


class Drawing:
    """Collects shapes; `told` is what a reader is told who cannot see it."""

    def __init__(self, height: float, told: str) -> None:
        box = {"viewBox": f"0 0 {WIDTH} {_short(height)}", "role": "img", "aria-label": clean(told)}
        self._root = ElementTree.Element("svg", box)

    def text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "", letters: int = 0) -> None:
        """Write text with its baseline at `y`; cut to `letters`, with the whole as a tooltip."""
        text = clean(text)
        cut = shorten(text, letters) if letters else text
        place = {"x": _short(x), "y": _short(y), "text-anchor": anchor, **_kind(kind)}
        element = ElementTree.SubElement(self._root, "text", place)
        element.text = cut
        if cut != text:
            ElementTree.SubElement(element, "title").text = text

    def line(self, start: Point, end: Point, kind: str) -> None:
        """A straight line."""
        places = zip(("x1", "y1", "x2", "y2"), (*start, *end), strict=True)
        ElementTree.SubElement(self._root, "line", {**{name: _short(at) for name, at in places}, **_kind(kind)})

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A filled rectangle."""
        places = zip(("x", "y", "width", "height"), (x, y, max(0.0, width), height), strict=True)
        ElementTree.SubElement(self._root, "rect", {**{name: _short(at) for name, at in places}, **_kind(kind)})

    def way(self, points: Iterable[Point], kind: str) -> None:
        """A polyline through these points (x, y)."""
        places = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
        ElementTree.SubElement(self._root, "polyline", {"points": places, **_kind(kind)})

    def mark(self, x: float, y: float, shape: str, kind: str) -> None:
        """A mark of one of the `SHAPES` around a point."""
        if shape in ("circle", "ring"):
            place = {"cx": _short(x), "cy": _short(y), "r": _short(_SIZE - 0.4)}
            ElementTree.SubElement(self._root, "circle", {**place, **_kind(f"{kind} {shape}")})
            return
        points = " ".join(f"{_short(x + _SIZE * a)},{_short(y + _SIZE * b)}" for a, b in _CORNERS[shape])
        ElementTree.SubElement(self._root, "polygon", {"points": points, **_kind(kind)})

    def __str__(self) -> str:
        """The drawing as text for a page of HTML; whatever was written in it is escaped."""
        return ElementTree.tostring(self._root, encoding="unicode")


def _kind(names: str) -> dict[str, str]:
    return {"class": names} if names else {}


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    if not least > 0 or not math.isfinite(least):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least * 0.999), 10 * power)


_CORNERS: dict[str, Sequence[Point]] = {
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "triangle": ((0, -1.05), (1.05, 0.85), (-1.05, 0.85)),
    "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "cross": (
        *((-0.35, -1.1), (0.35, -1.1), (0.35, -0.35), (1.1, -0.35), (1.1, 0.35), (0.35, 0.35)),
        *((0.35, 1.1), (-0.35, 1.1), (-0.35, 0.35), (-1.1, 0.35), (-1.1, -0.35), (-0.35, -0.35)),
    ),
}
