"""Images that another generator made, from the folder they are handed over in to judged candidates of ours."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from balancer.collection.scan import Collection, Progress
from balancer.dataset.xmp import make_xmp
from balancer.errors import CollectionError
from balancer.files import sha256_if_there, sync_path
from balancer.filling.external_folder import Seen
from balancer.filling.run import Look
from balancer.filling.screening import Judged, Known, Screen, is_usable, judge, keep
from balancer.imaging.decode import encode, read_grey, resize
from balancer.jobs import Candidate, Origin, Verdict
from balancer.parallel import cores
from balancer.store.database import Ledger

AT_ONCE = 64
"""Images of a class that are judged together."""
DOOR = "door"
"""Who refuses what is no candidate at all."""
WITHDRAWN = "no longer in the folder that it was handed over in"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided about a file; `candidate` is `None` where it was refused at the door."""

    seen: Seen
    verdict: Verdict
    candidate: Candidate | None


@dataclass(frozen=True, slots=True)
class Intake:
    """Where images are taken in: brought into the look of the collection in `store`, judged, and recorded.

    `folder` names the folder that they come from; `known` is what the ledger holds, by class. Without a ledger nothing
    is remembered and everything is judged.
    """

    collection: Collection
    look: Look
    screen: Screen
    store: Path
    folder: str
    known: Mapping[str, Known]
    ledger: Ledger | None = None

    def take(
        self,
        seen: Sequence[Seen],
        refused: Mapping[str, str],
        accepted: Mapping[str, Sequence[Candidate]],
        progress: Progress = lambda done, total: None,
    ) -> list[Outcome]:
        """Judge what is not `refused` (reasons by path), class by class in the given order.

        `accepted` is what is accepted of each class beside these. A killed run, called again, goes on where it
        stopped and ends with the same candidates and verdicts.

        Raises:
            CollectionError: a file changed meanwhile.
        """
        self.store.mkdir(exist_ok=True)
        found: dict[str, Outcome] = {}
        welcome = [each for each in seen if each.given.path not in refused]
        for label in dict.fromkeys(each.given.label for each in welcome):
            so_far = list(accepted.get(label, ()))
            for some in _chunks([each for each in welcome if each.given.label == label]):
                for each, (candidate, verdict) in zip(some, self._batch(label, some, so_far), strict=True):
                    found[each.given.path] = Outcome(each, verdict, candidate)
                    so_far += [candidate] if is_usable(verdict) else []
                progress(len(found), len(welcome))
        return [found.get(each.given.path) or _refused(each, refused[each.given.path]) for each in seen]

    def withdraw(self, outcomes: Sequence[Outcome]) -> list[Candidate]:
        """Reject what came from the same folder earlier and is no candidate there any more."""
        here = {outcome.candidate.id for outcome in outcomes if outcome.candidate is not None}
        gone = [
            candidate
            for known in self.known.values()
            for candidate, verdict in known.judged.values()
            if candidate.origin is not None and candidate.origin.folder == self.folder
            if candidate.id not in here and verdict.decision != "reject"
        ]
        if self.ledger is not None:
            with self.ledger.atomic():
                for candidate in gone:
                    verdict = Verdict("reject", {}, (WITHDRAWN,), DOOR)
                    self.ledger.add_verdict(self.collection, candidate.id, verdict, DOOR)
        return gone

    def _batch(self, label: str, some: Sequence[Seen], accepted: Sequence[Candidate]) -> list[Judged]:
        """Files first, then, all at once, their rows; what is on record and still stands is taken over."""
        known = self.known[label]
        with ThreadPoolExecutor(min(8, cores())) as pool:
            batch = list(pool.map(self._bring, some))
        sync_path(self.store)
        fresh = [each for each in batch if not self._stands(known, each)]
        judged = self._judge(known, fresh, accepted) if fresh else []
        moved = [(each, None) for each in batch if each not in fresh and known.judged[each.id][0] != each]
        if self.ledger is not None and moved:  # the same image under another name
            self.ledger.add_candidates(self.collection, moved)
        by_id = {candidate.id: verdict for candidate, verdict in judged}
        return [(each, by_id[each.id] if each.id in by_id else known.judged[each.id][1]) for each in batch]

    def _stands(self, known: Known, each: Candidate) -> bool:
        return known.stands(each, self.screen) and known.judged[each.id][0].sha256 == each.sha256

    def _judge(self, known: Known, fresh: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Judged]:
        return judge(fresh, accepted, self.screen, known=known, collection=self.collection, ledger=self.ledger)

    def _bring(self, seen: Seen) -> Candidate:
        """The candidate on record; a new one where its files, or the collection's format, are not what they were."""
        given, form = seen.given, form_of(self.look)
        earlier = self.known[given.label].judged.get(seen.id)
        if earlier is not None and earlier[0].origin is not None and earlier[0].origin.form == form:
            stored, origin = earlier[0], earlier[0].origin
            if sha256_if_there(stored.path) == stored.sha256 and sha256_if_there(origin.given) == origin.sha256:
                return replace(stored, origin=replace(origin, folder=self.folder, file=given.path))
        copy = self.store / f"{seen.id}-given{given.file.suffix.lower()}"
        self._copy(seen, copy)
        origin = Origin(given.path, seen.sha256, seen.pixels, self.folder, copy, form, seen.composite)
        return self._bring_into_look(given.label, origin, seen)

    def _copy(self, seen: Seen, copy: Path) -> None:
        if keep(copy, seen.given.file.read_bytes()) != seen.sha256:
            copy.unlink()
            raise CollectionError(
                needed="a folder of candidates that nobody writes to meanwhile",
                found=f"{seen.given.path} changed while it was read",
                next_step="run the same command again when the generator has finished: balance merge --from FOLDER",
            )

    def _bring_into_look(self, label: str, origin: Origin, seen: Seen) -> Candidate:
        grey = read_grey(origin.given)
        output = self.look.output
        grey = resize(grey, *(output.size or _own_size(seen, self.look.sizes_of(label))))
        path = self.store / f"{seen.id}{output.extension}"
        sha256 = keep(path, encode(grey, output, make_xmp(label, None, composite=origin.composite)))
        return Candidate(label, path, sha256, None, origin)


def form_of(look: Look) -> str:
    """The file format of a look in words: images brought into another one do not fit any more.

    >>> from balancer.imaging.decode import OutputFormat
    >>> form_of(Look(OutputFormat("PNG", ".png", "L", 8, (32, 16)), {}))
    'PNG .png L 8 (32, 16)'
    """
    return " ".join(map(str, look.output.kind))


def _own_size(seen: Seen, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Where the class has no common size: the image's own if the class knows it, else one of the class's, by its id."""
    return seen.size if seen.size in sizes else random.Random(seen.id).choice(sizes)


def _chunks(seen: Sequence[Seen]) -> Iterator[Sequence[Seen]]:
    for start in range(0, len(seen), AT_ONCE):
        yield seen[start : start + AT_ONCE]


def _refused(seen: Seen, reason: str) -> Outcome:
    return Outcome(seen, Verdict("reject", {}, (reason,), DOOR), None)
