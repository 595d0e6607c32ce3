"""The verdict, and the section on the comparison that it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from analysis.report.blocks import Block, Bullets, Heading, Plot, Section, Table, Words, missing
from analysis.report.charts import Line, Row, curves, forest
from analysis.report.data import Facts
from analysis.report.formatting import UNKNOWN, chance, figure, many, number
from analysis.report.metrics_json import Results, summary_of
from analysis.report.sections.real_image_equivalent import exchange, like_for_like, power
from analysis.statistics.metric_labels import metric_in_words

_COMPARE = "balance compare"
_WEAK = "weak baseline"
_SERIES = {"free": 0, "synthetic": 1, "real": 2, "control": 4}
_KEYS = {2: "only real images", 0: "without synthetic images", 1: "with synthetic images", 4: "control"}
_COLUMNS = 6  # as many as fit on paper
_FOLDER_STAMP = re.compile(r"; (?!th(?:at|is) )")  # one stamp has a semicolon of its own


def stamps_of(facts: Facts) -> list[str]:
    """What must be said wherever the verdict is, the worst first."""
    found = [] if facts.results is None else list(facts.results.stamps)
    return sorted(dict.fromkeys(found), key=lambda stamp: "INVALID" not in stamp)


def verdict(facts: Facts) -> Section:
    """What came of it all, with its stamps beside it."""
    blocks: list[Block] = [Words(each, "warning") for each in facts.warnings]
    results = facts.results
    if results is None:
        blocks.append(Words("It is not known whether the synthetic images help: nothing was compared yet.", "verdict"))
        blocks += missing(
            "Train with and without them, and test on patients that neither classifier was trained on.", _COMPARE
        )
    else:
        earlier = results.points or (results.verdict or "The comparison has no verdict.",)  # of 0.1: no sentence
        first, *more = (results.sentence, *results.points) if results.sentence else earlier
        blocks += [Words(first, "verdict"), *([Bullets(more)] if more else [])]
    if stamps := stamps_of(facts):
        blocks.append(Bullets(stamps, "stamps"))
    if results is not None:
        blocks += [Words(each) for each in (_weak(stamps), _use(results), _openings(results)) if each]
        said = summary_of(results.power)
        if said and said not in results.verdict:
            what = "What cross-fitting can show" if results.folds else "What this test split can show"
            blocks.append(Words(f"{what}: {said}"))
    if facts.balanced is not None and (said := facts.balanced.facts.get("stamps", "")):
        blocks += [Heading("Stamps of the balanced folder"), Bullets(_FOLDER_STAMP.split(said))]
    return Section("verdict", "Verdict", blocks)


def _weak(stamps: Sequence[str]) -> str:
    """A stamp that needs a word more."""
    if _WEAK not in stamps:
        return ""
    return (
        "Weak baseline: the arms were compared with a small classifier that was trained only on these images. A "
        "stronger one, "
        "as would be used in practice, may gain less from synthetic images, or nothing (balance compare --backbone)."
    )


def _use(results: Results) -> str:
    return f"The arm to use: {results.best_arm}." if results.best_arm else ""


def _openings(results: Results) -> str:
    if results.openings is None:
        return ""
    once = "once" if results.openings == 1 else f"{results.openings} times"
    more = ": every further use makes its result less reliable" if results.openings > 1 else ""
    return f"The test split was opened {once}{more}."


def comparison(facts: Facts) -> Section:
    """All arms with their intervals, and what they were tested on."""
    title, results = "The comparison", facts.results
    if results is None:
        return Section("comparison", title, missing("Nothing was compared yet.", _COMPARE))
    blocks: list[Block] = [Words(_design(results))]
    blocks += _meanings(results)
    if results.test:
        blocks.append(_tested(results))
    blocks += [*_differences(results), *like_for_like(results), *_arms(results), *_recall(results)]
    blocks += [*_reliability(results), *_strata(results)]
    blocks += [*power(results), *exchange(results), *_left_out(results)]
    return Section("comparison", title, blocks)


def _design(results: Results) -> str:
    ends = [metric_in_words(each) for each in (results.primary, results.secondary) if each]
    named = f", {results.how_named}" if results.how_named else ""
    said = [f"Endpoint{named}: {ends[0]}" + (f"; second: {ends[1]}." if ends[1:] else ".")] if ends else []
    if results.seeds is not None:
        said.append(f"Each arm was trained with {many(results.seeds, 'seed')}, paired across arms.")
    kinds = (("without", results.free), ("with", results.synthetic))
    chosen = [f"{arm}, the best {kind} synthetic images" for kind, arm in kinds if arm]
    if results.folds:
        said.append(f"Cross-fitted: every patient is tested once, in one of {results.folds} folds.")
    if results.how_chosen:
        said.append(results.how_chosen)
    elif chosen:
        said.append(f"Chosen on the {results.chosen_on} split: {'; and '.join(chosen)}.")
    if results.reference:
        said.append(f"Differences are to {results.reference}.")
    said.append("Brackets are 95% intervals.")
    return " ".join(said)


def _meanings(results: Results) -> list[Block]:
    rows = [[name, results.meanings[name]] for name in results.ordered if name in results.meanings]
    caption = "The arms: ways to train the same classifier, all with the same number of steps"
    return [Table(caption, ["arm", "description"], rows, prose=True)] if rows else []


def _tested(results: Results) -> Table:
    labels = list(dict.fromkeys([*results.test, *results.train]))
    rows = [
        [label, *map(_count, (results.train.get(label), *results.test.get(label, (None, None))))] for label in labels
    ]
    return Table("Real images that the arms were trained and tested on", _TESTED, rows)


_TESTED = ("class", "training images", "test images", "test patients")


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _differences(results: Results) -> list[Block]:
    blocks: list[Block] = []
    for rank, metric in {"primary": results.primary, "secondary": results.secondary}.items():
        rows = [
            Row(name, results.differences[name][metric], _series(results, name))
            for name in sorted(results.differences, key=_place_in(results.ordered))
            if metric in results.differences[name] and name != results.reference
        ]
        if rows:
            words = metric_in_words(metric)
            title = f"Differences of {words} to {results.reference}"
            told = f"{words}: each arm minus {results.reference or 'the reference'}; right of the line is better."
            chart = forest(f"differences-{rank}", rows, title, words, reference=0, signed=True, keys=_KEYS)
            blocks.append(Plot(chart, told))
    if blocks:
        blocks.append(_difference_table(results))
        blocks.insert(0, Heading(f"Differences to {results.reference or 'the reference'}"))
    return blocks


def _series(results: Results, name: str) -> int:
    return _SERIES.get(results.kinds.get(name, ""), 3)


def _place_in(order: Sequence[str]) -> Any:
    return lambda name: order.index(name) if name in order else len(order)


def _difference_table(results: Results) -> Table:
    metrics = [each for each in (results.primary, results.secondary) if each]
    header = ["arm", *(word for each in metrics for word in (metric_in_words(each), "p (Holm)"))]
    rows = []
    for name in sorted(results.differences, key=_place_in(results.ordered)):
        found, probabilities = results.differences[name], results.p_values.get(name, {})
        cells = [(figure(found.get(each), signed=True), chance(probabilities.get(each))) for each in metrics]
        rows.append([name, *(cell for pair in cells for cell in pair)])
    return Table(
        "Each arm minus the reference [95%]; p only for the two endpoints, corrected over the arms", header, rows
    )


def _arms(results: Results) -> list[Block]:
    if not results.arms:
        return []
    known = f"; * the arm to use: {results.best_arm}" if results.best_arm else ""
    caption = f"All arms on the test split [95%]; validation: mean of the primary endpoint there{known}"
    blocks: list[Block] = [Heading("All arms"), _table_of_arms(results, caption, _whole(results), validation=True)]
    for name in ("auprc", "auroc", "recall"):
        metrics = [metric for metric in results.metrics if metric.startswith(f"{name}:")]
        for start in range(0, len(metrics), _COLUMNS):
            more = _prevalence(results) if name == "auprc" else ""
            title = f"{name.upper() if name != 'recall' else 'Recall'} of each class [95%]{more}"
            blocks.append(_table_of_arms(results, title, metrics[start : start + _COLUMNS]))
    return blocks


def _whole(results: Results) -> list[str]:
    """The endpoints, and the metrics that are not of one class."""
    return [each for each in results.metrics if ":" not in each or each in (results.primary, results.secondary)]


def _table_of_arms(results: Results, caption: str, metrics: Sequence[str], *, validation: bool = False) -> Table:
    rows = []
    for name in results.ordered:
        first = [f"{name} *" if name == results.best_arm else name]
        first += [number(results.validation.get(name))] if validation else []
        rows.append([*first, *(figure(results.arms[name].get(metric)) for metric in metrics)])
    names = [metric_in_words(each) if validation else each.partition(":")[2] for each in metrics]
    return Table(caption, ["arm", *(["validation"] if validation else []), *names], rows)


def _prevalence(results: Results) -> str:
    figures = next(iter(results.arms.values()), {})
    found = {name.partition(":")[2]: each for name, each in figures.items() if name.startswith("prevalence:")}
    said = ", ".join(f"{label} {each.value:.1%}" for label, each in found.items())
    return f"; prevalence in the test split: {said}" if said else ""


def _recall(results: Results) -> list[Block]:
    labels = [name.removeprefix("recall:") for name in results.metrics if name.startswith("recall:")]
    rows: list[Row] = []
    for label in labels:
        found = [(name, results.arms[name].get(f"recall:{label}")) for name in results.shown]
        if any(each for _, each in found):
            rows.append(Row(label))
            rows += [Row(name, each, _series(results, name)) for name, each in found if each]
    if not rows:
        return []
    chart = forest("recall", rows, "Recall of each class by arm", "recall", limits=(0, 1), digits=2)
    return [Heading("Recall by class"), Plot(chart, "Recall of each class by arm, with 95% intervals.")]


def _reliability(results: Results) -> list[Block]:
    chosen = [name for name in results.shown if results.reliability.get(name)] or [*results.reliability][:3]
    lines = [
        Line(name, [(predicted, observed) for predicted, observed, _ in results.reliability[name]], place)
        for place, name in zip(_unlike([_series(results, name) for name in chosen]), chosen, strict=True)
        if results.reliability[name]
    ]
    if not lines:
        return []
    rare = results.primary.partition(":")[2]
    axes = ("predicted probability", f"share that is {rare}" if len(rare) <= 24 else "observed share")
    most = max(end for line in lines for point in line.points for end in point)
    limits = (0.0, min(1.0, max(0.2, 1.1 * most)))
    chart = curves("reliability", lines, "Reliability diagram", axes, limits=limits)
    size = next((count for _, _, count in results.reliability[chosen[0]] if count), 0)
    told = f"Calibration for {rare or 'the rare class'}: on the diagonal, probabilities equal frequencies."
    return [Heading("Reliability"), Plot(chart, told + (f" About {many(size, 'image')} a point." if size else ""))]


def _unlike(series: Sequence[int]) -> Sequence[int]:
    """The series numbers, replaced by 0, 1, 2, ... where two of them are equal."""
    return series if len(set(series)) == len(series) else range(len(series))


def _strata(results: Results) -> list[Block]:
    metrics = [each for each in (results.primary, results.secondary) if each]
    blocks: list[Block] = []
    for attribute, values in results.strata.items():
        header = [
            attribute.replace("_", " "),
            "images",
            *(f"{name}: {metric_in_words(m)}" for name in results.shown for m in metrics),
        ]
        rows = [
            [value, _count(images), *(figure(arms.get(name, {}).get(m)) for name in results.shown for m in metrics)]
            for value, (images, arms) in values.items()
        ]
        if rows:
            blocks.append(Table(f"By {attribute.replace('_', ' ')} [95%]", header, rows))
    return [Heading("By sex, age and view"), *blocks] if blocks else []


def _left_out(results: Results) -> list[Block]:
    if not results.left_out:
        return []
    rows = [[name, why] for name, why in results.left_out.items()]
    return [Heading("Left out"), Table("Arms that were not trained, and why", ["arm", "why"], rows, prose=True)]
