"""What a paired comparison of two shares can show: of the same units, how many does one get right and the other not?"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy.stats import binom


def mcnemar_power(n: int, discordant: float, difference: float, level: float = 0.05) -> float:
    """The chance that the exact test of McNemar (1947) shows a difference of two shares of the same `n` units.

    Two shares that differ by `difference` disagree on at least as many units, so that the share of discordant units is
    `max(discordant, difference)` (Connor 1987). The number of discordant units is binomial, and of them those that
    favour the better one: both sums are exact.

    >>> round(mcnemar_power(12, 0.2, 0.58), 2), round(mcnemar_power(12, 0.2, 0.4), 2)
    (0.8, 0.33)
    """
    discordant = max(discordant, difference)
    counts = np.arange(int(binom.ppf(1e-9, n, discordant)), int(binom.isf(1e-9, n, discordant)) + 1)
    least = binom.isf(level / 2, counts, 0.5) + 1  # so many of them one way are significant
    found = binom.sf(least - 1, counts, (discordant + difference) / (2 * discordant))
    return float(binom.pmf(counts, n, discordant) @ found)


def detectable_difference(n: int, discordant: float, power: float = 0.8, level: float = 0.05) -> float | None:
    """The smallest difference that `mcnemar_power` reaches; `None` where even the largest does not.

    >>> [round(detectable_difference(n, 0.2), 2) for n in (6, 8, 12, 60)]
    [0.96, 0.8, 0.58, 0.16]
    >>> detectable_difference(5, 0.2) is None
    True
    """
    low, high = 1e-6, 1.0
    if mcnemar_power(n, discordant, high, level) < power:
        return None
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if mcnemar_power(n, discordant, middle, level) >= power else (middle, high)
    return high


def units_needed(difference: float, discordant: float, power: float = 0.8, level: float = 0.05) -> int:
    """So many units show the difference: Connor's (1987) number, raised until the exact test has the power.

    >>> units_needed(0.2, 0.25), units_needed(0.05, 0.25)
    (50, 820)
    """
    normal, discordant = NormalDist(), max(discordant, difference)
    errors = normal.inv_cdf(1 - level / 2) * math.sqrt(discordant)
    errors += normal.inv_cdf(power) * math.sqrt(max(0.0, discordant - difference**2))
    n = math.ceil((errors / difference) ** 2)
    while mcnemar_power(n, discordant, difference, level) < power:
        n += max(1, n // 100)
    return n
