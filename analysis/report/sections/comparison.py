"""What the verdict and the section on its comparison show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.report.charts import Chart, Line, Row, curves, forest
from analysis.report.data import Facts
from analysis.report.formatting import UNKNOWN, count, figure, format_p, number
from analysis.report.stored_results import Detectable, Results, Sizes
from analysis.statistics.intervals import Interval
from analysis.statistics.metric_labels import metric_in_words
from balancer.dataset.metadata_files import stamps_in

_SERIES = {"free": 0, "synthetic": 1, "real": 2, "counter": 4, "control": 4}
_KEYS = {2: "only real images", 0: "without synthetic images", 1: "with synthetic images", 4: "control"}
_BY_CLASS = {"auprc": "AUPRC", "auroc": "AUROC", "recall": "Recall"}
_COLUMNS = 6  # as many as fit on paper

Table = list[list[str]]


def verdict(facts: Facts) -> Mapping[str, Any]:
    """What came of it all; its stamps are at the head of the page."""
    return {
        "results": facts.results,
        "stamps": facts.stamps,
        "folder_stamps": [] if facts.balanced is None else stamps_in(facts.balanced.facts),
    }


def comparison(facts: Facts) -> Mapping[str, Any]:
    """All arms with their intervals, and what they were tested on."""
    results = facts.results
    if results is None:
        return {"results": None}
    ends = results.endpoint.named
    kinds = {"without": results.chosen.free, "with": results.chosen.synthetic}
    return {
        "results": results,
        "ends": [metric_in_words(each) for each in ends],
        "rare": results.endpoint.primary.partition(":")[2],
        "chosen": [f"{arm}, the best {kind} synthetic images" for kind, arm in kinds.items() if arm],
        "meanings": [[name, results.meanings[name]] for name in results.ordered if name in results.meanings],
        "sizes": _sizes(results),
        "differences": _differences(results),
        "difference_header": ["arm", *(word for each in ends for word in (metric_in_words(each), "p (Holm)"))],
        "difference_rows": _difference_rows(results),
        "same": results.like_for_like,
        "same_recipe": _same_recipe(results),
        "whole": [metric_in_words(each) for each in _whole(results)],
        "arms": _arms(results, _whole(results), validation=True),
        "by_class": list(_by_class(results)),
        "prevalence": _prevalence(results),
        "recall": _recall(results),
        "reliability": _reliability(results),
        "point_size": next((each.images for bins in results.reliability.values() for each in bins if each.images), 0),
        "strata": list(_strata(results)),
        "finding_header": [
            "finding",
            "test patients",
            results.reference or "baseline",
            results.chosen.synthetic or UNKNOWN,
            "difference",
            "p (Holm)",
            "told",
        ],
        "finding_rows": _findings(results),
        "detectable": _detectable(results),
        "curve": _curve(results),
        "curve_arm": _curve_arm(results),
        "external_header": ["arm", *(metric_in_words(each) for each in _external_metrics(results))],
        "external_rows": _external(results),
    }


def _external_metrics(results: Results) -> list[str]:
    primary, secondary = results.endpoint.primary, results.endpoint.secondary
    rare = primary.partition(":")[2]
    return [each for each in (primary, *([f"auroc:{rare}", f"recall:{rare}"] if rare else []), secondary) if each]


def _external(results: Results) -> Table:
    """Every arm on another collection."""
    arms: Mapping[str, Mapping[str, Interval]] = {} if results.external is None else results.external.arms
    return [
        [name, *(figure(arms[name].get(metric)) for metric in _external_metrics(results))]
        for name in results.ordered
        if name in arms
    ]


def _sizes(results: Results) -> Table:
    return [
        [label, *map(count, (results.train.get(label), tested.images, tested.patients))]
        for label in dict.fromkeys([*results.test, *results.train])
        for tested in [results.test.get(label, Sizes())]
    ]


def _differences(results: Results) -> dict[str, Chart]:
    """A figure for each endpoint, by its name."""
    found = {}
    for rank, metric in {"primary": results.endpoint.primary, "secondary": results.endpoint.secondary}.items():
        rows = [
            Row(name, results.differences[name][metric], _series(results, name))
            for name in _in_order(results, results.differences)
            if metric in results.differences[name] and name != results.reference
        ]
        if rows:
            words = metric_in_words(metric)
            title = f"Differences of {words} to {results.reference}"
            axis = f"difference of {words}"
            found[words] = forest(f"differences-{rank}", rows, title, axis, reference=0, signed=True, keys=_KEYS)
    return found


def _series(results: Results, name: str) -> int:
    return _SERIES.get(results.kinds.get(name, ""), 3)


def _in_order(results: Results, names: Mapping[str, Any]) -> list[str]:
    places = {name: place for place, name in enumerate(results.ordered)}
    return sorted(names, key=lambda name: places.get(name, len(places)))


def _difference_rows(results: Results) -> Table:
    rows = []
    for name in _in_order(results, results.differences):
        found = [results.differences[name].get(each) for each in results.endpoint.named]
        cells = [(figure(each, signed=True), format_p(each.p_value if each else None)) for each in found]
        rows.append([name, *(cell for pair in cells for cell in pair)])
    return rows


def _same_recipe(results: Results) -> Table:
    """What of the difference of the two chosen arms the images account for, and what the recipe of their arm."""
    same = results.like_for_like
    if not (same.images and same.synthetic and same.arm and results.endpoint.named):
        return []
    found: dict[str, Mapping[str, Interval]] = {f"the images: {same.synthetic} minus {same.arm}": same.images}
    if same.recipe:
        whole = results.differences.get(same.synthetic, {})
        found |= {f"the recipe: {same.arm} minus {results.reference}": same.recipe, "both together": whole}
    ends = results.endpoint.named
    return [[name, *(figure(each.get(metric), signed=True) for metric in ends)] for name, each in found.items()]


def _whole(results: Results) -> list[str]:
    """The endpoints, and the metrics that are not of one class."""
    return [each for each in results.metrics if ":" not in each or each in results.endpoint.named]


def _arms(results: Results, metrics: Sequence[str], *, validation: bool = False) -> Table:
    return [
        [
            f"{name} *" if name == results.best_arm else name,
            *([number(results.chosen.validation.get(name))] if validation else []),
            *(figure(results.arms[name].get(metric)) for metric in metrics),
        ]
        for name in results.ordered
    ]


def _by_class(results: Results) -> Iterator[tuple[str, list[str], Table]]:
    """The tables of a metric of each class: its name, classes and rows."""
    for name, words in _BY_CLASS.items():
        metrics = [metric for metric in results.metrics if metric.startswith(f"{name}:")]
        for start in range(0, len(metrics), _COLUMNS):
            some = metrics[start : start + _COLUMNS]
            yield words, [each.partition(":")[2] for each in some], _arms(results, some)


def _prevalence(results: Results) -> str:
    figures = next(iter(results.arms.values()), {})
    found = {name.partition(":")[2]: each for name, each in figures.items() if name.startswith("prevalence:")}
    return ", ".join(f"{label} {each.value:.1%}" for label, each in found.items())


def _recall(results: Results) -> Chart | None:
    rows: list[Row] = []
    for metric in (name for name in results.metrics if name.startswith("recall:")):
        found = [(name, results.arms[name].get(metric)) for name in results.shown]
        known = [Row(name, each, _series(results, name)) for name, each in found if each]
        rows += [Row(metric.partition(":")[2]), *known] if known else []
    return forest("recall", rows, "Recall of each class by arm", "recall", limits=(0, 1), digits=2) if rows else None


def _reliability(results: Results) -> Chart | None:
    chosen = [name for name in results.shown if results.reliability.get(name)] or [*results.reliability][:3]
    series = [_series(results, name) for name in chosen]
    unlike = series if len(set(series)) == len(series) else range(len(series))
    lines = [
        Line(name, [(each.predicted, each.observed) for each in results.reliability[name]], place)
        for place, name in zip(unlike, chosen, strict=True)
        if results.reliability[name]
    ]
    if not lines:
        return None
    rare = results.endpoint.primary.partition(":")[2]
    axes = ("predicted probability", f"share that is {rare}" if len(rare) <= 24 else "observed share")
    most = max(end for line in lines for point in line.points for end in point)
    return curves("reliability", lines, "Reliability diagram", axes, limits=(0.0, min(1.0, max(0.2, 1.1 * most))))


def _strata(results: Results) -> Iterator[tuple[str, list[str], Table]]:
    """The tables by sex, age, view and site: name, header and rows."""
    ends = results.endpoint.named
    for attribute, values in results.strata.items():
        name = attribute.replace("_", " ")
        arms = [f"{arm}: {metric_in_words(each)}" for arm in results.shown for each in ends]
        header = [name, "images", f"difference of {metric_in_words(results.endpoint.primary)}", "p (Holm)", *arms]
        rows = [
            [
                f"{value} ({stratum.left_out})" if stratum.left_out else value,
                count(stratum.images),
                figure(stratum.difference, signed=True),
                format_p(stratum.difference.p_value if stratum.difference else None),
                *(figure(stratum.arms.get(arm, {}).get(each)) for arm in results.shown for each in ends),
            ]
            for value, stratum in values.items()
        ]
        if rows:
            yield name, header, rows


def _findings(results: Results) -> Table:
    """The AUPRC of each finding in both arms of the verdict, the rarest in the test split first."""
    named = sorted(results.findings.items(), key=lambda item: (item[1].patients or 0, item[0]))
    return [
        [
            name,
            count(each.patients),
            figure(each.baseline),
            figure(each.synthetic),
            figure(each.difference, signed=True),
            format_p(each.difference.p_value if each.difference else None),
            each.told,
        ]
        for name, each in named
    ]


def _detectable(results: Results) -> Table:
    """The smallest differences that can be shown, and what a smaller one would take."""
    power = results.power
    ways = {} if power is None else {"this test split": power.one_split, "cross-fitting": power.cross_fitted}
    return [_way(name, way) for name, way in ways.items() if way is not None]


def _way(name: str, way: Detectable) -> list[str]:
    recall = " to ".join(dict.fromkeys(number(each, 2) for each in way.recall)) or UNKNOWN
    return [name, count(way.images), count(way.patients), number(way.auprc, 2), recall, count(way.needed)]


def _curve_arm(results: Results) -> str:
    return (results.exchange and results.exchange.arm) or results.chosen.synthetic


def _curve(results: Results) -> Chart | None:
    """The learning curve of the rare class, and where the synthetic arm stands beside it."""
    if results.exchange is None or not results.exchange.curve:
        return None
    points = sorted(results.exchange.curve, key=lambda each: each.images)
    name = f"{results.reference or 'real images alone'}, with fewer real images"
    line = Line(name, [(at.images, at.value) for at in points], 0, bars=[(at.low, at.high) for at in points])
    arm = _curve_arm(results)
    reached = results.arms.get(arm, {}).get(results.endpoint.primary)
    axes = ("real training images of the class", metric_in_words(results.endpoint.primary))
    levels = {} if reached is None else {arm: reached.value}
    return curves("learning-curve", [line], "Learning curve of the rare class", axes, levels=levels)
