"""`balance scan --fail-on` and `--max-imbalance`: what makes a scan exit with 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from balancer.errors import BalanceError

if TYPE_CHECKING:
    from balancer.collection.findings import Finding

_ANY = "any"


def kinds_of(text: str | None) -> frozenset[str]:
    """The kinds of findings that `--fail-on` names.

    Raises:
        BalanceError: one of them is none; the message says what there is.
    """
    from balancer.collection.findings import KINDS

    named = [name.strip() for name in (text or "").split(",") if name.strip()]
    unknown = [name for name in named if name not in KINDS and name != _ANY]
    if unknown or (text is not None and not named):
        raise BalanceError(
            needed="kinds of findings in --fail-on, with commas between them:\n"
            + "\n".join(f"          {kind}: {words}" for kind, words in KINDS.items()),
            found=", ".join(map(repr, unknown)) or "none",
            next_step="for example: balance scan DATA --fail-on leak,unreadable (or: --fail-on any)",
        )
    return frozenset(KINDS) if _ANY in named else frozenset(named)


def require_ratio(ratio: float | None) -> None:
    """See that `--max-imbalance` can be met.

    Raises:
        BalanceError: it is below 1, which no collection reaches, or no number.
    """
    if ratio is None or ratio >= 1:
        return
    raise BalanceError(
        needed="a ratio of the largest class to the smallest in --max-imbalance, 1 (balanced) or more",
        found=f"{ratio:g}",
        next_step="for example: balance scan DATA --max-imbalance 3",
    )


def failures(
    findings: Iterable[Finding], ratio: float, kinds: Collection[str], max_imbalance: float | None
) -> list[str]:
    """The reasons to exit with 1, in words."""
    found = Counter(finding.kind for finding in findings if finding.kind in kinds)
    reasons = [f"{count} finding{'s' if count > 1 else ''} of the kind {kind}" for kind, count in found.items()]
    if max_imbalance is not None and ratio > max_imbalance:
        reasons.append(f"the imbalance ratio {ratio:.1f} is above {max_imbalance:g}")
    return reasons
