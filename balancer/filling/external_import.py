"""Images that another generator made, from the folder they are handed over in to judged candidates of ours."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from balancer.collection.scan import Collection, Progress
from balancer.dataset.xmp import make_xmp
from balancer.errors import CollectionError
from balancer.files import sha256_if_there, sync_path
from balancer.filling.acceptance import is_accepted
from balancer.filling.external_folder import DecodedFile
from balancer.filling.recipe import OutputProfile
from balancer.filling.verdicts import Judged, LabelRecords, Screen, screen_and_record, store_bytes
from balancer.imaging.decode import encode, read_grey, resize
from balancer.imaging.pixel_hash import digest_of
from balancer.jobs import Candidate, ExternalOrigin, Verdict
from balancer.parallel import cores, in_threads
from balancer.store.database import Ledger

AT_ONCE = 64
"""Images of a class that are judged together."""
PRECHECK = "precheck"
"""Reviewer of files that are no candidates at all; `door` in what version 0.1 wrote."""
RETRACTED = "no longer in the folder from which it was imported"


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What was decided about a file; `candidate` is `None` where the precheck refused it."""

    seen: DecodedFile
    verdict: Verdict
    candidate: Candidate | None

    def to_json(self) -> dict[str, Any]:
        """The decision about this image as JSON-compatible fields."""
        return {
            "path": self.seen.given.path,
            "label": self.seen.given.label,
            "decision": self.verdict.decision,
            "reasons": list(self.verdict.reasons),
            "scores": dict(self.verdict.scores),
        }


