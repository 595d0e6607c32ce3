"""All gates as one: a candidate to a verdict, with its scores and, in words, the reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.image_statistics import MEASURES, Measures, inspect_one, join
from analysis.data.minimums import CALIBRATION_PATIENTS, WARNING_PATIENTS
from analysis.screening.copies import IDENTICAL, REJECT, REVIEW, Calibration, Nearest, Views, calibrate, search
from analysis.screening.finding_consistency import FindingGates
from analysis.screening.image_quality import SoundGate
from analysis.screening.inside import InsideGate
from analysis.screening.label_consistency import LabelGate, mean_distance
from analysis.screening.memorisation import blame
from analysis.screening.model_fitness import ModelFitness
from analysis.screening.own_checks import OwnCheck, fit_own_checks
from analysis.screening.prompt_consistency import PromptGates
from analysis.screening.reference_images import Reals, Watch, load_reals
from analysis.screening.source_change import SourceGate, likeness
from analysis.vision.copy_embedding import Vectors
from balancer.collection.attributes import attributes_of
from balancer.collection.label_sets import findings_in
from balancer.collection.scan import Collection as Xrays
from balancer.errors import ImageError, ScreenError
from balancer.files import write_whole
from balancer.imaging.decode import GreyImage, raise_if_disk_failed
from balancer.jobs import Candidate, Verdict
from balancer.parallel import one_thread
from balancer.splits.split import Split

Scores = dict[str, float | str]


def why_unscreened(collection: Xrays) -> str:
    """Why copies of patients cannot be looked for in this collection; "" when they can."""
    known = collection.images["patient"].notna().any()
    return "" if known else "patients are unknown, so no threshold for copies can be estimated"


def require_patients(collection: Xrays) -> None:
    """Refuse a collection in which copies cannot be looked for.

    Raises:
        ScreenError: no patient is known.
    """
    if why := why_unscreened(collection):
        raise ScreenError(
            needed="known patients, to screen for copies of their images",
            found=why.split(",")[0],
            next_step="name the patients: balance scan FOLDER --patient EXPRESSION; or accept the images without this "
            "check: the same command with --accept-unscreened",
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A candidate as the gates see it."""

    grey: GreyImage
    measures: Measures
    views: Views
    features: Vectors


