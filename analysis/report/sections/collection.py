"""The sections on the collection and its synthetic images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.report.blocks import Block, Bullets, Plot, Section, Strip, Table, Words, missing
from analysis.report.charts import Bar, Row, bars, forest, shares
from analysis.report.data import PARTS, Facts, ReportFolder
from analysis.report.formatting import chance, figure, many, number
from analysis.report.json_reading import entries, interval, mapping, real, text, texts
from analysis.report.sections.copies import Copies
from analysis.report.sections.screening import DECISIONS, GATES, Screened
from analysis.statistics.intervals import Interval
from balancer.collection.imbalance import measure_imbalance

_FILL = "balance fill --target max --dry-run"
_FILES = 3
_DETECTORS = 8
_FIDELITY = {
    **{"kid": "KID (lower is better)", "fid": "FID (lower is better)"},
    **{
        "precision": "precision: share of synthetic images that look real",
        "recall": "recall: share of real images that are covered",
    },
}
_NOT_ANONYMOUS = (
    "Accepted images lie below the threshold because the others were rejected. This does not show how many "
    "copies the check misses, and does not make any image anonymous."
)
_BEYOND = 2.5  # times the rejection threshold: what is farther is drawn at the edge


def distribution(facts: Facts) -> Section:
    """Classes before and after, by part."""
    before = facts.training
    added = {label: _added(facts, label) for label in facts.labels}
    rows = [
        Bar(label, {"real": before[label], "synthetic": added[label]}, _sum(before[label], added[label]))
        for label in facts.labels
    ]
    blocks: list[Block] = [
        Words(_imbalance(before, added)),
        Plot(
            bars("training-images", rows, ["real", "synthetic"], "Training images of each class, real and synthetic"),
            "The training split: real images (before), and the synthetic images that were added.",
        ),
    ]
    tested = [label for label in facts.labels if facts.counts["test"].get(label)]
    if tested:
        counts = {label: facts.counts["test"].get(label, (0, 0))[0] for label in facts.labels}
        tests = [Bar(label, {"real": count}, f"{count:,}") for label, count in counts.items()]
        chart = bars("test-images", tests, ["real"], "Test images of each class, all of them real")
        blocks.append(Plot(chart, "The test split: only real images."))
    blocks.append(_by_part(facts, added))
    blocks += [_crosstab(name, table) for name, table in facts.attributes.items()]
    if facts.balanced is None:
        blocks += missing("There is no balanced folder yet.", _FILL)
    return Section("distribution", "Distribution before and after", blocks)


def _added(facts: Facts, label: str) -> int:
    return 0 if facts.balanced is None else facts.balanced.counts.get(label, (0, 0))[1]


def _sum(before: int, added: int) -> str:
    return f"{before:,} + {added:,}" if added else f"{before:,}"


def _imbalance(before: Mapping[str, int], added: Mapping[str, int]) -> str:
    first = measure_imbalance(before)
    said = f"Largest to smallest class of the training split: {_ratio(first.ratio)} to 1"
    if not any(added.values()):
        return f"{said}."
    after = measure_imbalance({label: count + added[label] for label, count in before.items()})
    return (
        f"{said} before, {_ratio(after.ratio)} to 1 after; evenness (1 is balanced) {first.evenness:.2f} before, "
        f"{after.evenness:.2f} after. {many(sum(added.values()), 'synthetic image')}, only in the training split."
    )


def _ratio(value: float) -> str:
    return "infinite" if value == float("inf") else f"{value:.1f}"


def _by_part(facts: Facts, added: Mapping[str, int]) -> Table:
    parts = [part for part in PARTS if facts.counts[part]]
    rows = [
        [label, *(_images(facts.counts[part].get(label, (0, 0))) for part in parts), f"{added[label]:,}"]
        for label in facts.labels
    ]
    names = {"train": "training", "holdout": "generator holdout", "val": "validation", "test": "test"}
    caption = (
        "Real images of each split (known patients in brackets), and synthetic images. "
        "Generator holdout: training images that no generator is trained on."
    )
    return Table(caption, ["class", *(names[part] for part in parts), "synthetic"], rows)


def _images(count: tuple[int, int]) -> str:
    images, patients = count
    return f"{images:,} ({patients:,})" if patients else f"{images:,}"


def _crosstab(name: str, table: Mapping[str, Mapping[str, tuple[int, int]]]) -> Table:
    values = list(next(iter(table.values()), {}))
    rows = [[label, *(_images(row[value]) for value in values)] for label, row in table.items()]
    title = "age group" if name == "age" else name
    return Table(f"Class by {title}: images (known patients in brackets)", ["class", *values], rows)


def findings(facts: Facts) -> Section:
    """What the scan found, one row for each kind."""
    kinds = Counter(kind for kind, *_ in facts.findings)
    rows = []
    for kind, times in kinds.items():
        same = [each for each in facts.findings if each[0] == kind]
        files = [path for *_, paths in same for path in paths]
        named = ", ".join(files[:_FILES]) + (f" and {len(files) - _FILES} more" if len(files) > _FILES else "")
        rows.append([kind, f"{times:,}", same[0][1], same[0][2], *([] if facts.private else [named])])
    if not rows:
        return Section("findings", "Findings of the scan", [Words("The scan found no faults.")])
    header = ["finding", "times", "meaning", "fix", *([] if facts.private else ["files"])]
    caption = "Most serious first; of several findings of one kind the first is shown."
    return Section("findings", "Findings of the scan", [Table(caption, header, rows, prose=True)])


def sheets(facts: Facts) -> Section:
    """Real images beside synthetic ones, class by class."""
    title = "Real beside synthetic"
    if facts.private:
        return Section("sheets", title, [Words("Images are left out of this report (--private).", "quiet")])
    found = {} if facts.balanced is None else facts.balanced.sheets
    if not any(synthetic for _, synthetic in found.values()):
        return Section("sheets", title, missing("There are no synthetic images yet.", _FILL))
    note = (
        "Taken at equal steps from the files of each class, not chosen by hand. This page shows images of patients: "
        "protect it like the collection, or leave them out with --private."
    )
    strips = [
        Strip(label, [(kind, tiles) for kind, tiles in zip(("real", "synthetic"), sides, strict=True) if tiles])
        for label, sides in found.items()
        if any(sides)
    ]
    return Section("sheets", title, [Words(note, "quiet"), *strips])


def screening(facts: Facts) -> Section:
    """What the gates and people decided, by class and by reason."""
    title, found = "Screening", facts.screened
    if not found.total:
        return Section("screening", title, missing("No images were generated, so none were screened.", _FILL))
    by = (
        f", {many(found.persons, 'verdict')} of them by a person"
        if found.persons
        else ", all by automatic screening checks"
    )
    rows = [
        Bar(label, dict(counts), f"{counts['accept'] + counts['unscreened']:,} of {counts.total():,}")
        for label, counts in found.decisions.items()
    ]
    shown = [each for each in DECISIONS if any(counts[each] for counts in found.decisions.values())]
    blocks: list[Block] = [
        Words(
            f"{many(found.total, 'image')} generated or imported so far{by}. Rejected images are in no balanced "
            "folder; "
            "images under review wait for the decision of a person."
        ),
        Plot(
            bars("decisions", rows, shown, "Decisions by class"),
            "Decisions by class, and how many images were not rejected.",
        ),
        _decisions(found),
    ]
    if found.reasons:
        blocks.append(_reasons(found))
    return Section("screening", title, blocks)


def _decisions(found: Screened) -> Table:
    rows = [[label, *(f"{counts[each]:,}" for each in DECISIONS)] for label, counts in found.decisions.items()]
    return Table("Images by class and decision", ["class", *DECISIONS], rows)


def _reasons(found: Screened) -> Table:
    labels = list(found.decisions)
    rows = [
        [f"{decision}: {reason}", GATES.get(gate, gate).partition(":")[0], *(f"{counts[each]:,}" for each in labels)]
        for (decision, gate, reason), counts in found.reasons.items()
    ]
    gates = "; ".join(GATES.values())
    return Table(
        f"Reasons by screening check and class; an image may have several reasons. {gates}.",
        ["reason", "check", *labels],
        rows,
    )


def copies(facts: Facts) -> Section:
    """Distances of synthetic images to patients, beside those between patients."""
    title, found = "Copies of patients", facts.copies
    if found is None:
        why = "Distances to patients are measured when copies are screened: this needs 19 known patients and a fill."
        return Section("copies", title, missing(why, _FILL))
    return Section("copies", title, _copy_blocks(found))


def _copy_blocks(found: Copies) -> list[Block]:
    all_made = [value for values in found.synthetic.values() for value in values]
    farthest = max([*found.real, *all_made], default=0.0)
    end = max(1.3 * found.reject, min(1.05 * farthest, _BEYOND * found.reject), 1.0)
    groups = {
        f"real images, to other patients ({len(found.real):,})": found.real,
        f"all synthetic images, to patients ({len(all_made):,})": all_made,
        f"accepted synthetic images, to patients ({len(found.accepted):,})": found.accepted,
    }
    chart = shares(
        "similarity",
        groups,
        "Share of real and of synthetic images that are less similar to a patient than a given similarity",
        ("similarity to the nearest other patient (surprisal) →", "share less similar"),
        end=end,
        thresholds=tuple(zip((found.review, found.reject), _beyond(found), strict=True)),
    )
    review, reject = _beyond(found)
    asked = f"Above {review} of the patients a person decides; above" if review != reject else "Above"
    told = (
        f"Similarity of images to the nearest image of another patient. {asked} {reject} an image is rejected. Of "
        "images that are not copies, at most the rest are rejected; this is not the rate of copies found. A line to "
        "the right of the real one means copying."
    )
    blocks: list[Block] = [Plot(chart, told), _copy_table(found), Words(_NOT_ANONYMOUS, "quiet")]
    if not found.certain:
        blocks.append(Words("The thresholds may belong to another state of the collection than the images.", "warning"))
    return blocks


def _copy_table(found: Copies) -> Table:
    made = {f"synthetic {label}, all that were generated": values for label, values in found.synthetic.items()}
    groups = {"real, to other patients": found.real, **made, "synthetic, accepted, all classes": found.accepted}
    rows = [
        [name, f"{len(values):,}", *(_above(values, limit) for limit in (found.review, found.reject))]
        for name, values in groups.items()
    ]
    beyond = [f"above {share}" for share in _beyond(found)]
    return Table("Images above the thresholds", ["images", "number", *beyond], rows)


def _beyond(found: Copies) -> tuple[str, str]:
    """The shares of patients who come less near than each threshold, for review and rejection."""
    review, reject = (f"{100 * (1 - rate):.3g}%" for rate in found.rates)
    return review, reject


def _above(values: Sequence[float], limit: float) -> str:
    count = sum(value > limit for value in values)
    return f"{count:,} ({count / len(values):.1%})" if values else "0"


def probe(facts: Facts) -> Section:
    """Whether synthetic can be told from real, and what by."""
    title, found = "Can synthetic images be distinguished from real ones?", facts.probe
    if not found:
        return Section("probe", title, missing("Not measured yet.", "balance probe"))
    fixes = texts(found.get("fixes"))
    blocks: list[Block] = [Words(text(found.get("verdict")))]
    blocks += [Bullets([f"Fix: {each}" for each in fixes])] if fixes else []
    classes = [mapping(each) for each in entries(found.get("classes"))]
    rows = list(_detector_rows(classes))
    if rows:
        chart = forest(
            "detectors", rows, "AUROC of the best detectors", "AUROC (0.5 is chance)", reference=0.5, digits=2
        )
        told = "How well each detector distinguishes synthetic from real images of a class [95%]; the best first."
        blocks += [Plot(chart, told), _detector_table(classes, real(found.get("level")))]
    return Section("probe", title, blocks)


def _detector_rows(classes: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for one in classes:
        found = [(text(each.get("name")), interval(each.get("area"))) for each in _detectors(one)]
        if any(area for _, area in found):
            yield Row(text(one.get("label")))
            yield from (Row(name, area, 0) for name, area in found if area)


def _detectors(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [mapping(each) for each in entries(one.get("detectors"))][:_DETECTORS]


def _alarms(detector: Mapping[str, Any], level: float | None) -> bool:
    chance = real(detector.get("p_value"))
    return chance is not None and level is not None and chance <= level


def _detector_table(classes: Sequence[Mapping[str, Any]], level: float | None) -> Table:
    rows = [
        [
            f"{text(one.get('label'))}: {text(each.get('name'))}",
            figure(interval(each.get("area")), 2),
            chance(real(each.get("p_value"))),
            "yes" if _alarms(each, level) else "no",
        ]
        for one in classes
        for each in _detectors(one)
    ]
    return Table("What distinguishes them", ["class and detector", "AUROC [95%]", "p", "alarm"], rows)


def quality(facts: Facts) -> Section:
    """How near synthetic images are to real ones, beside how near these are to each other."""
    title, classes = "Fidelity", mapping(facts.quality.get("classes"))
    if not classes:
        return Section("quality", title, missing("Not measured yet.", "balance quality"))
    said = [text(mapping(each).get("sentence")) for each in classes.values()]
    rows = [
        [f"{label}: {name}", figure(value, 3), number(same.value if same else None)]
        for label, each in classes.items()
        for name, value, same in _fidelity(mapping(each))
    ]
    note = "Good values do not show that the images help; only the comparison can show that."
    blocks: list[Block] = [Bullets([*filter(None, said), *texts(facts.quality.get("notes"))])]
    if rows:
        caption = f"Measured in {text(facts.quality.get('embedding')) or 'an embedding'}"
        blocks.append(Table(caption, ["class and metric", "real to synthetic [95%]", "real to real"], rows))
    return Section("quality", title, [*blocks, Words(note, "quiet")])


def _fidelity(found: Mapping[str, Any]) -> Iterator[tuple[str, Interval | None, Interval | None]]:
    reference = mapping(found.get("reference"))
    for name, value in mapping(found.get("figures")).items():
        yield _FIDELITY.get(name, name), interval(value), interval(reference.get(name))


def origins(balanced: ReportFolder) -> list[Block]:
    """By what the synthetic images were made."""
    blocks: list[Block] = []
    for made, count in balanced.made[:_DETECTORS]:
        known = [[name.replace("_", " "), value] for name, value in made.items() if value]
        blocks.append(
            Table(f"{many(count, 'synthetic image')} generated with", ["setting", "value"], known, prose=True)
        )
    if len(balanced.made) > _DETECTORS:
        blocks.append(Words(f"{len(balanced.made) - _DETECTORS} other settings are in provenance.csv.", "quiet"))
    return blocks