@dataclass(frozen=True, slots=True)
class ExternalImporter:
    """Brings images of another generator into the collection's file format in `store`, screens and records them.

    `folder` names the folder that they come from; `records` is what the database holds, by class. Without a ledger
    nothing is remembered and everything is judged.
    """

    collection: Collection
    profile: OutputProfile
    screen: Screen
    store: Path
    folder: str
    records: Mapping[str, LabelRecords]
    ledger: Ledger | None = None

    def run(
        self,
        seen: Sequence[DecodedFile],
        refused: Mapping[str, str],
        accepted: Mapping[str, Sequence[Candidate]],
        progress: Progress = lambda done, total: None,
    ) -> list[ImportResult]:
        """Judge what is not `refused` (reasons by path), class by class in the given order.

        `accepted` is what is accepted of each class beside these. A killed run, called again, goes on where it
        stopped and ends with the same candidates and verdicts.

        Raises:
            CollectionError: a file changed meanwhile.
        """
        self.store.mkdir(exist_ok=True)
        found: dict[str, ImportResult] = {}
        admissible = [each for each in seen if each.given.path not in refused]
        for label in dict.fromkeys(each.given.label for each in admissible):
            so_far = list(accepted.get(label, ()))
            for some in _chunks([each for each in admissible if each.given.label == label]):
                for each, (candidate, verdict) in zip(some, self._batch(label, some, so_far), strict=True):
                    found[each.given.path] = ImportResult(each, verdict, candidate)
                    so_far += [candidate] if is_accepted(verdict) else []
                progress(len(found), len(admissible))
        return [found.get(each.given.path) or _refused(each, refused[each.given.path]) for each in seen]

    def retract_missing(self, outcomes: Sequence[ImportResult]) -> list[Judged]:
        """Reject what came from the same folder earlier and is no candidate there any more."""
        here = {outcome.candidate.id for outcome in outcomes if outcome.candidate is not None}
        retracted = Verdict("reject", {}, (RETRACTED,), PRECHECK)
        gone = [
            (candidate, retracted)
            for known in self.records.values()
            for candidate, verdict in known.judged.values()
            if candidate.origin is not None and candidate.origin.folder == self.folder
            if candidate.id not in here and verdict.decision != "reject"
        ]
        if self.ledger is not None:
            with self.ledger.atomic():
                for candidate, verdict in gone:
                    self.ledger.add_verdict(self.collection, candidate.id, verdict, PRECHECK)
        return gone

    def _batch(self, label: str, some: Sequence[DecodedFile], accepted: Sequence[Candidate]) -> list[Judged]:
        """Files first, then, all at once, their rows; what is on record and still counts is taken over."""
        known = self.records[label]
        batch = list(in_threads(self._bring, some, threads=min(8, cores())))
        sync_path(self.store)
        fresh = [each for each in batch if not self._is_current(known, each)]
        judged = self._judge(known, fresh, accepted) if fresh else []
        moved = [(each, None) for each in batch if each not in fresh and known.judged[each.id][0] != each]
        if self.ledger is not None and moved:  # the same image under another name
            self.ledger.add_candidates(self.collection, moved)
        by_id = {candidate.id: verdict for candidate, verdict in judged}
        return [(each, by_id[each.id] if each.id in by_id else known.judged[each.id][1]) for each in batch]

    def _is_current(self, known: LabelRecords, each: Candidate) -> bool:
        return known.is_current(each, self.screen) and known.judged[each.id][0].sha256 == each.sha256

    def _judge(self, known: LabelRecords, fresh: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Judged]:
        return screen_and_record(
            fresh, accepted, self.screen, records=known, collection=self.collection, ledger=self.ledger
        )

    def _bring(self, seen: DecodedFile) -> Candidate:
        """The candidate on record; a new one where its files, or the collection's format, are not what they were."""
        given, form = seen.given, format_key(self.profile)
        earlier = self.records[given.label].judged.get(seen.id)
        if earlier is not None and earlier[0].origin is not None and earlier[0].origin.form == form:
            stored, origin = earlier[0], earlier[0].origin
            if sha256_if_there(stored.path) == stored.sha256 and sha256_if_there(origin.given) == origin.sha256:
                return replace(stored, origin=replace(origin, folder=self.folder, file=given.path))
        copy = self.store / f"{seen.id}-given{given.file.suffix.lower()}"
        self._copy(seen, copy)
        origin = ExternalOrigin(given.path, seen.sha256, seen.pixels, self.folder, copy, form, seen.composite)
        return self._encode(given.label, origin, seen)

    def _copy(self, seen: DecodedFile, copy: Path) -> None:
        if store_bytes(copy, seen.given.file.read_bytes()) != seen.sha256:
            copy.unlink()
            raise CollectionError(
                needed="a folder that does not change while it is read",
                found=f"{seen.given.path} changed while it was read",
                next_step="run the same command again after the generator has finished: balance merge --from FOLDER",
            )

    def _encode(self, label: str, origin: ExternalOrigin, seen: DecodedFile) -> Candidate:
        grey = read_grey(origin.given)
        output = self.profile.output
        grey = resize(grey, *(output.size or _own_size(seen, self.profile.sizes_of(label))))
        path = self.store / f"{seen.id}{output.extension}"
        sha256 = store_bytes(path, encode(grey, output, make_xmp(label, None, composite=origin.composite)))
        return Candidate(label, path, sha256, None, origin, digest_of(path))


def format_key(profile: OutputProfile) -> str:
    """An output profile's file format in words: images brought into another one do not fit any more.

    >>> from balancer.imaging.decode import OutputFormat
    >>> format_key(OutputProfile(OutputFormat("PNG", ".png", "L", 8, (32, 16)), {}))
    'PNG .png L 8 (32, 16)'
    """
    return " ".join(map(str, profile.output.kind))


def _own_size(seen: DecodedFile, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Where the class has no common size: the image's own if the class knows it, else one of the class's, by its id."""
    return seen.size if seen.size in sizes else random.Random(seen.id).choice(sizes)


def _chunks(seen: Sequence[DecodedFile]) -> Iterator[Sequence[DecodedFile]]:
    for start in range(0, len(seen), AT_ONCE):
        yield seen[start : start + AT_ONCE]


def _refused(seen: DecodedFile, reason: str) -> ImportResult:
    return ImportResult(seen, Verdict("reject", {}, (reason,), PRECHECK), None)
