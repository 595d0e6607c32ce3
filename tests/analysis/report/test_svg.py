"""Scales, ticks and the escaping of whatever is written into a drawing."""

from xml.etree import ElementTree

import pytest

from analysis.report.svg import SHAPES, Drawing, Scale, shorten


def test_a_scale_puts_what_is_outside_at_its_edge():
    scale = Scale(-1, 1, 0, 100)
    assert [scale(value) for value in (-5, -1, 0, 1, 9)] == [0, 0, 50, 100, 100]
    assert Scale(2, 2, 0, 100)(2) == 0  # nothing between, and no division by it


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.07, 0.13, [-0.05, 0, 0.05, 0.1]),
        (0, 1200, [0, 500, 1000]),
        (0.991, 0.999, [0.992, 0.994, 0.996, 0.998]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert Scale(low, high, 0, 1).ticks() == ticks


def test_what_is_written_is_text():
    drawing = Drawing(10, '"><script>')
    drawing.text(0, 5, "</text><script>alert(1)</script>\x00\u202e")
    drawing.text(0, 5, "a<b&c" * 20, letters=8)
    root = ElementTree.fromstring(str(drawing))
    assert root.attrib["aria-label"] == '"><script>'
    assert [element.tag for element in root.iter()] == ["svg", "text", "text", "title"]
    assert root[0].text == "</text><script>alert(1)</script>\ufffd\ufffd"
    assert root[1].text == "a<b&…b&c"
    assert root[1][0].text == "a<b&c" * 20


def test_every_shape_is_drawn_differently():
    drawings = set()
    for shape in SHAPES:
        drawing = Drawing(10, "")
        drawing.mark(5, 5, shape, "mark")
        drawings.add(str(drawing))
    assert len(drawings) == len(SHAPES)


def test_a_name_of_many_lines_is_one_line():
    assert shorten("a\nb", 9) == "a b"