@dataclass(slots=True)
class Screen:
    """Judges candidates by all gates; of equal inputs it makes equal verdicts, whenever it is asked.

    Where `calibration` is `None`, or of too few patients for a threshold, `unscreened` says why: then only the same
    picture again counts as a copy. `notes` are what a reader must know of how it was fitted.
    """

    reals: Reals
    pool: Views
    sound: SoundGate
    label: LabelGate | FindingGates | None
    calibration: Calibration | None
    unscreened: str
    notes: tuple[str, ...]
    own: tuple[OwnCheck, ...] = ()
    fitness: ModelFitness | None = None
    prompt: PromptGates | None = None
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _structure: SourceGate | None = None  # fitted when the first image made from another is judged
    _inside: InsideGate | None = None  # the same for one that was painted into another

    @property
    def name(self) -> str:
        """Another number where verdicts may differ: stored images are then judged anew."""
        ours = "screen 4" if isinstance(self.label, FindingGates) else "screen 3"
        asked = ("prompt check 1",) if self.prompt and self.prompt.gates else ()
        return " with ".join((ours, *asked, *(each.name for each in self.own)))

    @property
    def patients(self) -> int:
        """How many patients there are to compare with."""
        return len(self.reals.calibrators.places)

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        """Return one verdict a candidate; each must also be new beside those accepted before it."""
        with one_thread():
            return self._verdicts(batch, accepted)

    def _verdicts(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        looked: list[_Seen | ImageError] = [self._look(candidate) for candidate in batch]
        others = [(each, seen) for each in accepted if isinstance(seen := self._look(each), _Seen)]
        verdicts = []
        for candidate, seen in zip(batch, looked, strict=True):
            verdict = self._judge(candidate, seen, [each for other, each in others if _may_repeat(candidate, other)])
            if isinstance(seen, _Seen) and verdict.decision in ("accept", "unscreened"):
                others.append((candidate, seen))
            verdicts.append(verdict)
        return verdicts

    def why_unfit(self, first: Sequence[Candidate]) -> str:
        """Why a model whose first images these are does not draw such images at all; "" where that is not clear."""
        seen = [(each.label, found.grey) for each in first if isinstance(found := self._look(each), _Seen)]
        if self.fitness is None or not seen:
            return ""
        return self.fitness.why_unfit(np.stack([grey for _, grey in seen]), [label for label, _ in seen])

    def diversity(self, candidates: Sequence[Candidate]) -> float:
        """Mean distance of all pairs in the embedding; 0 without one."""
        seen = [each for each in map(self._look, candidates) if isinstance(each, _Seen)]
        return mean_distance(np.concatenate([each.views.vectors for each in seen])) if seen else 0.0

    def blame(self, verdicts: Sequence[Verdict]) -> str:
        """A sentence that names the adapter as the cause of many copies; "" where there is none."""
        if self.calibration is None:
            return ""
        found = [value for v in verdicts if isinstance(value := v.scores.get("copy_percentile"), int | float)]
        return blame(found, len(self.calibration), math.ceil(REVIEW * len(self.calibration)))

    def _look(self, candidate: Candidate) -> _Seen | ImageError:
        if candidate.sha256 not in self._seen or not candidate.sha256:
            try:
                grey, measures = inspect_one(candidate.path)
            except ImageError as error:
                raise_if_disk_failed(error)
                return error
            views, features = self._views(grey)
            self._seen[candidate.sha256] = _Seen(grey, measures, views, features)
        return self._seen[candidate.sha256]

    def _views(self, grey: GreyImage) -> tuple[Views, Vectors]:
        views = Views.of(grey[None], None)
        if self.reals.embedding is None:
            return views, np.zeros((1, 0), np.float32)
        vectors, features = self.reals.embedding.describe(np.stack([grey, grey[:, ::-1]]))
        return Views(views.pixels, vectors[:1], vectors[1:]), features[:1]

    def _judge(self, candidate: Candidate, seen: _Seen | ImageError, others: Sequence[_Seen]) -> Verdict:
        if isinstance(seen, ImageError):
            return Verdict("reject", {}, ("sound: it cannot be read",), self.name)
        scores: Scores = dict(zip(MEASURES, seen.measures.tolist(), strict=True))
        reject = self._unsound(seen, scores)
        contradicted, doubtful = self._mislabelled(candidate, seen, scores)
        copied, review = self._copies(candidate, seen, scores)
        reject += [*contradicted, *copied, *self._repeats(seen, others, scores)]
        reject += [reason for each in self.own for reason in each.reasons(seen.grey, candidate.label)]
        review = [*doubtful, *self._otherwise(candidate, seen, scores), *review]
        if reject:
            return Verdict("reject", scores, tuple(reject), self.name)
        if review:
            return Verdict("review", scores, tuple(review), self.name)
        if self.unscreened:
            return Verdict("unscreened", scores, (f"copy: not screened: {self.unscreened}",), self.name)
        return Verdict("accept", scores, (), self.name)

    def _mislabelled(self, candidate: Candidate, seen: _Seen, scores: Scores) -> tuple[list[str], list[str]]:
        """Reasons to reject and reasons to ask a person."""
        if isinstance(self.label, FindingGates):
            return self.label.judge(candidate.label, seen.features, scores, candidate.wanted)
        return ([], []) if self.label is None else self.label.judge(candidate.label, seen.features, scores)

    def _otherwise(self, candidate: Candidate, seen: _Seen, scores: Scores) -> list[str]:
        """Reasons to ask a person whether it shows what its prompt states; made from a source, it shows that one's."""
        if self.prompt is None or candidate.job is None or candidate.job.method.source is not None:
            return []
        return self.prompt.judge(self._classes(candidate.label), candidate.job.stated, seen.features, scores)

    def _unsound(self, seen: _Seen, scores: Scores) -> list[str]:
        words, strange = self.sound.faults(seen.grey[None], seen.measures[None])
        scores["strangeness"] = float(strange[0])
        return [f"sound: {word}" for word in words[0]]

    def _copies(self, candidate: Candidate, seen: _Seen, scores: Scores) -> tuple[list[str], list[str]]:
        """Reasons to reject and reasons to ask a person, of the search and of the comparison with a source."""
        reject: list[str] = []
        review: list[str] = []
        place = self._source(candidate)
        if _is_painted(candidate):
            return self._copied_inside(candidate, seen, place, scores), review
        if place is not None:
            scores["source_likeness"] = value = likeness(seen.grey, self.reals.images.greys[place])
            self._structure = self._structure or SourceGate.fit(self.reals.images.greys)
            if self._structure.same(value):
                reject.append("copy: it differs from its source image only in the intensities")
        nearest = search(seen.views, self.pool, None if place is None else self._strangers(place))
        if nearest is None:
            return reject, review
        decision = self._rank(nearest, "copy", scores, self._patients(nearest))
        scores["copy_nearest"] = name = self.reals.paths[nearest.places["pixels"]]
        if decision == "reject":
            reject.append(f"copy: {self._how_near('reject')} (nearest: {name})")
        elif decision == "review":
            review.append(f"copy: {self._how_near('review')} (nearest: {name})")
        return reject, review

    def _copied_inside(self, candidate: Candidate, seen: _Seen, place: int | None, scores: Scores) -> list[str]:
        """Reasons to reject an image that was painted into a real one: its surroundings are, and are to be, of that."""
        assert candidate.job is not None
        if candidate.job.method.source is not None:
            scores["copy_nearest"] = candidate.job.method.source.path
        self._inside = self._inside or InsideGate.of(self.reals)
        likeness = self._inside.likeness(seen.grey, candidate.job.mask, self._named(candidate.label), place)
        if likeness is None:
            return []
        value, usual = likeness
        scores["inside_likeness"] = value
        copied = value >= max(IDENTICAL, usual)
        return ["copy: what was painted is a part of a real image of the class"] if copied else []

    def _named(self, label: str) -> npt.NDArray[np.bool_]:
        """The real images that have any finding of a label."""
        wanted = set(self._classes(label))
        return np.array([not wanted.isdisjoint(self._classes(each)) for each in self.reals.labels])

    def _classes(self, label: str) -> tuple[str, ...]:
        return findings_in(label) if isinstance(self.label, FindingGates) else (label,)

    def _how_near(self, decision: str) -> str:
        if self.calibration is None:
            return "the same picture as a real image"
        rate = self.calibration.reject if decision == "reject" else self.calibration.review
        return f"nearer to a real image than all but {rate:.1%} of other patients are"

    def _repeats(self, seen: _Seen, others: Sequence[_Seen], scores: Scores) -> list[str]:
        if not others:
            return []
        nearest = search(seen.views, Views.joined([other.views for other in others]))
        if nearest is None:
            return []
        again = self._rank(nearest, "new", scores, {}) == "reject"
        return ["new: it repeats another synthetic image that was accepted before it"] if again else []

    def _rank(self, nearest: Nearest, what: str, scores: Scores, patients: Mapping[str, int]) -> str:
        """The decision about how near an image comes, and its scores."""
        scores.update({f"{what}_{space}": value for space, value in nearest.values.items()})
        found = "accept"
        if self.calibration is not None:
            scores[f"{what}_percentile"] = self.calibration.percentile(nearest.values, patients)
            found = self.calibration.decision(nearest.values, patients)
        return "reject" if nearest.values["pixels"] >= IDENTICAL else found

    def _patients(self, nearest: Nearest) -> dict[str, int]:
        return {space: int(self.reals.groups[place]) for space, place in nearest.places.items()}

    def _source(self, candidate: Candidate) -> int | None:
        source = candidate.job and candidate.job.method.source
        return self.reals.paths.index(source.path) if source and source.path in self.reals.paths else None

    def _strangers(self, place: int) -> npt.NDArray[np.bool_]:
        """All but the source and the other images of its patient, who is on record as the image's own."""
        groups = self.reals.groups
        other = groups != groups[place] if groups[place] >= 0 else np.ones(len(groups), bool)
        other[place] = False
        return other


def _is_painted(candidate: Candidate) -> bool:
    """Whether only a part of it was made, and the rest is a real image."""
    return candidate.job is not None and bool(candidate.job.method.mask)


def _may_repeat(candidate: Candidate, other: Candidate) -> bool:
    """Whether two images have to differ as wholes: not where the rest of one is real, but for the same part again."""
    if candidate.job is None or not _is_painted(candidate):
        return True
    one, two = candidate.job.method, None if other.job is None else other.job.method
    return two is not None and (one.source, one.mask) == (two.source, two.mask)


def fit_checks(
    collection: Xrays,
    split: Split,
    cache: Path,
    *,
    exposed: Collection[str] = (),
    elsewhere: Mapping[str, Path] = {},
    steps: int | None = None,
    watch: Watch = lambda what: lambda done, total: None,
) -> Screen:
    """Fit all gates on the training part; `exposed` are hashes of whatever else the generator was trained on.

    Those of them that are `elsewhere`, files outside the collection by their hashes, are searched for copies too.

    `steps` of training make the embedding, by default as many as suit the collection. What takes long is kept in
    `cache`, and found again while nothing that it was made from has changed.

    Raises:
        ImageError: no training image can be read.
        CollectionError: an image has changed since the scan.
    """
    reals, notes = load_reals(collection, split, cache, exposed, steps, watch, elsewhere)
    pool, calibration, unscreened = Views.of(reals.images.greys, None), None, why_unscreened(collection)
    if reals.calibrators.detector:
        pool = Views(pool.pixels, reals.vectors, reals.vectors)
    if not unscreened:
        calibration, unscreened = _calibrated(reals, pool, cache, watch)
    if calibration is not None and calibration.reject > REJECT:
        notes += (f"copy: {_told(calibration)}",)
    known = ~reals.searched
    label: LabelGate | FindingGates | None = None
    prompt: PromptGates | None = None
    if reals.embedding is not None:
        inputs = reals.features[known], reals.groups[known], reals.held[known]
        if collection.label_sets is None:
            label = LabelGate.fit(inputs[0], reals.labels[known], *inputs[1:])
        else:
            sets = collection.label_sets.only(pd.Index(np.array(reals.paths, object)[known], name="path"))
            label = FindingGates.fit(inputs[0], sets, *inputs[1:])
        notes += tuple(f"label: {name} is not checked: {why}" for name, why in label.abstains.items())
        told = attributes_of(collection.images.loc[np.array(reals.paths, object)[known]])
        several = collection.label_sets is not None
        classes = [findings_in(each) if several else (each,) for each in reals.labels[known]]
        prompt = PromptGates.fit(inputs[0], list(told.values()), classes, *inputs[1:])
        notes += prompt.notes
    else:
        notes += ("label and prompt: not checked: too few training images",)
    own = join(zip(reals.images.greys[known], reals.images.measures[known], strict=True))
    sound = SoundGate.fit(own, reals.train[known])
    checks = fit_own_checks(own.greys[reals.train[known]], np.array(reals.labels, object)[known & reals.train].tolist())
    notes += tuple(f"{each.plugin.name}: a check of {each.plugin.package}" for each in checks)
    fitness = ModelFitness.fit(own.greys, reals.labels[known].tolist(), reals.groups[known])
    return Screen(reals, pool, sound, label, calibration, unscreened, notes, checks, fitness, prompt)


def _told(calibration: Calibration) -> str:
    return (
        f"{len(calibration)} patients allow a threshold that rejects up to {calibration.reject:.1%} of images that "
        f"are not copies, and {2 * CALIBRATION_PATIENTS + 1} patients one of {REJECT:.1%}"
    )


def _calibrated(reals: Reals, pool: Views, cache: Path, watch: Watch) -> tuple[Calibration | None, str]:
    """The thresholds for copies, or why there are none."""
    asked = reals.calibrators.places
    place = cache / f"calibration-{reals.key}.json"
    found = _stored(place) if len(asked) >= WARNING_PATIENTS else []
    if found is None:
        views = Views.of(reals.images.greys[asked], reals.embedding if reals.calibrators.detector else None)
        found = calibrate(views, reals.groups[asked], pool, reals.groups, watch("Calibrating the copy threshold"))
        kept = {"found": found, "learned": reals.calibrators.learned}
        write_whole(place, json.dumps(kept).encode())
    if len(found) < WARNING_PATIENTS:  # also where all images are one: no patient has another to be compared with
        patients = f"{len(asked)} patient{'s' if len(asked) != 1 else ''}"
        return None, f"only {patients} to compare with; a threshold for copies needs {WARNING_PATIENTS}"
    return Calibration.of(found, reals.groups[asked].tolist(), learned=reals.calibrators.learned), ""


def _stored(place: Path) -> list[Mapping[str, float]] | None:
    try:
        found = json.loads(place.read_bytes())["found"]
        return found if isinstance(found, list) and found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
