"""What a test part can show at all, what the images do themselves, and what they are worth in real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.report.blocks import Block, Bullets, Heading, Plot, Table, Words
from analysis.report.charts import Line, curves
from analysis.report.formatting import UNKNOWN, figure, number
from analysis.report.json_reading import entries, intervals, mapping, real, text, texts, whole
from analysis.report.metrics_json import Results, curve_of, summary_of
from analysis.statistics.intervals import Interval
from analysis.statistics.metric_labels import metric_in_words

_WAYS = {"one_split": "this test split", "cross_fitted": "cross-fitting"}
_SHOWS = (
    *("test by", "images", "patients", "smallest difference of AUPRC", "of recall"),
    *("patients of the class needed for the wanted difference",),
)


def power(results: Results) -> list[Block]:
    """The smallest differences that can be shown, what was assumed, and what a smaller one would take."""
    found = results.power
    if not found:
        return []
    said = summary_of(found)
    blocks: list[Block] = [
        Heading("What such a comparison can show" if results.folds else "What this test split can show"),
        *([Words(said)] if said else []),
    ]
    rows = [_way(name, mapping(found.get(key))) for key, name in _WAYS.items() if mapping(found.get(key))]
    if rows:
        label, wanted = text(found.get("label")) or "the rare class", number(real(found.get("difference")), 2)
        blocks.append(Table(f"What can be shown for {label}; wanted difference: {wanted}", _SHOWS, rows))
    told = [*texts(found.get("notes")), *texts(found.get("assumptions"))]
    return [*blocks, *([Bullets(told)] if told else [])]


def _way(name: str, found: Mapping[str, Any]) -> list[str]:
    counts = [whole(found.get(key)) for key in ("images", "patients")]
    recall = [number(real(each), 2) for each in entries(found.get("recall"))]
    needed = whole(found.get("needed"))
    return [
        name,
        *(UNKNOWN if count is None else f"{count:,}" for count in counts),
        number(real(found.get("auprc")), 2),
        " to ".join(dict.fromkeys(recall)) or UNKNOWN,
        UNKNOWN if needed is None else f"{needed:,}",
    ]


def like_for_like(results: Results) -> list[Block]:
    """What of the difference of the two chosen arms the images account for, and what the recipe of their arm."""
    found, metrics = results.like_for_like, [each for each in (results.primary, results.secondary) if each]
    synthetic, arm = text(found.get("synthetic")), text(found.get("arm"))
    images, recipe = (intervals(found.get(name)) for name in ("images", "recipe"))
    if not (images and synthetic and arm and metrics):
        return []
    told: dict[str, Mapping[str, Interval]] = {f"the images: {synthetic} minus {arm}": images}
    if recipe:
        whole = results.differences.get(synthetic, {})
        told |= {f"the recipe: {arm} minus {results.reference}": recipe, "both together": whole}
    rows = [[name, *(figure(each.get(metric), signed=True) for metric in metrics)] for name, each in told.items()]
    said = (
        f"{synthetic} is trained by the same recipe as {arm}, which has no synthetic images: the difference between "
        "the two "
        "is the effect of the images in that arm."
    )
    rest = " The rest of its difference to the reference is due to the recipe." if recipe else ""
    header = ["what", *map(metric_in_words, metrics)]
    return [
        Heading("The images or the recipe?"),
        Words(said + rest),
        Table("The same recipe with and without images [95%]", header, rows),
    ]


def exchange(results: Results) -> list[Block]:
    """The learning curve of the rare class, and where the synthetic arm stands beside it."""
    found = results.exchange
    said, curve = summary_of(found), curve_of(found)
    if not (said or curve):
        return []
    blocks: list[Block] = [Heading("How many real images the synthetic images are worth")]
    blocks += [Words(said)] if said else []
    if curve:
        blocks.append(_curve(results, text(found.get("arm")) or results.synthetic))
    return blocks


def _curve(results: Results, arm: str) -> Plot:
    curve = curve_of(results.exchange)
    name = f"{results.reference or 'real images alone'}, with fewer real images"
    line = Line(name, [(size, at.value) for size, at in curve], 0, bars=[(at.low, at.high) for _, at in curve])
    reached = results.arms.get(arm, {}).get(results.primary)
    levels = {} if reached is None else {arm: reached.value}
    axes = ("real training images of the class", metric_in_words(results.primary))
    chart = curves("learning-curve", [line], "Learning curve of the rare class", axes, levels=levels)
    rises = "" if results.exchange.get("rises") is not False else " The curve does not rise measurably."
    return Plot(
        chart, f"The learning curve of the rare class, 95% intervals; the broken line is {arm or 'an arm'}.{rises}"
    )
