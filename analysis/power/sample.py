"""What is tested, and what is assumed of two arms before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.data.minimums import ADVISED_SEEDS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is assumed of the two arms, and asked of the test.

    The reference separates the class from all others with an area under the ROC curve of `auroc`; scores of the two
    arms for one image correlate by `correlation`, those of one arm for two images of a patient by `resemblance`; the
    arms disagree on at least the shares `discordant` of the class's images (a range). An arm is trained with `seeds`
    seeds, between which its area has the standard deviation `seed_auroc`.
    """

    auroc: float = 0.85
    correlation: float = 0.7
    resemblance: float = 0.5
    discordant: tuple[float, float] = (0.2, 0.3)
    power: float = 0.8
    level: float = 0.05
    seeds: int = ADVISED_SEEDS
    seed_auroc: float = 0.005

    def errors(self, freedom: float) -> float:
        """How many standard errors a difference must be, given the degrees of freedom: by the noncentral t.

        >>> [round(Assumptions().errors(freedom), 1) for freedom in (5, 11, 1e6)]
        [3.5, 3.1, 2.8]
        """
        from scipy.optimize import brentq
        from scipy.stats import nct, t

        critical = t.ppf(1 - self.level / 2, freedom)
        return float(brentq(lambda errors: nct.sf(critical, freedom, errors) - self.power, 0.1, 50))


USUAL = Assumptions()


@dataclass(frozen=True, slots=True)
class Sample:
    """What is tested, in images a patient: of those who have the class alone, of those without it, and of both kinds.

    `both` has pairs, images with and without the class: such a patient is one patient, not two.
    """

    rare: tuple[int, ...]
    others: tuple[int, ...]
    both: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, labels: pd.Series, patients: pd.Series, label: str) -> Sample:
        """From the label and the patient of each test image."""
        mine = labels == label
        pairs = list(zip(*(part.groupby(patients).sum().tolist() for part in (mine, ~mine)), strict=True))
        return cls(
            tuple(rare for rare, others in pairs if not others),
            tuple(others for rare, others in pairs if not rare),
            tuple((rare, others) for rare, others in pairs if rare and others),
        )

    @property
    def rare_sizes(self) -> tuple[int, ...]:
        """Images of the class of each patient who has it."""
        return self.rare + tuple(rare for rare, _ in self.both)

    @property
    def patients(self) -> int:
        """Patients who have the class."""
        return len(self.rare_sizes)

    @property
    def images(self) -> int:
        """Test images of the class."""
        return sum(self.rare_sizes)

    @property
    def other_images(self) -> int:
        """Test images of other classes."""
        return sum(self.others) + sum(others for _, others in self.both)
