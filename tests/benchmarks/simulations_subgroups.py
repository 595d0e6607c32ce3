"""Do differences by subgroup alarm where there are none, and are planted ones found? By compare's own code."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.comparison.inference.subgroups import Strata, measure_strata
from analysis.comparison.inference.verdict_rule import ArmRoles
from analysis.comparison.inputs.study import Outcomes
from tests.benchmarks.rows import Row
from tests.benchmarks.simulations_power import BASE

NAMED, PRIMARY, LEVEL = ArmRoles("baseline", "synthetic"), "auprc:RARE", 0.05
SEEDS, DRAWS = 5, 200
VALUES = {
    "sex": ("female", "male"),
    "age_group": ("18-39", "40-64", "65+"),
    "view": ("AP", "PA"),
    "site": ("East", "North", "South"),
}


def drawn_set(rng: np.random.Generator, planted: float = 0.0, rare: int = 80, others: int = 320) -> Outcomes:
    """One image a patient, attributes by chance. In the North the synthetic arm has its classes so much farther apart.

    Both arms see the same images: their scores have a part in common, and each training has its own luck.
    """
    positive = np.repeat([1, 0], [rare, others])
    known = pd.DataFrame({name: rng.choice(values, len(positive)) for name, values in VALUES.items()}, dtype=object)
    image, north = rng.standard_normal(len(positive)), (known["site"] == "North").to_numpy()
    probabilities = {}
    for arm in ("baseline", "synthetic"):
        own, luck = rng.standard_normal(len(positive)), rng.normal(0, 0.03, (SEEDS, 1))
        apart = BASE + luck + (planted * north if arm == "synthetic" else 0.0)
        scores = math.sqrt(0.7) * image + math.sqrt(0.3) * own + apart * positive
        share = 1 / (1 + np.exp(BASE - scores))
        probabilities[arm] = np.stack([1 - share, share], axis=-1).astype(np.float32)
    return Outcomes(("COMMON", "RARE"), "RARE", positive, np.arange(len(positive)), known, probabilities)


def alarms(strata: Strata) -> set[str]:
    """The subgroups whose corrected difference is significant."""
    return {
        value
        for values in strata.values()
        for value, each in values.items()
        if each.difference is not None and each.difference.p_holm is not None and each.difference.p_holm <= LEVEL
    }


def found(sets: int, planted: float, seed: int) -> list[set[str]]:
    """The alarms of each of some test sets."""
    rng = np.random.default_rng(seed)
    return [alarms(measure_strata(drawn_set(rng, planted), NAMED, PRIMARY, DRAWS, 0)) for _ in range(sets)]


def no_difference(full: bool) -> Row:
    sets = 1000 if full else 200
    share = float(np.mean([bool(each) for each in found(sets, 0.0, 1)]))
    most = 0.05 + 2 * math.sqrt(0.05 * 0.95 / sets)  # what chance adds to a true 5%
    return Row(
        f"S13 no difference in any of {sum(map(len, VALUES.values()))} subgroups, {sets} test sets",
        "no alarm",
        f"any alarm in {share:.1%}",
        f"at most 5%, with chance {most:.1%}",
        share <= most,
    )


def difference_in_one(full: bool) -> Row:
    sets = 200 if full else 50
    told = found(sets, 2.0, 2)
    share = float(np.mean(["North" in each for each in told]))
    return Row(
        f"S13 a large difference at one of three sites, {sets} test sets",
        "found",
        f"found in {share:.0%}",
        "at least 80%",
        share >= 0.8,
    )


ROWS = [no_difference, difference_in_one]
