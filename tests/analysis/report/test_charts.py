"""Where bars, points and lines come to lie, and how a figure stands in the page."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from analysis.report.charts import MARKS, Bar, Line, Row, bars, curves, forest, shares, shorten
from analysis.statistics.intervals import Interval

ROOT = Path(__file__).parents[3]


def drawn(chart):
    """The axes with the figure in it, as data."""
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    chart.plot(axes)
    return axes


def texts(chart):
    return [each.text for each in ElementTree.fromstring(chart.inline()).iter("text")]


def test_bars_are_as_long_as_their_amounts():
    rows = [Bar("a", {"real": 40}, "40"), Bar("b", {"real": 10, "synthetic": 30}, "10 + 30")]
    chart = bars("classes", rows, ["real", "synthetic"], "classes")
    real, synthetic = drawn(chart).containers
    assert [bar.get_width() for bar in real] == [40, 10]
    assert [(bar.get_x(), bar.get_width()) for bar in synthetic] == [(40, 0), (10, 30)]
    assert real[0].get_hatch() != synthetic[0].get_hatch()
    assert set(texts(chart)) == {"a", "b", "40", "10 + 30", "real", "synthetic"}
    assert chart.description == "a: 40; b: 10 + 30"


@pytest.mark.parametrize("rows", [[], [Bar("a", {})]])
def test_no_bar_at_all_is_drawn_of_nothing(rows):
    assert "real" in texts(bars("none", rows, ["real"], "none"))


def test_a_forest_has_marks_intervals_and_figures():
    rows = [Row("group"), Row("free", Interval(-0.1, -0.2, 0.0), 0), Row("made", Interval(0.1, 0.0, 0.2), 1)]
    keys = {0: "without synthetic images", 1: "with synthetic images"}
    chart = forest("differences", rows, "differences", "AUPRC", reference=0, signed=True, keys=keys)
    axes = drawn(chart)
    marks = {line.get_marker(): line.get_xydata().tolist() for line in axes.lines if line.get_marker() in MARKS}
    assert marks == {"o": [[-0.1, 1]], "s": [[0.1, 2]]}
    assert [each.get_segments()[0].tolist() for each in axes.collections] == [[[-0.2, 1], [0, 1]], [[0, 2], [0.2, 2]]]
    assert {"−0.100 [−0.200, +0.000]", "group", "AUPRC", *keys.values()} <= set(texts(chart))
    assert chart.description == "free: −0.100 [−0.200, +0.000]; made: +0.100 [+0.000, +0.200]"


def test_a_figure_outside_its_own_interval_is_drawn_all_the_same():
    axes = drawn(forest("odd", [Row("a", Interval(0.5, 0.6, 0.9))], "odd", "x", limits=(0, 1)))
    assert axes.get_xlim() == pytest.approx((-0.03, 1.03))


def test_lines_differ_by_more_than_colour():
    lines = [Line(name, [(0, 0), (1, 1)], place) for place, name in enumerate("abc")]
    chart = curves("lines", lines, "told", ("x", "y"), limits=(0, 1), levels={"quarter": 0.25})
    found = [line for line in drawn(chart).lines if line.get_marker() in MARKS]
    assert len({line.get_marker() for line in found}) == len({str(line._dash_pattern) for line in found}) == 3
    assert {"quarter", "a", "b", "c", "x", "y"} <= set(texts(chart))


@pytest.mark.parametrize("points", [[], [(1, 1)], [(0, float("nan")), (1, 2)]])
def test_few_points_make_a_plot_all_the_same(points):
    assert "a" in texts(curves("few", [Line("a", points)], "told", ("x", "y")))


def test_shares_grow_with_each_value():
    chart = shares("similarity", {"real": [5.0, 1.0], "none": []}, "t", ("x", "y"), end=4, thresholds=[(3, "95%")])
    (line,) = [line for line in drawn(chart).lines if line.get_label() == "real"]
    assert [(x, y) for x, y in line.get_xydata().tolist() if y] == [(1, 0.5), (5, 1)]
    assert "95%" in texts(chart)
    assert chart.description == "real: half of them below 5.00"


HOSTILE = "</text><script>alert(1)</script>\x00\u202e $x^2$"


def test_what_is_written_is_text():
    chart = bars("hostile", [Bar(HOSTILE[:20], {"real": 1}, HOSTILE)], ["real"], HOSTILE)
    root = ElementTree.fromstring(chart.inline())
    assert not {"script", "style", "metadata"} & {element.tag for element in root.iter()}
    cleaned = HOSTILE.replace("\x00", "\ufffd").replace("\u202e", "\ufffd")
    assert cleaned in texts(chart)
    assert root.find("title").text == cleaned


def test_a_figure_in_the_page_has_names_of_its_own_and_no_style():
    rows = [Bar("a", {"real": 1, "synthetic": 1})]
    one, two = (bars(name, rows, ["real", "synthetic"], "t").inline() for name in ("one", "two"))
    assert "style=" not in one
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in (one, two)]
    assert not set(ids[0]) & set(ids[1])
    assert len(ids[0]) == len(set(ids[0]))
    named = re.findall(r'(?:url\(|href=")#([^")]+)', one)
    assert named
    assert set(named) <= set(ids[0])
    root = ElementTree.fromstring(one)
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "one-title one-desc")


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_the_same_figure_has_the_same_bytes(form):
    chart = forest("same", [Row("a", Interval(0.5, 0.4, 0.6))], "t", "x")
    assert chart.save(form) == chart.save(form)
    assert "matplotlib.pyplot" not in sys.modules


def test_a_name_of_many_lines_is_one_line():
    assert shorten("a\nb") == "a b"


FIRST = """
from analysis.report.charts import Bar, bars
print(bars("classes", [Bar("nodule", {"real": 8}, "8")], ["real"], "Classes").save("png")[1:4])
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["home", "no/such"])
def test_matplotlib_writes_into_the_cache_alone_and_needs_none(tmp_path, place):
    (tmp_path / "home").mkdir()
    (tmp_path / "no").touch()
    kept = {name: value for name, value in os.environ.items() if name not in ("MPLCONFIGDIR", "XDG_CACHE_HOME")}
    environment = {**kept, "HOME": str(tmp_path / place), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (ended.stdout.strip(), ended.stderr) == ("b'PNG'", "")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ([".cache"] if place == "home" else [])
