"""A methods paragraph and the topics of CLAIM, to be pasted into a paper; `templates/*.txt` has their words.

After the Checklist for Artificial Intelligence in Medical Imaging (Mongan, Moy, Kahn 2020,
doi:10.1148/ryai.2020200029; its update: Tejani et al. 2024, doi:10.1148/ryai.240300), in our own words and order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from analysis.report.data import MADE_WITH, PARTS, Facts
from analysis.report.rendering import render
from analysis.report.stored_results import Results
from balancer.text import many

AUTHORS = "to be completed by the authors"
_HOLDOUT = "training, but not of the generator"
_PART_NAMES = {"train": "training", "holdout": _HOLDOUT, "val": "validation", "test": "test"}
_BEGINNINGS = {"image": "the same class", "mix": "another class", "inpaint": "the normal class, in a part of each"}
_BACKBONE = ("backbone", "steps", "side", "batch_size", "recipe")  # as `RunSettings.facts` has them


def methods(facts: Facts) -> Mapping[str, Any]:
    """The paragraph, and the checklist with what is known of each topic."""
    return {"paragraph": paragraph(facts), "checklist": checklist(facts)}


def paragraph(facts: Facts) -> str:
    """What was done, as a paper would say it."""
    return " ".join(render("paragraph.txt", **_shown(facts)).split())


def checklist(facts: Facts) -> list[tuple[str, str]]:
    """Each topic, and what of it is known."""
    lines = (line.partition(" |") for line in render("checklist.txt", **_shown(facts)).splitlines() if " |" in line)
    return [(topic, answer.strip() or AUTHORS) for topic, _, answer in lines]


def _shown(facts: Facts) -> Mapping[str, Any]:
    sizes = {part: sum(images for images, _ in facts.counts[part].values()) for part in PARTS}
    return {
        "facts": facts,
        "results": facts.results,
        "stamps": facts.stamps,
        "authors": AUTHORS,
        "classes": {label: sum(facts.counts[part].get(label, (0, 0))[0] for part in PARTS) for label in facts.labels},
        "partitions": {_PART_NAMES[part]: size for part, size in sizes.items() if size},
        "decided": {
            each: sum(one[each] for one in facts.screened.decisions.values()) for each in ("accept", "unscreened")
        },
        "kinds": list(dict.fromkeys(kind for kind, *_ in facts.findings)),
        **_generation(facts),
        **_comparison(facts.results),
    }


def _generation(facts: Facts) -> Mapping[str, Any]:
    """What the synthetic images were made with, and how many began with real ones, and how far from them."""
    drawn = [] if facts.balanced is None else [each for each in facts.balanced.made if each[0].get("model")]
    counts: Counter[str] = Counter()
    for made, images in drawn:
        counts[made.get("mode", "")] += images
    return {
        "added": sum(facts.added.values()),
        "made": {**dict.fromkeys(MADE_WITH, ""), **drawn[0][0]} if drawn else None,
        "guidance": sorted({made.get("guidance_scale") or "0" for made, _ in drawn}, key=float),
        "edited": [(counts[mode], whose) for mode, whose in _BEGINNINGS.items() if counts[mode]],
        "strengths": sorted({made.get("strength") or "" for made, _ in drawn} - {""}),
    }


def _comparison(results: Results | None) -> Mapping[str, Any]:
    """What is known of the classifiers, as phrases."""
    if results is None:
        return dict.fromkeys(("backbone", "robustness", "tested", "performance"), ())
    shown = [(name, results.arms[name].get(results.endpoint.primary)) for name in results.shown]
    seeds = [f"{many(results.seeds, 'seed')} for each arm"] if results.seeds else []
    return {
        "backbone": [
            f"{each.replace('_', ' ')} {results.settings[each]}" for each in _BACKBONE if each in results.settings
        ],
        "robustness": [*seeds, *([f"by {', '.join(results.strata)}"] if results.strata else [])],
        "tested": [
            f"{label}: {tested.images or 'unknown'} images of {tested.patients or 'unknown'} patients"
            for label, tested in results.test.items()
        ],
        "performance": [f"{name} {each.value:.3f} ({each.low:.3f} to {each.high:.3f})" for name, each in shown if each],
    }
