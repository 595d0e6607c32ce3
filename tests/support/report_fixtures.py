"""For the tests of the report: a filled collection, and a `metrics.json` as `balance compare` writes it, made up."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report.data import PARTS, Facts
from analysis.report.stored_json import structured
from analysis.report.stored_results import Results
from analysis.report.verdict_counts import Screened
from balancer.dataset.merge import merge
from balancer.jobs import Verdict
from balancer.splits.split import Split
from tests.support.balanced_fixtures import FACTS
from tests.support.review_fixtures import judged, opened, prepare

KINDS = {
    **{"real": "real", "class-weights": "free", "logit-adjustment": "free", "oversampling": "free"},
    **{"strong-augmentation": "free", "crt": "free", "duplicated": "free", "threshold-shift": "free"},
    **{"synthetic-0.25": "synthetic", "synthetic-1": "synthetic", "synthetic-3": "synthetic"},
    **{"synthetic-all": "synthetic", "pretraining": "synthetic", "unscreened": "control"},
}


_WAY = {
    **{"images": 12, "patients": 9, "prevalence": 0.08, "base": 0.5, "auprc": 0.18, "recall": [0.36, 0.44]},
    **{"needed": None, "needed_recall": None},
}


def compared(labels: Sequence[str], rare: str, **changes: Any) -> Results:
    """`metrics`, as the report reads it."""
    return structured(metrics(labels, rare, **changes), Results)


def interval(mean: float, half: float) -> dict[str, float]:
    """A figure with an interval around it; a share stays one."""
    return {"mean": mean, "low": mean - half, "high": min(1.0, mean + half) if mean <= 1 else mean + half}


def metrics(labels: Sequence[str], rare: str, **changes: Any) -> dict[str, Any]:
    """All keys of the format; `changes` replace some."""
    chance = random.Random(0)
    primary = f"auprc:{rare}"
    level = {name: 0.42 + 0.02 * place + chance.uniform(-0.04, 0.04) for place, name in enumerate(KINDS)}
    found: dict[str, Any] = {
        "verdict": "Use strong-augmentation. Synthetic pretraining changes AUPRC of the rare class by +0.031 "
        "[-0.012, 0.074] against it, which this test part cannot tell from nothing; it hurts no class.",
        "best_arm": "strong-augmentation",
        "stamps": ["weak baseline", "generator exposure unknown"],
        "endpoint": {"primary": primary, "secondary": "macro_f1"},
        "arms": {name: _figures(labels, level[name], chance) for name in KINDS},
        "kinds": dict(KINDS),
        "meanings": {name: f"What {name} does." for name in KINDS},
        "left_out": {"reconstructed": "the autoencoder of the generator is not at hand"},
        "chosen": {
            **{"free": "strong-augmentation", "synthetic": "pretraining"},
            "validation": {name: level[name] + 0.01 for name in KINDS},
        },
        "reference": "strong-augmentation",
        "differences": {name: _differences(level, name, primary) for name in KINDS if name != "strong-augmentation"},
        "like_for_like": {
            **{"synthetic": "pretraining", "arm": "class-weights"},
            "images": {primary: interval(0.04, 0.05), "macro_f1": interval(0.02, 0.03)},
            "recipe": {primary: interval(-0.01, 0.05), "macro_f1": interval(0.01, 0.03)},
        },
        "strata": {
            "sex": {
                value: {"images": 26, "arms": {name: {primary: interval(level[name], 0.12)} for name in KINDS}}
                for value in ("F", "M")
            }
        },
        "reliability": {name: _bins(shift) for name, shift in (("strong-augmentation", 0.8), ("pretraining", 0.95))},
        "test": {label: {"images": 30 - 4 * place, "patients": 25 - 4 * place} for place, label in enumerate(labels)},
        "train": {label: 90 - 15 * place for place, label in enumerate(labels)},
        "seeds": 5,
        "power": {
            "sentence": "It can show a difference of AUPRC of 0.18 or more; 0.05 would take 640 more patients.",
            **{"label": rare, "difference": 0.05, "folds": 5, "patients_known": True},
            "one_split": {**_WAY, "needed": 650},
            "cross_fitted": {**_WAY, "images": 60, "patients": 50, "auprc": 0.09, "needed": None},
            **{"notes": ["AUPRC depends on prevalence."], "assumptions": ["Asked: 80% power.", "Assumed: AUROC 0.85."]},
        },
        "exchange": {
            "sentence": "The synthetic images are worth 6 [-4, 31] more real patients of the class.",
            "images": {**interval(7, 12), "least": -20, "most": 40},
            "patients": {**interval(6, 10), "least": -18, "most": 36},
            **{"arm": "pretraining", "label": rare, "rises": True},
            "curve": [
                {"images": size, "patients": size // 2, **interval(0.3 + 0.004 * size, 0.06)}
                for size in (5, 10, 20, 40)
            ],
        },
        "openings": 1,
        "settings": {
            "backbone": "small ResNet",
            "steps": 600,
            "side": 64,
            "backbone_weights": "/srv/me/w.safetensors",
        },
        "version": "0.1.0",
    }
    return {**found, **changes}


def _figures(labels: Sequence[str], level: float, chance: random.Random) -> dict[str, dict[str, float]]:
    per_class = {
        f"{name}:{label}": interval(min(0.95, level + chance.uniform(0, 0.3)), 0.05 + 0.03 * place)
        for name in ("auprc", "auroc", "recall")
        for place, label in enumerate(labels)
    }
    prevalence = {f"prevalence:{label}": interval(1 / len(labels), 0) for label in labels}
    whole = {name: interval(level + 0.1, 0.06) for name in ("macro_f1", "balanced_accuracy", "mcc")}
    return {**per_class, **prevalence, **whole, "brier": interval(0.4, 0.03), "calibration_error": interval(0.08, 0.02)}


def _differences(level: Mapping[str, float], name: str, primary: str) -> dict[str, dict[str, float]]:
    away = level[name] - level["strong-augmentation"]
    tested = {"p": 0.04, "p_holm": 0.4}
    return {primary: {**interval(away, 0.07), **tested}, "macro_f1": {**interval(away / 2, 0.05), **tested}}


def _bins(shift: float) -> list[dict[str, float]]:
    return [{"predicted": p / 10, "observed": min(1.0, shift * p / 10), "images": 8} for p in range(1, 10)]


def prepared(folder: Path, labels: Sequence[str], made: int = 3) -> Path:
    """`folder/xrays`, scanned, with `made` screened images of each class, merged; and a calibration in the cache."""
    prepare(folder, dict.fromkeys(labels, made), SCREENED)
    (folder / ".balance" / "cache").mkdir()
    (folder / ".balance" / "cache" / "calibration-00.json").write_text(json.dumps(CALIBRATION))
    (folder / ".balance" / "reports").mkdir()
    with opened(folder) as (journal, split):
        for number, label in enumerate(labels):
            key = sorted(journal.ledger.candidates(journal.collection, label))[0]
            journal.ledger.add_verdict(journal.collection, key, TURNED_DOWN[number % len(TURNED_DOWN)], "screen 1")
        usable = [each for each in judged(journal).values() if each[1].decision == "accept"]
        facts = {**FACTS, "split": f"drawn, seed 0, sha256 {split.sha256}"}
        merge(journal.collection, split, usable, folder / "xrays-balanced", facts=facts)
    return folder


def keep(folder: Path, found: object, name: str = "metrics.json") -> None:
    """Put a result where the commands keep it."""
    (folder / ".balance" / "reports" / name).write_text(found if isinstance(found, str) else json.dumps(found))


CALIBRATION = [{"pixels": 0.5 + 0.002 * place, "embedding": 0.4 + 0.002 * place} for place in range(200)]
_SCORES = {"copy_pixels": 0.7, "copy_embedding": 0.6, "copy_percentile": 50.0}
SCREENED = Verdict("accept", _SCORES, (), "screen 1")
TURNED_DOWN = (
    Verdict(
        "review",
        {**_SCORES, "copy_pixels": 0.89, "copy_percentile": 96.0},
        ("copy: nearer to a real image than 95% of other patients' images are (nearest: SECRET/p000.png)",),
        "screen 1",
    ),
    Verdict("reject", _SCORES, ("sound: blurred: no detail", "new: it repeats another"), "screen 1"),
)


def facts_with(labels: Sequence[str], results: Results | None, **changes: Any) -> Facts:
    """Facts of a collection of which little is known."""
    parts = pd.Series({f"{label}/{number}.png": "train" for label in labels for number in range(4)}, dtype=object)
    known = Facts(
        name="xrays",
        labels=labels,
        counts={**{part: {} for part in PARTS}, "train": dict.fromkeys(labels, (4, 2))},
        attributes={},
        findings=[],
        patients="",
        table="",
        split=Split(parts, "drawn", 0),
        learned=(),
        balanced=None,
        screened=Screened({}, {}, 0),
        copies=None,
        probe=None,
        quality=None,
        results=results,
        warnings=(),
        private=False,
        version="0.1.0",
    )
    return replace(known, **changes)
