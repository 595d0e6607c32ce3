"""Is it the adapter, not the image: are more candidates than real images unusually close to a training image?"""

from __future__ import annotations

from collections.abc import Sequence

_SURE = 0.01


def blame(percentiles: Sequence[float], queries: int, near: int) -> str:
    """A sentence that names the adapter as the cause, or "" where there is none.

    `percentiles` are the candidates' (nearer to a training image than so many of 100 real images of other patients);
    of `queries` real images, `near` are above the 95th. One-sided test of Fisher (1922).

    >>> blame([99.9] * 30 + [50.0] * 70, queries=400, near=20).split(" are")[0]
    'the model copies: 30 of 100 candidates'
    >>> blame([96.0] * 5 + [50.0] * 95, queries=400, near=20)
    ''
    """
    from scipy.stats import fisher_exact

    found = sum(percentile > 95 for percentile in percentiles)
    if not percentiles or not queries:
        return ""
    table = [[found, len(percentiles) - found], [near, queries - near]]
    if float(fisher_exact(table, alternative="greater").pvalue) >= _SURE:
        return ""
    return (
        f"the model copies: {found} of {len(percentiles)} candidates are nearer to a training image than 95% of real "
        f"images of other patients are ({near} of {queries}): train it for fewer steps, on more images, or use another"
    )
