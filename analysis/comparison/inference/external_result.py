"""What the arms of a comparison came to on another collection: a table and a sentence of its own, and no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.comparison.inference.bootstrap import (
    Estimate,
    Estimates,
    class_patients,
    class_sizes,
    estimate,
    measure_arms,
)
from analysis.comparison.inference.selection import side_below
from analysis.comparison.inputs.study import Outcomes
from analysis.data.minimums import RARE_TEST_PATIENTS
from analysis.statistics.metric_labels import metric_in_words


@dataclass(frozen=True, slots=True)
class ExternalResult:
    """The figures of every arm on the collection `name`; `difference` is the synthetic arm less the baseline.

    `test` has images and patients by class, `left_out` the images that were not used, by reason. `difference` is None
    where there is no synthetic arm, or where the patients are too few.
    """

    name: str
    sentence: str
    arms: Mapping[str, Estimates]
    test: Mapping[str, Mapping[str, int]]
    difference: Estimate | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


def measure_external(
    said: Outcomes,
    name: str,
    arms: Sequence[str],
    baseline: str,
    synthetic: str | None,
    primary: str,
    *,
    left_out: Mapping[str, int] | None = None,
    times: int = 1000,
    seed: int = 0,
) -> ExternalResult:
    """Measure the arms on external images as on the test split; nothing is chosen by them.

    `difference` is in the primary endpoint, with the interval of the one planned contrast.
    """
    measured, patients = measure_arms(said, times, seed), class_patients(said)
    levels = {arm: estimate(measured[arm], patients) for arm in arms}
    counts = {label: sizes for label, sizes in class_sizes(said).items() if patients[label]}
    few = _too_few(said)
    difference = None
    if synthetic is not None and not few:
        contrast = measured[synthetic].only(primary).minus(measured[baseline].only(primary))
        difference = estimate(contrast, patients, difference=True)[primary]
    told = few or _sentence(difference, levels[baseline][primary], baseline, synthetic, primary)
    people = f"{patients[said.rare]} patients with {said.rare}"
    return ExternalResult(name, f"On {name} ({people}): {told}.", levels, counts, difference, left_out or {})


def _sentence(difference: Estimate | None, level: Estimate, baseline: str, synthetic: str | None, primary: str) -> str:
    what = metric_in_words(primary)
    if difference is None or synthetic is None:
        return f"{what} {level} with {baseline}"
    pair = f"{synthetic} than {baseline}"
    if difference.low > 0:
        return f"{what} is higher with {pair}, {difference.signed}"
    if difference.high < 0:
        return f"{what} is lower with {pair}, {difference.signed}"
    return f"no difference in {what} is shown between {synthetic} and {baseline}, {difference.signed}"


def _too_few(said: Outcomes) -> str:
    """Why nothing can be concluded, or nothing."""
    if (few := side_below(said, RARE_TEST_PATIENTS)) is None:
        return ""
    return f"nothing can be concluded, since {few[0]} patients with {few[1]} are too few ({RARE_TEST_PATIENTS})"


def external_table(found: ExternalResult | None, primary: str) -> list[tuple[str, ...]]:
    """Rows for a terminal: arm, primary endpoint, AUROC and recall of the rare class on the external collection."""
    if found is None:
        return []
    rare = primary.partition(":")[2]
    names = [primary, f"auroc:{rare}", f"recall:{rare}"] if rare else [primary, "mcc", "balanced_accuracy"]
    order = sorted(found.arms.items(), key=lambda each: -np.nan_to_num(each[1][primary].mean, nan=-np.inf))
    return [(arm, *(str(figures[name]) for name in names)) for arm, figures in order]
