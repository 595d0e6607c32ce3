"""A methods paragraph and the topics of CLAIM, to be pasted into a paper.

After the Checklist for Artificial Intelligence in Medical Imaging (Mongan, Moy, Kahn 2020,
doi:10.1148/ryai.2020200029; its update: Tejani et al. 2024, doi:10.1148/ryai.240300), in our own words and order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from analysis.report.blocks import Heading, Paste, Section, Table, Words, clean, many
from analysis.report.data import PARTS, Facts, Made
from analysis.report.metrics_json import Results, summary_of
from analysis.report.sections.comparison import stamps_of
from analysis.statistics.metric_labels import metric_in_words

AUTHORS = "to be completed by the authors"


def methods(facts: Facts) -> Section:
    """The paragraph, and the checklist with what is known of each topic."""
    note = "One click selects the paragraph. Read it before you use it: it contains only what was recorded."
    source = (
        "The topics of the Checklist for Artificial Intelligence in Medical Imaging (CLAIM; Mongan, Moy and Kahn 2020, "
        "updated by Tejani et al. 2024) in our own words; compare it with the published list before you submit."
    )
    return Section(
        "methods",
        "For a paper",
        [
            Words(note, "quiet"),
            Paste(paragraph(facts)),
            Heading("A CLAIM-style checklist"),
            Words(source, "quiet"),
            Table(
                "What a paper should report, and what was recorded",
                ("topic", "trained on before"),
                checklist(facts),
                prose=True,
            ),
        ],
    )


def paragraph(facts: Facts) -> str:
    """What was done, as a paper would say it."""
    said = [_data(facts), _partition(facts), _generation(facts), _screening(facts), _training(facts), _result(facts)]
    return clean(" ".join(filter(None, said))).replace("\n", " ")


def checklist(facts: Facts) -> list[tuple[str, str]]:
    """Each topic, and what of it is known."""
    return [(topic, answer(facts) or AUTHORS) for topic, answer in _TOPICS]


def _data(facts: Facts) -> str:
    sizes = {label: sum(facts.counts[part].get(label, (0, 0))[0] for part in PARTS) for label in facts.labels}
    classes = ", ".join(f"{label} {count:,}" for label, count in sizes.items())
    return f"The collection has {many(sum(sizes.values()), 'radiograph')} in {len(sizes)} classes ({classes})."


def _partition(facts: Facts) -> str:
    how = {
        "collection": "The collection's own partition was kept",
        "drawn": "Images were assigned to partitions at random, by patient"
        if facts.patients
        else "Images were assigned to partitions at random",
        "file": "Partitions were taken from a table of the authors",
        "none": "No partition was made",
    }.get(facts.split.origin, "Partitions were made")
    sizes = {part: sum(images for images, _ in facts.counts[part].values()) for part in PARTS}
    names = {
        "train": "training",
        "holdout": "training, but not of the generator",
        "val": "validation",
        "test": "test",
    }
    parts = "; ".join(f"{names[part]} {size:,}" for part, size in sizes.items() if size)
    known = "" if facts.patients else " Patients are unknown, so leakage between partitions is not excluded."
    left = len(facts.split.left_out)
    out = (
        f" {many(left, 'image')} on a list of the authors took part in neither training nor validation." if left else ""
    )
    return f"{how} ({parts} images; SHA-256 of the partition {facts.split.sha256[:16]}).{known}{out}{_folds(facts)}"


def _is_cross_fitted(facts: Facts) -> bool:
    return facts.results is not None and facts.results.folds > 0


def _folds(facts: Facts) -> str:
    """How a cross-fitted comparison laid that partition aside."""
    results = facts.results
    if results is None or not results.folds:
        return ""
    by = "by patient" if facts.patients else "by image"
    adapted = "the generator was adapted, " if "adapt" in results.refitted else ""
    return (
        f" The comparison did not use this partition, but was cross-fitted in {results.folds} folds {by}: in each fold "
        f"its images were the test partition. A validation partition was taken from the others {by}. From the rest, "
        f"{adapted}synthetic images were generated and screened, and classifiers were trained. Every image "
        "was tested once, by classifiers that were not trained on it."
    )


def _generation(facts: Facts) -> str:
    if facts.balanced is None:
        return ""
    count = sum(synthetic for _, synthetic in facts.balanced.counts.values())
    drawn = [(made, images) for made, images in facts.balanced.made if made.get("model")]
    said = f"{many(count, 'synthetic image')} were added to the training partition only"
    own = (
        " Each fold of the comparison had its own images, generated in the same way." if _is_cross_fitted(facts) else ""
    )
    if not drawn:
        return f"{said}.{own}"
    made = drawn[0][0]
    guidance = sorted({each.get("guidance_scale") or "0" for each, _ in drawn}, key=float)
    adapter = f" with the adapter {made['adapter']}" if made.get("adapter") else ""
    return (
        f"{said}, generated by {made['model']}{adapter} (SHA-256 of the weights {made.get('model_sha256', '')[:16]}; "
        f"{made.get('scheduler', '')}, {made.get('steps', '')} steps, guidance {' or '.join(guidance)}, "
        f"{made.get('width', '')} x {made.get('height', '')} pixels).{_from_real_ones(drawn)}{own}"
    )


_BEGINNINGS = {"image": "the same class", "mix": "another class"}


def _from_real_ones(drawn: Sequence[tuple[Made, int]]) -> str:
    """How many images were edited from real ones, and how far; nothing where none was."""
    counts: Counter[str] = Counter()
    for made, images in drawn:
        counts[made.get("mode", "")] += images
    began = [(counts[mode], whose) for mode, whose in _BEGINNINGS.items() if counts[mode]]
    said = " and ".join(f"{count:,} were edited from real training images of {whose}" for count, whose in began)
    strengths = " or ".join(sorted({made.get("strength") or "" for made, _ in drawn} - {""}))
    return f" Of these, {said}, at strength {strengths}." if said else ""


def _screening(facts: Facts) -> str:
    found = facts.screened
    if not found.total:
        return ""
    counts = {each: sum(one[each] for one in found.decisions.values()) for each in ("accept", "unscreened")}
    said = f"Of {many(found.total, 'candidate')}, {counts['accept']:,} were accepted by automatic checks or a reader"
    said += f", and {counts['unscreened']:,} could not be screened for copies" if counts["unscreened"] else ""
    if facts.copies is None:
        return f"{said}."
    review, reject = facts.copies.rates
    return (
        f"{said}. Candidates were rejected as copies beyond a conformal threshold from {len(facts.copies.real):,} "
        f"patients (at most {reject:.1%} of images that are not copies), and left to a reader beyond {review:.1%}."
    )


def _training(facts: Facts) -> str:
    results = facts.results
    if results is None:
        return ""
    count, arms = many(len(results.trained), "arm"), ", ".join(results.trained)
    ends = " and ".join(metric_in_words(each) for each in (results.primary, results.secondary) if each)
    seeds = f", {many(results.seeds, 'seed')} each" if results.seeds else ""
    seeds += " in each fold" if seeds and results.folds else ""
    named = f", {results.how_named}" if results.how_named else ""
    return (
        f"Classifiers were trained in {count} ({arms}) at equal optimiser steps{seeds}, and "
        f"tested on real images at natural prevalence. Endpoints{named}: {ends or 'unknown'}. "
        f"{_chosen(results)}{_redraws(results)} Intervals (95%) are Student's, by errors that come from "
        "a bootstrap over patients and seeds, paired across arms; p values are corrected by Holm's method."
    )


def _chosen(results: Results) -> str:
    if not results.folds:
        best = "The best arm without and the best with synthetic images were chosen on the"
        if results.chosen_on == "validation":
            return f"{best} validation partition."
        return f"{best} images of the generator holdout, on which no classifier was trained either."
    return (
        "In each fold the best arm without and the best with synthetic images were chosen on its own validation "
        "partition, and these two were evaluated on its test patients."
    )


def _redraws(results: Results) -> str:
    if results.redraws < 2:
        return ""
    return (
        f" The synthetic images were generated {results.redraws} times with other seeds of the generator, which were "
        "assigned "
        "to the training seeds, so that the intervals include the variance of the generator."
    )


def _result(facts: Facts) -> str:
    results = facts.results
    if results is None:
        return "It was not tested whether the synthetic images help."
    stamps = f" Reservations: {'; '.join(stamps_of(facts))}." if stamps_of(facts) else ""
    opened = {None: "", 1: " The test partition was opened once."}.get(
        results.openings, f" The test partition was opened {results.openings} times."
    )
    return f"{results.verdict}{opened}{stamps}"


def _of(read: Callable[[Results], str]) -> Callable[[Facts], str]:
    """An answer that only a comparison knows."""
    return lambda facts: "" if facts.results is None else read(facts.results)


def _tested(results: Results) -> str:
    return "; ".join(
        f"{label}: {images or 'unknown'} images of {patients or 'unknown'} patients"
        for label, (images, patients) in results.test.items()
    )


def _performance(results: Results) -> str:
    shown = [(name, results.arms[name].get(results.primary)) for name in results.shown]
    found = [f"{name} {each.value:.3f} ({each.low:.3f} to {each.high:.3f})" for name, each in shown if each]
    return f"{metric_in_words(results.primary)}: {'; '.join(found)}. See the table of all arms." if found else ""


def _demographics(facts: Facts) -> str:
    return f"See the tables by {', '.join(facts.attributes)}; for each partition: {AUTHORS}" if facts.attributes else ""


def _findings(facts: Facts) -> str:
    kinds = dict.fromkeys(kind for kind, *_ in facts.findings)
    return f"Findings of the scan: {', '.join(kinds)}" if kinds else "The scan had no findings"


_nobody = _of(lambda results: "")
"""What no record tells."""


_TOPICS: tuple[tuple[str, Callable[[Facts], str]], ...] = (
    ("Title and abstract: kind of AI, design, methods, results and conclusion", _nobody),
    ("Clinical background, and the intended use of the classifier", _nobody),
    (
        "Aims and hypotheses",
        _of(lambda r: f"Does adding synthetic images change {metric_in_words(r.primary)}?" if r.primary else ""),
    ),
    ("Design: retrospective or prospective; the goal of the study", _nobody),
    ("Sources of the images; places, dates, permission of an ethics board", _nobody),
    ("Inclusion and exclusion of patients and images", _data),
    (
        "Preparation of the images",
        lambda f: "Decoded to 8-bit grey, 16-bit files rescaled; resized as in the settings",
    ),
    ("Duplicates, confounders and damaged files", _findings),
    ("De-identification", _nobody),
    ("Missing data", lambda f: "" if f.patients else "Patients are unknown"),
    ("How images were acquired: machines, views, protocols", _nobody),
    ("Reference standard: definition, source, annotators and their agreement", _nobody),
    ("How data were assigned to partitions", _partition),
    (
        "The level at which partitions are disjoint",
        lambda f: "Patient" if f.patients else "Image; patients are unknown",
    ),
    ("Sample size and statistical power", _of(lambda r: summary_of(r.power))),
    ("The generator, its source and its settings", _generation),
    ("What the generator was trained on", lambda f: " ".join(f.learned)),
    ("Checks of the synthetic images, and rejected images", _screening),
    ("The classifier and how it was trained", _of(lambda r: _backbone(r))),
    ("Software and versions", lambda f: f"balance {f.version}"),
    (
        "How the final model was chosen",
        _of(lambda r: r.how_chosen or f"On {r.chosen_on}: {', '.join(filter(None, (r.free, r.synthetic)))}"),
    ),
    ("Measures of performance", _of(lambda r: ", ".join(map(metric_in_words, r.metrics)))),
    (
        "Uncertainty and significance",
        _of(
            lambda r: (
                "95%, Student's by the errors of a bootstrap by patient and seed; Holm over the arms" if r.arms else ""
            )
        ),
    ),
    ("Robustness: other seeds, other settings, subgroups", _of(lambda r: _robustness(r))),
    ("Explanation of single predictions", _nobody),
    ("Test on internal data", _of(_tested)),
    ("Test on external data", _nobody),
    ("Flow of patients, and exclusions", _nobody),
    ("Demographic and clinical characteristics of each partition", _demographics),
    ("Performance with intervals", _of(_performance)),
    ("Analysis of failures", _nobody),
    ("Limits of the study", lambda f: "; ".join([*stamps_of(f), *f.warnings])),
    ("Implications for practice", _nobody),
    ("Registration, protocol, and availability of code, data and weights", _nobody),
    ("Funding and conflicts of interest", _nobody),
)


def _backbone(results: Results) -> str:
    named = ("backbone", "steps", "side", "batch_size", "recipe")  # as `RunSettings.facts` has them
    known = [f"{name.replace('_', ' ')} {results.settings[name]}" for name in named if name in results.settings]
    return ", ".join(known)


def _robustness(results: Results) -> str:
    seeds = f"{many(results.seeds, 'seed')} for each arm" if results.seeds else ""
    return "; ".join(filter(None, (seeds, f"by {', '.join(results.strata)}" if results.strata else "")))
