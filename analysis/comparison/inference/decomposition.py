"""Like for like: what the synthetic images themselves change, and what the recipe of their arm changes without them.

An arm with synthetic images may be trained otherwise than the arm that it is measured against. Their difference is
then the sum of two: of the images, seen against the same recipe on the real images alone, and of that recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.comparison.inference.bootstrap import Estimates, Measured, estimate


@dataclass(frozen=True, slots=True)
class EffectDecomposition:
    """The synthetic arm less `arm`, its recipe without images; and `arm` less the reference, `None` if it is that."""

    arm: str
    images: Estimates
    recipe: Estimates | None

    def images_harm(self, metric: str) -> bool:
        """Whether the images themselves are shown to do harm."""
        return self.images[metric].high < 0

    def recipe_harms(self, metric: str) -> bool:
        """Whether the recipe is shown to do harm without them."""
        return self.recipe is not None and self.recipe[metric].high < 0

    def in_words(self, metric: str) -> str:
        """What the images do by themselves, in a sentence."""
        return f"The images themselves: {self.images[metric].signed} against the matched control {self.arm}."


def decompose_effect(
    synthetic: str | None,
    reference: str,
    arm: str | None,
    measured: Mapping[str, Measured],
    patients: Mapping[str, int],
    folds: int = 1,
) -> EffectDecomposition | None:
    """Both parts of the difference between two arms; `None` where there are no synthetic images, or no such `arm`."""
    if synthetic is None or arm is None or arm not in measured:
        return None

    def less(one: str, other: str) -> Estimates:
        return estimate(measured[one].minus(measured[other]), patients, difference=True, folds=folds)

    return EffectDecomposition(arm, less(synthetic, arm), None if arm == reference else less(arm, reference))
