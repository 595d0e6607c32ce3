"""A scanned collection with candidates in its ledger, for the tests of the review page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from analysis.review.cases import half_and_half, waiting
from analysis.review.decision_session import ReviewDesk
from analysis.review.nearest_real import ByCorrelation
from analysis.review.request_guard import Guard
from analysis.review.server import Page
from analysis.review.sessions import Journal
from balancer.collection.scan import scan
from balancer.jobs import Verdict
from balancer.splits.split import Split, draw_split
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state
from tests.support.balanced_fixtures import make_candidate, make_job
from tests.support.tiny_models import write_xrays

PORT, TOKEN = 8123, "the-token-of-this-run"
HELD = Verdict("review", {"distance": 0.25}, ("near the limit",), "copy gate")


def prepare(folder: Path, candidates: Mapping[str, int], verdict: Verdict = HELD, real: int = 8) -> Path:
    """`folder/xrays` with `real` images a class, scanned, and so many candidates with the same first verdict."""
    write_xrays(folder / "xrays", dict.fromkeys(candidates, real))
    state = find_or_make_state(folder, folder / "xrays")
    collection = scan(folder / "xrays", r"(p\d+)-")
    with Ledger(state) as ledger:
        ledger.save_collection(collection)
        ledger.save_split(collection, draw_split(collection))
        for label, count in candidates.items():
            made = (make_candidate(state.candidates, make_job(label, index)) for index in range(count))
            ledger.add_candidates(collection, [(candidate, verdict) for candidate in made])
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Journal, Split]]:
    """The journal of a prepared folder, and its split."""
    state = find_or_make_state(folder, folder / "xrays")
    with Ledger(state) as ledger:
        collection = ledger.load_collection()
        assert collection is not None
        split = ledger.load_split(collection)
        assert split is not None
        yield Journal(state, ledger, collection), split


def judged(journal: Journal) -> dict[str, Any]:
    """All candidates with the verdicts that count."""
    labels = journal.collection.labels
    return {key: each for label in labels for key, each in journal.ledger.candidates(journal.collection, label).items()}


def review_desk(journal: Journal, split: Split, reader: str = "A. Reader") -> ReviewDesk:
    """A desk with all that waits."""
    nearest = ByCorrelation(journal.collection, split)
    return ReviewDesk(journal, reader, waiting(judged(journal), reader), nearest, tell=True)


def blinded_cases(journal: Journal, split: Split, count: int, seed: int = 0) -> list[Any]:
    """A blinded sample of all classes."""
    collection = journal.collection
    return half_and_half(collection, split, judged(journal), collection.labels, count, seed)


def client(desk: Any, *, token: str | None = TOKEN, host: str = f"127.0.0.1:{PORT}") -> TestClient:
    """A browser of sorts: it sends the cookie, unless `token` is `None`."""
    app = Guard(Page(desk, lambda: ["that was all"]).app(), port=PORT, token=TOKEN)
    cookies = {} if token is None else {f"balance-review-{PORT}": token}
    return TestClient(app, base_url=f"http://{host}", cookies=cookies, raise_server_exceptions=True)
