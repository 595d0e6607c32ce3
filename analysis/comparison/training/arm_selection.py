"""Which arms are run, and which two of them the verdict is about: named before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from analysis.comparison.inputs.study import EXTRA, Added, Study
from analysis.comparison.training.arms import ARMS, Arm, Recipe, times, with_all
from analysis.comparison.training.training_spec import Backbone
from analysis.data.targets import has_several

_RATIO = "synthetic-"
_USES = ("pretraining", "real-share-0.5", "synthetic-all")
"""The synthetic arm of the verdict: the first of these that the backbone is able to train."""


def choose_arms(
    study: Study,
    backbone: Backbone,
    *,
    quick: bool = False,
    only: Sequence[str] | None = None,
    recipe: Recipe = "strong",
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The arms to run, and of each that is left out by name, why.

    With `quick` those of the verdict and their matched control, with `only` these and those that are named; `real`
    always, and of every arm with synthetic images the matched control and, where lesions were transplanted, that arm.

    Raises:
        ValueError: `only` names what is no arm.
    """
    there = {name for name, images in study.added.items() if len(images)}
    known = dict(ARMS) | {name: _extra_arm(name) for name in study.added if name.startswith(EXTRA)}
    if only is not None and not set(only) <= set(known):
        raise ValueError(f"no such arm: {', '.join(sorted(set(only) - set(known)))}; there are {', '.join(known)}")
    reasons = {name: _why_not(each, study, there, backbone) for name, each in known.items()}
    able = [name for name in known if not reasons[name]]
    wanted = wanted_of(able, list(known), backbone, quick=quick, only=only or (), recipe=recipe)
    return (
        tuple(known[name] for name in able if name in wanted),
        {name: why for name, why in reasons.items() if why and name in wanted},
    )


def wanted_of(
    able: Sequence[str],
    known: Sequence[str],
    backbone: Backbone,
    *,
    quick: bool = False,
    only: Sequence[str] = (),
    recipe: Recipe = "strong",
) -> set[str]:
    """The names of the arms to run, of all `known`; of these the `able` ones can be."""
    wanted = {"real", name_baseline(backbone).name, *name_synthetic(able, only), *only}
    wanted |= {name for name in known if name.startswith(EXTRA) or not (quick or only)}
    synthetic = [ARMS[name] for name in wanted & set(able) if _is_synthetic(name)]
    counters = {each.counter for each in synthetic} & set(able)
    return wanted | counters | {control_of(each, recipe, backbone).name for each in synthetic}


def name_baseline(backbone: Backbone) -> Arm:
    """The arm that synthetic images must beat: strong augmentation with a class-balanced sampler, or what it can."""
    return counterpart("strong", backbone)


def name_synthetic(arms: Sequence[str], only: Sequence[str] = ()) -> tuple[str, ...]:
    """The synthetic arm of the verdict, of these; where several are asked for by name, those it is chosen from.

    >>> name_synthetic(["real", "real-share-0.5", "pretraining"])
    ('pretraining',)
    >>> name_synthetic(["real", "real-share-0.5", "pretraining"], only=["real-share-0.5"])
    ('real-share-0.5',)
    """
    there = [name for name in arms if _is_synthetic(name)]
    asked = tuple(name for name in dict.fromkeys(only) if name in there)
    usual = next((name for name in _USES if name in there), next(iter(there), None))
    return asked or (() if usual is None else (usual,))


def control_of(each: Arm, recipe: Recipe, backbone: Backbone) -> Arm:
    """The matched control of an arm with synthetic images: what trains as it does, without them."""
    return counterpart(recipe, backbone) if each.control is None else ARMS[each.control]


def counterpart(recipe: Recipe, backbone: Backbone) -> Arm:
    """The arm that trains by a recipe on the real images alone."""
    found = next(each for each in ARMS.values() if each.recipe == recipe)
    able = not set(found.asks) & set(backbone.unable)
    return found if able or found.otherwise is None else ARMS[found.otherwise]


def _is_synthetic(name: str) -> bool:
    return name in ARMS and ARMS[name].kind == "synthetic"


def meaning(name: str) -> str:
    """What an arm does, in a sentence or two; nothing of what is none.

    >>> meaning("real"), meaning("extra:NIH")
    ('The real images alone.', 'The images of extra:NIH with the real images.')
    """
    does = ARMS[name].learn or ARMS[name].adjust if name in ARMS else None
    if does is None:
        return f"The images of {name} with the real images." if name.startswith(EXTRA) else ""
    return " ".join((does.__doc__ or "").partition("\n\n")[0].split())


def _extra_arm(name: str) -> Arm:
    return Arm(name, "control", partial(with_all, name=name), adds=name)


def _why_not(each: Arm, study: Study, there: set[str], backbone: Backbone) -> str:
    """Why an arm cannot be run, or nothing."""
    if each.one_class and has_several(study.train.targets):
        return "it is defined for one class an image; these images have several findings"
    if each.adds == "transplanted" not in there:
        return "no place of a lesion is known: balance fill --mode inpaint, or balance compare --regions FILE"
    if each.adds is not None and each.adds not in there:
        return f"there are no {each.adds.removeprefix(EXTRA)} images"
    if each.of_all and (missing := _without(study, study.added["synthetic"])):
        return f"there are no synthetic images of {missing}: balance fill --symmetric makes some of every class"
    if each.adjust is not None and not len(study.validation):
        return "there are no validation images to choose it on"
    if each.adjust is not None and len(study.classes) == 2:
        return "with two classes it ranks images as the arm `real` does, so the primary endpoint is the same"
    unable = [backbone.unable[ask] for ask in each.asks if ask in backbone.unable]
    if unable:
        return unable[0]
    ratio = each.name.removeprefix(_RATIO)
    if each.adds == "synthetic" and each.name.startswith(_RATIO) and ratio != "all":
        return _same_as_another(float(ratio), study)
    return ""


def _without(study: Study, added: Added) -> str:
    """The first class of which nothing is added, or nothing."""
    made = set(added.targets.tolist())
    return next((label for number, label in enumerate(study.classes) if number not in made), "")


def _same_as_another(ratio: float, study: Study) -> str:
    """Why so many times the real images would be nothing of its own, or nothing."""
    made = np.bincount(study.added["synthetic"].targets, minlength=len(study.classes))
    wanted = np.minimum(times(ratio, np.array(list(study.counts.values()), np.int64)), made)
    if not wanted.any():
        return f"{ratio:g} times the real images of a class is less than one"
    if (wanted == made).all():
        return f"there are no more than {ratio:g} times as many synthetic as real images: the same as synthetic-all"
    return ""
