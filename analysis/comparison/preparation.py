"""The studies of a comparison: of the balanced folder, or one for each redraw or fold, each gathered and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from analysis.comparison.external import ExternalImages, gather_external
from analysis.comparison.inputs.build_study import Material, gather
from analysis.comparison.inputs.sample_size import FEW, few_in_all, require_patients_in_folds
from analysis.comparison.inputs.study import Outcomes, Study
from analysis.comparison.integrity.checks import check, require_honest, stamps
from analysis.comparison.request import Request
from analysis.comparison.training.arms import Arm
from analysis.comparison.training.replicates import Replicate, across_folds, across_redraws, deal_seeds
from analysis.comparison.training.run_files import Which
from analysis.data.endpoint import known_labels
from balancer.collection.scan import Collection
from balancer.errors import ComparisonError
from balancer.filling.ray_cluster import address_of
from balancer.progress import Phases, Progress
from balancer.splits.groups import stay_together
from balancer.store.database import Ledger
from balancer.text import many, printable
from balancer.workspace.fill_origin import not_repeated, require_last_filled
from balancer.workspace.fold_runs import Refit, forget_balanced, refitted
from balancer.workspace.fold_workspace import FoldWorkspace, make_fold_workspace
from balancer.workspace.models import models_at_hand
from balancer.workspace.ray_refits import RayRefits
from balancer.workspace.workspace import Session

_ONE_DRAW = "one set of synthetic images: the intervals do not include the variance between generator seeds (--redraw)"


@dataclass(frozen=True, slots=True)
class ComparisonInputs:
    """The replicates of a comparison, the stamps of its figures, and whether the replicates are folds.

    `folder` is the balanced folder that is judged; none where there is none, or each fold has its own. `refitted` are
    the commands that each replicate but the first draw did again. `external` is what is known of the external images.
    """

    replicates: tuple[Replicate, ...]
    stamps: tuple[str, ...]
    folds: bool
    folder: Path | None = None
    refitted: tuple[str, ...] = ()
    external: ExternalImages | None = None

    @property
    def study(self) -> Study:
        """The study of the first replicate."""
        return self.replicates[0].study

    @property
    def counts(self) -> Mapping[str, int]:
        """Real training images of each class; of folds, the mean."""
        classes = self.study.classes
        return {
            label: round(sum(replicate.study.counts[label] for replicate in self.replicates) / len(self.replicates))
            for label in classes
        }

    def outcomes(self, request: Request, arms: Sequence[Arm], part: Which) -> Outcomes | list[Outcomes]:
        """What the arms said of a split: of folds one after the other, of redraws together, since they share it.

        External images are shared by folds too.
        """
        together = across_folds if self.folds and part != "external" else across_redraws
        return together(self.replicates, arms, request.runs, request.home, part)


def with_external(
    request: Request, inputs: ComparisonInputs, collection: Collection, progress: Progress
) -> ComparisonInputs:
    """The same with the images of another collection, on which every arm is tested too.

    Raises:
        CollectionError: an image is gone or changed since the scan.
        ComparisonError: none is left of the class of the primary endpoint.
    """
    session = request.session
    found = gather_external(session, collection, inputs.study, session.state.cache, progress.start)
    progress.message(printable(found.note))
    progress.message("Networks are not kept: arms that were trained without these images are trained again.")
    replicates = tuple(replace(each, study=replace(each.study, external=found.part)) for each in inputs.replicates)
    return replace(inputs, replicates=replicates, external=found)


def redrawn(request: Request, refits: Sequence[Refit], progress: Progress) -> ComparisonInputs:
    """The balanced folder as it is, and beside it, with `--redraw`, the same from other generator seeds."""
    session = request.session
    seeds = deal_seeds(request.runs.seeds, len(refits) + 1)
    folder = request.settings.folder or session.balanced_folder()
    if refits:
        require_last_filled(session, folder)
    study, found = _gather(request, session, folder, progress)
    replicates, said = [Replicate("", study, seeds[0])], [found, _left_out(session)]
    if not refits and "synthetic" in study.added:
        said.append((_ONE_DRAW,))
    said.append(not_repeated(session, folds=False) if refits else ())
    for (refit, place), own in zip(_refitted(request, refits, progress), seeds[1:], strict=True):
        study, found = _in_fold(request, refit, place, progress)
        replicates.append(Replicate(refit.name, study, own))
        said.append(found)
    return ComparisonInputs(tuple(replicates), _once(said), folds=False, folder=folder, refitted=_commands(refits))


def cross_fitted(request: Request, refits: Sequence[Refit], progress: Progress) -> ComparisonInputs:
    """One replicate for each fold, whose generator, screen and classifiers have seen none of its test patients."""
    _require_enough(request)
    _require_honest_folds(request, refits, progress)
    replicates: list[Replicate] = []
    collection = request.session.collection
    few = () if collection.is_multi_label else few_in_all(collection.labels, collection.images["label"])
    said: list[Sequence[str]] = [not_repeated(request.session, folds=True), few, require_enough_a_fold(request)]
    said.append(_left_out(request.session))
    for refit, place in _refitted(request, refits, progress):
        study, found = _in_fold(request, refit, place, progress)
        replicates.append(Replicate(refit.name, study, request.runs.seeds))
        said.append(found)
    return ComparisonInputs(tuple(replicates), _once(said), folds=True, refitted=_commands(refits))


def _refitted(request: Request, refits: Sequence[Refit], progress: Progress) -> Iterator[tuple[Refit, FoldWorkspace]]:
    """Adapt and fill again on this machine; where a cluster is joined, on its workers."""
    if request.settings.engine != "ray" or address_of(os.environ) is None:
        yield from refitted(refits, request.again, progress)
        return
    with RayRefits(request.settings.workers, request.runs.backbone.device, progress.message) as cluster:
        yield from refitted(refits, request.again, progress, cluster.run, cluster.places)


def _commands(refits: Sequence[Refit]) -> tuple[str, ...]:
    return tuple(refits[0].runs) if refits else ()


def _require_enough(request: Request) -> None:
    """Refuse before the first fold what all of them together could not show.

    Raises:
        ComparisonError: the collection has too few images of the class.
    """
    rare = request.wanted.rare or ""
    count = int((known_labels(request.session.collection, rare) == rare).sum())
    if count < FEW and not request.settings.force:
        raise ComparisonError(
            needed=f"{FEW} images of {request.wanted.rare}, the class of the primary endpoint, in all folds together",
            found=str(count),
            next_step="choose another class: balance compare --label LABEL; or check what is detectable: balance power",
        )


def require_enough_a_fold(request: Request) -> tuple[str, ...]:
    """A stamp where a fold tests few patients of the class of the primary endpoint, and the user insists.

    Raises:
        ComparisonError: there are fewer than five, and the user does not.
    """
    collection, folds = request.session.collection, request.session.split.folds
    labels = known_labels(collection, request.wanted.rare or "") if collection.is_multi_label else None
    labels = collection.images["label"] if labels is None else labels[labels != ""]
    labels = labels.loc[folds.index.intersection(labels.index)]
    patients = stay_together(collection).loc[labels.index]
    table = patients.groupby([labels, folds.loc[labels.index]]).nunique().unstack(fill_value=0)
    counts = {str(label): [int(each) for each in row] for label, row in zip(table.index, table.to_numpy(), strict=True)}
    rare = request.wanted.rare or str(table.index[0])
    return require_patients_in_folds(counts, rare, insist=request.settings.force)


def _require_honest_folds(request: Request, refits: Sequence[Refit], progress: Progress) -> None:
    """Refuse before the first fold is adapted or filled what its real images, and the user's own, do not allow.

    Raises:
        ComparisonError: a fold's test images, or others of the same patients, are among what it learns from; or a
            folder of the user's own is of no use.
    """
    if request.settings.force:
        return
    alone = replace(request, wanted=replace(request.wanted, needs=()))
    for refit in refits:
        place = make_fold_workspace(refit.folder, refit.collection, refit.split)
        with Ledger(place.state) as ledger:
            session = Session(place.state, ledger, place.collection, place.split)
            _gather(alone, session, None, progress, tell=False)


def _in_fold(request: Request, refit: Refit, place: FoldWorkspace, progress: Progress) -> tuple[Study, tuple[str, ...]]:
    try:
        with Ledger(place.state) as ledger:
            session = Session(place.state, ledger, place.collection, place.split)
            return _gather(request, session, refit.balanced, progress, lender=request.session)
    except ComparisonError as error:
        repeats = " and ".join(refit.runs)
        raise ComparisonError(
            needed=error.needed,
            found=f"in {refit.name}: {error.found}",
            next_step=f"it repeats the last {repeats}: change these (screening, --seed, --model), then run again: "
            f"{request.again}\n        or continue with every figure marked INVALID: the same command with --force",
        ) from error
    finally:
        forget_balanced(refit)


def _gather(
    request: Request,
    session: Session,
    folder: Path | None,
    progress: Progress,
    *,
    lender: Session | None = None,
    tell: bool = True,
) -> tuple[Study, tuple[str, ...]]:
    """The images of one replicate, and its stamps; refuses what could not be concluded from.

    `lender` is the session whose models may have made the images of another workspace.

    Raises:
        ComparisonError: the test split was seen by what is to be tested, or too little is there.
    """
    models = [] if lender is None else list(lender.ledger.adapters(lender.collection))
    material = _material(request, session, folder, progress, lender)
    for note in material.notes if tell else ():
        progress.message(printable(note))
    breaches = check(material, session.ledger, models=models)
    told = stamps(material, session.ledger, models=models)
    return material.study, (*require_honest(breaches, force=request.settings.force), *told)


def _material(
    request: Request, session: Session, folder: Path | None, progress: Progress, lender: Session | None
) -> Material:
    from analysis.vision.reconstruction import autoencoder_of

    retouch = None
    if folder is not None and "reconstructed" in request.wanted.needs:
        at_hand = [place for each in (session, lender) if each is not None for place in models_at_hand(each)]
        through = partial(Phases(progress), "Reconstructing")
        retouch = autoencoder_of(folder, at_hand, request.runs.backbone.device, through)
    cache = session.state.cache
    cache.mkdir(exist_ok=True)
    return gather(
        session.collection,
        session.split,
        folder,
        request.wanted,
        ledger=session.ledger,
        cache=cache,
        reconstruct=retouch,
        watch=progress.start,
    )


def _left_out(session: Session) -> tuple[str, ...]:
    count = len(session.split.left_out)
    return (f"{many(count, 'image')} left out of training and validation by --exclude",) if count else ()


def _once(said: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stamp for each in said for stamp in each))
