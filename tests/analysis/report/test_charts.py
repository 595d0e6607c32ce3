"""Where bars, points and lines come to lie."""

from xml.etree import ElementTree

import pytest

from analysis.report.charts import Bar, Line, Row, bars, forest, steps, xy
from analysis.statistics.intervals import Interval


def found(svg, tag, kind=""):
    every = ElementTree.fromstring(svg).iter(tag)
    return [each for each in every if set(kind.split()) <= set(each.get("class", "").split())]


def texts(svg):
    return [each.text for each in found(svg, "text")]


def test_bars_are_as_long_as_their_amounts():
    rows = [Bar("a", {"real": 40}, "40"), Bar("b", {"real": 10, "synthetic": 30}, "10 + 30")]
    svg = bars(rows, ["real", "synthetic"], "classes")
    key, long, short = found(svg, "rect", "fill real")
    (_, added) = found(svg, "rect", "fill synthetic")
    width = float(long.get("width"))
    assert float(short.get("width")) == pytest.approx(width / 4, abs=0.1)
    assert float(added.get("x")) == pytest.approx(float(short.get("x")) + width / 4, abs=0.1)
    assert float(added.get("width")) == pytest.approx(3 * width / 4, abs=0.1)
    assert texts(svg) == ["real", "synthetic", "a", "40", "b", "10 + 30"]
    assert key.get("width") == "11"


def test_no_bar_at_all_is_drawn_of_nothing():
    assert len(found(bars([Bar("a", {})], ["real"], "classes"), "rect")) == 1  # the key alone
    assert texts(bars([], ["real"], "none")) == ["real"]


def test_a_forest_has_marks_whiskers_and_figures():
    rows = [Row("group"), Row("free", Interval(-0.1, -0.2, 0.0), 0), Row("made", Interval(0.1, 0.0, 0.2), 1)]
    svg = forest(rows, "differences", "AUPRC", reference=0, signed=True)
    (line,) = found(svg, "line", "reference")
    (circle,), (square,) = found(svg, "circle"), found(svg, "polygon")
    middle = float(line.get("x1"))
    assert middle - float(circle.get("cx")) == pytest.approx(
        float(square.get("points").split(",")[0]) + 3.9 - middle, abs=0.2
    )
    assert len(found(svg, "line", "whisker")) == 6
    assert "−0.100 [−0.200, +0.000]" in texts(svg)
    assert texts(svg).count("group") == 1


def test_an_interval_that_leaves_the_plot_has_no_end_there():
    svg = forest([Row("a", Interval(0.5, -1, 0.6))], "recall", "recall", limits=(0, 1))
    assert len(found(svg, "line", "whisker")) == 2


def test_lines_differ_by_more_than_colour():
    lines = [Line(name, [(0, 0), (1, 1)], place) for place, name in enumerate("abc")]
    svg = xy(lines, "told", ("x", "y"), diagonal=True, verticals=[(0.5, "half")], horizontals=[(0.25, "quarter")])
    assert len(found(svg, "line", "reference")) == 3
    assert {"half", "quarter", "a", "b", "c", "x", "y"} <= set(texts(svg))
    assert {len(found(svg, tag, "mark")) for tag in ("circle", "polygon")} == {3, 6}  # in plot and key
    assert {each.get("class") for each in found(svg, "polyline")} == {f"way series-{number}" for number in range(3)}


@pytest.mark.parametrize("points", [[], [(1, 1)], [(0, float("nan")), (1, 2)]])
def test_few_points_make_a_plot_all_the_same(points):
    assert "<svg" in xy([Line("a", points)], "told", ("x", "y"))


def test_a_staircase_ends_where_all_values_are_below():
    assert steps([5.0, 1.0], 0, 4)[-1] == (4, 1.0)  # what is beyond the edge is drawn at it
    assert steps([], 0, 1) == [(0, 0.0), (1, 0.0)]
