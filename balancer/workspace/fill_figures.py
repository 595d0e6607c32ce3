"""How long a fill took, how fast it generated, and how many of its images were rejected by which check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from balancer.filling.acceptance import is_accepted

if TYPE_CHECKING:
    from balancer.filling.run import FillReport


@dataclass(frozen=True, slots=True)
class FillFigures:
    """A fill in figures: it `made` images within `generating` of its `seconds`, on `device`.

    `generating` includes loading the model and screening. Of the images that it `judged`, those of earlier runs
    included, `rejected` were rejected and `review` wait for a person; `checks` counts the rejected by the check that
    rejected them, an image with several reasons once for each check. Within `finishing` seconds this process encoded,
    screened and recorded the images that it made.

    >>> found = FillFigures(12.0, 10.0, "cpu", made=20, judged=20, rejected=5, review=0, checks={"sound": 5})
    >>> found.images_a_second, found.share_rejected
    (2.0, 0.25)
    """

    seconds: float
    generating: float
    device: str
    made: int
    judged: int
    rejected: int
    review: int
    checks: Mapping[str, int] = field(default_factory=dict)
    finishing: float = 0.0

    @classmethod
    def of(cls, report: FillReport, seconds: float, generating: float, device: str) -> FillFigures:
        """The figures of what a fill made and judged."""
        verdicts = [verdict for some in report.judged.values() for _, verdict in some]
        kept_out = [each for each in verdicts if each.decision != "review" and not is_accepted(each)]
        checks = Counter(name for each in kept_out for name in {reason.partition(":")[0] for reason in each.reasons})
        return cls(
            seconds=round(seconds, 1),
            generating=round(generating, 1),
            device=device,
            made=report.made,
            judged=len(verdicts),
            rejected=len(kept_out),
            review=sum(each.decision == "review" for each in verdicts),
            checks=dict(checks.most_common()),
            finishing=round(report.finishing, 3),
        )

    @property
    def images_a_second(self) -> float | None:
        """Unknown where nothing was generated."""
        return self.made / self.generating if self.made and self.generating else None

    @property
    def share_rejected(self) -> float | None:
        """Unknown where nothing was judged."""
        return self.rejected / self.judged if self.judged else None

    def to_json(self) -> dict[str, Any]:
        """The figures, for programs."""
        return {
            **{"seconds": self.seconds, "generating": self.generating, "device": self.device, "made": self.made},
            **{"judged": self.judged, "rejected": self.rejected, "review": self.review, "checks": dict(self.checks)},
            **{"finishing": self.finishing},
            **{"images_a_second": self.images_a_second, "share_rejected": self.share_rejected},
        }
