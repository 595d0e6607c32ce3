"""Which generated images may be merged: the one rule of what an accepted image is."""

from __future__ import annotations

from balancer.jobs import Verdict

NO_SCREEN, USER_OVERRIDE, TOO_FEW = "no screen", "override: --accept-unscreened", "too few patients"
"""Reviewers of unscreened images that are merged all the same: nothing was to be screened, what cannot be screened was
accepted, or patients are known, but too few for a threshold, of which the user is warned."""
_OVERRIDES = (NO_SCREEN, USER_OVERRIDE, TOO_FEW, "user's word")  # the last: as version 0.1 wrote it


def is_accepted(verdict: Verdict) -> bool:
    """Whether an image may be merged: it was accepted, or an override lets it in unscreened.

    >>> is_accepted(Verdict("unscreened", {}, (), NO_SCREEN)), is_accepted(Verdict("unscreened", {}, (), "screen 1"))
    (True, False)
    """
    return verdict.decision == "accept" or (verdict.decision == "unscreened" and verdict.reviewer in _OVERRIDES)
