"""What a comparison stands on: the balanced folder, or one for each redraw or fold, gathered and looked at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import ConsoleProgress, message, typed
from balancer.cli.origins import not_repeated, require_last_filled
from balancer.cli.workplaces import Errand, done, forget_balanced
from balancer.errors import ComparisonError
from balancer.text import printable
from balancer.workspace.models import models_at_hand
from balancer.workspace.workspace import Session

if TYPE_CHECKING:
    from analysis.comparison.inputs.build_study import Material, Wanted
    from analysis.comparison.inputs.study import Outcomes, Study
    from analysis.comparison.training.arms import Arm
    from analysis.comparison.training.replicates import Leg
    from analysis.comparison.training.run_files import Which
    from analysis.comparison.training.runs import RunSettings
    from balancer.workspace.fold_workspace import Workplace


_ONE_DRAW = "one draw of synthetic images: the luck of another (--redraw) is not in the intervals"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be compared, and how: which arms (`only` those, if any is named), and what to do about a breach."""

    session: Session
    wanted: Wanted
    settings: RunSettings
    quick: bool
    only: tuple[str, ...]
    workers: int | None
    force: bool

    @property
    def has_curve(self) -> bool:
        """Whether a learning curve is wanted, and its interval can be had."""
        return not self.quick and not self.only and len(self.settings.seeds) > 1

    @property
    def home(self) -> Path:
        """Where finished runs are kept."""
        return self.session.state.folder / "comparisons"


@dataclass(frozen=True, slots=True)
class Bench:
    """The legs that the comparison stands on, what its figures are stamped with, and whether the legs are folds.

    `folder` is the balanced folder that is judged; none where there is none, or each fold has its own. `refitted` are
    the commands that each leg but the first draw did anew.
    """

    legs: tuple[Leg, ...]
    stamps: tuple[str, ...]
    folds: bool
    folder: Path | None = None
    refitted: tuple[str, ...] = ()

    @property
    def study(self) -> Study:
        """The first leg's."""
        return self.legs[0].study

    def outcomes(self, order: Order, arms: Sequence[Arm], part: Which) -> Outcomes | list[Outcomes]:
        """What the arms said of a part: of folds one after the other, of redraws together, since they share it."""
        from analysis.comparison.training.replicates import across_folds, across_redraws

        together = across_folds if self.folds else across_redraws
        return together(self.legs, arms, order.settings, order.home, part)


def redrawn(order: Order, folder: Path | None, errands: Sequence[Errand]) -> Bench:
    """The balanced folder as it is, and beside it, with `--redraw`, the same from other generator seeds."""
    from analysis.comparison.training.replicates import Leg, deal_seeds

    session = order.session
    seeds = deal_seeds(order.settings.seeds, len(errands) + 1)
    folder = folder or session.balanced_folder()
    if errands:
        require_last_filled(session, folder)
    material, stamps = _gather(order, session, folder)
    legs, said = [Leg("", material.study, seeds[0])], [stamps]
    if not errands and "synthetic" in material.study.added:
        said.append((_ONE_DRAW,))
    said.append(not_repeated(session, errands, folds=False))
    for (errand, place), own in zip(done(errands), seeds[1:], strict=True):
        material, stamps = _in_workplace(order, errand, place)
        legs.append(Leg(errand.name, material.study, own))
        said.append(stamps)
    return Bench(tuple(legs), _once(said), folds=False, folder=folder, refitted=_commands(errands))


def cross_fitted(order: Order, errands: Sequence[Errand]) -> Bench:
    """One leg for each fold, whose generator, screen and classifiers have seen none of its test patients."""
    from analysis.comparison.inputs.sample_size import few_in_all
    from analysis.comparison.training.replicates import Leg

    _require_enough(order)
    _require_honest_folds(order, errands)
    legs: list[Leg] = []
    collection = order.session.collection
    few = few_in_all(collection.labels, collection.images["label"])
    said: list[Sequence[str]] = [not_repeated(order.session, errands, folds=True), few]
    for errand, place in done(errands):
        material, stamps = _in_workplace(order, errand, place)
        legs.append(Leg(errand.name, material.study, order.settings.seeds))
        said.append(stamps)
    return Bench(tuple(legs), _once(said), folds=True, refitted=_commands(errands))


