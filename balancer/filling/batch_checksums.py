"""The hashes of a batch beside its images: they tell, when the ledger is lost, which images are as they were made.

A batch's file is named after its first job, and `sha256sum --check` reads it. A comment in it names the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balancer.dataset.xmp import read_provenance
from balancer.errors import ImageError
from balancer.files import sha256_if_there, write_whole
from balancer.imaging.pixel_hash import digest_of
from balancer.jobs import Candidate, Job

EXTENSION = ".sha256"
_DEVICE = "# device: "


def write_checksums(store: Path, batch: Sequence[Candidate]) -> None:
    """Write down the hashes of a batch that is safe in the store."""
    device = batch[0].device
    lines = [f"{_DEVICE}{device}\n"] if device else []
    lines += [f"{each.sha256}  {each.path.name}\n" for each in batch]
    write_whole(_place(store, batch[0].id), "".join(lines).encode())


def has_checksums(store: Path, jobs: Sequence[Job]) -> bool:
    """Whether there are hashes of a batch."""
    return _place(store, jobs[0].id).is_file()


def verified_batch(store: Path, jobs: Sequence[Job]) -> list[Candidate] | None:
    """The batch of these jobs, if each image has the bytes that were written down and does not name another job.

    A job is the hash of all that made its image, so a file of its name was made just so.
    """
    lines = _read(_place(store, jobs[0].id))
    device = next((line.removeprefix(_DEVICE) for line in lines if line.startswith(_DEVICE)), "")
    sums = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    found = []
    for job in jobs:
        path = store / f"{job.id}{job.output.extension}"
        sha256 = sums.get(path.name)
        if sha256 is None or sha256_if_there(path) != sha256 or _named(path, job.id) != job.id:
            return None
        found.append(Candidate(job.label, path, sha256, job, pixels=digest_of(path), device=device))
    return found


def _place(store: Path, first: str) -> Path:
    return store / f"{first}{EXTENSION}"


def _read(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []


def _named(path: Path, otherwise: str) -> str:
    """The job that an image says it is of; not all formats can say so."""
    try:
        return (read_provenance(path) or {}).get("job_id", otherwise)
    except ImageError:
        return ""