def _commands(errands: Sequence[Errand]) -> tuple[str, ...]:
    return tuple(errands[0].commands) if errands else ()


def _require_enough(order: Order) -> None:
    """Refuse before the first fold what all of them together could not show.

    Raises:
        ComparisonError: the collection has too few images of the class.
    """
    from analysis.comparison.inputs.sample_size import FEW

    count = int((order.session.collection.images["label"] == order.wanted.rare).sum())
    if count < FEW and not order.force:
        raise ComparisonError(
            needed=f"{FEW} images of {order.wanted.rare}, the class of the primary endpoint, in all folds together",
            found=str(count),
            next_step="judge another class: balance compare --label LABEL; see what can be shown: balance power",
        )


def _require_honest_folds(order: Order, errands: Sequence[Errand]) -> None:
    """Refuse before the first fold is adapted or filled what its real images, and the user's own, do not allow.

    Raises:
        ComparisonError: a fold's test images, or others of the same patients, are among what it learns from; or a
            folder of the user's own is of no use.
    """
    from balancer.store.database import Ledger
    from balancer.workspace.fold_workspace import make_workplace

    if order.force:
        return
    alone = replace(order, wanted=replace(order.wanted, needs=()))
    for errand in errands:
        place = make_workplace(errand.folder, errand.collection, errand.split)
        with Ledger(place.state) as ledger:
            _gather(alone, Session(place.state, ledger, place.collection, place.split), None, tell=False)


def _in_workplace(order: Order, errand: Errand, place: Workplace) -> tuple[Material, tuple[str, ...]]:
    from balancer.store.database import Ledger

    try:
        with Ledger(place.state) as ledger:
            session = Session(place.state, ledger, place.collection, place.split)
            return _gather(order, session, errand.balanced, order.session)
    except ComparisonError as error:
        repeats = " and ".join(errand.commands)
        raise ComparisonError(
            needed=error.needed,
            found=f"in {errand.name}: {error.found}",
            next_step=f"it repeats the last {repeats}: change these (screening, --seed, --model), then run again: "
            f"{typed()}\n        or have every figure stamped INVALID: the same with --force",
        ) from error
    finally:
        forget_balanced(errand)


def _gather(
    order: Order, session: Session, folder: Path | None, lender: Session | None = None, *, tell: bool = True
) -> tuple[Material, tuple[str, ...]]:
    """The images of one leg, and its stamps; refuses what could not be concluded from.

    `lender` is the session whose models may have drawn the images of another workplace.

    Raises:
        ComparisonError: the test part was seen by what is to be tested, or too little is there.
    """
    from analysis.comparison.inputs.build_study import gather
    from analysis.comparison.integrity.checks import check, require_honest, stamps
    from analysis.vision.reconstruction import autoencoder_of

    watch, ledger = ConsoleProgress(), session.ledger
    models = [] if lender is None else list(lender.ledger.adapters(lender.collection))
    retouch = None
    if folder is not None and "reconstructed" in order.wanted.needs:
        at_hand = [place for each in (session, lender) if each is not None for place in models_at_hand(each)]
        retouch = autoencoder_of(folder, at_hand, order.settings.learner.device, partial(watch.phase, "Reconstructing"))
    cache = session.state.cache
    cache.mkdir(exist_ok=True)
    material = gather(
        session.collection,
        session.split,
        folder,
        order.wanted,
        ledger=ledger,
        cache=cache,
        reconstruct=retouch,
        watch=watch.start,
    )
    watch.close()
    for note in material.notes if tell else ():
        message(printable(note))
    breaches = check(material, ledger, models=models)
    found = (*require_honest(breaches, force=order.force), *stamps(material, ledger, models=models))
    return material, found


def _once(said: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stamp for each in said for stamp in each))


def counts_of(bench: Bench) -> Mapping[str, int]:
    """Real training images of each class; of folds, the mean."""
    classes = bench.study.classes
    return {label: round(sum(leg.study.counts[label] for leg in bench.legs) / len(bench.legs)) for label in classes}
