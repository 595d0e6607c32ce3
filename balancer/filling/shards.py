"""Shards: parts of a fill that are made anywhere, each in a folder of its own, and taken over by hash.

A shard's folder holds its images, for each batch the hashes (`batch_checksums`), and, once it is whole, `rows.jsonl`
with a row for each image and `whole.json`, which says what made them. No row names a patient.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from balancer.devices import software_versions
from balancer.errors import GenerationError, StateInUse
from balancer.files import sha256_if_there, sha256_of, sync_path, write_whole
from balancer.filling.batch_checksums import verified_batch, write_checksums
from balancer.filling.batch_files import BatchFiles
from balancer.filling.runner import Made, Runner
from balancer.filling.shard import Shard, shard_of
from balancer.generators.protocol import ImageGenerator
from balancer.jobs import Candidate, GenerationConfig, Job

ROWS, MARKER, _LOCK = "rows.jsonl", "whole.json", "lock"
_NAMED = 8  # shards in a message
_AGAIN = "make it again: balance fill --shard K/N --shard-dir DIR, with the options of the others"


@dataclass(frozen=True, slots=True)
class ShardReport:
    """A whole shard: how many images are in its folder, and how many of them were made now."""

    shard: Shard
    folder: Path
    images: int
    made: int


@dataclass(frozen=True, slots=True)
class WholeShard:
    """A whole shard as it is read: what made it, and the row of each image by id."""

    shard: Shard
    folder: Path
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    rows: Mapping[str, Mapping[str, Any]]


def make_shard(
    shard: Shard,
    files: BatchFiles,
    batches: Sequence[Sequence[Job]],
    config: GenerationConfig,
    *,
    runner: Runner,
    make_generator: Callable[[], ImageGenerator],
    progress: Callable[[int, int, int], None],
) -> ShardReport:
    """Make the batches of a shard in its folder; those that are there whole are kept. `progress`: done, total, made.

    Raises:
        GenerationError: the generator failed; what was finished before is kept.
        StateInUse: another process makes the same shard.
    """
    files.store.mkdir(parents=True, exist_ok=True)
    with _held(files.store):
        files.clear()
        known = {batch[0].id: verified_batch(files.store, batch) for batch in batches}
        waiting = [batch for batch in batches if known[batch[0].id] is None]
        total = sum(map(len, batches))
        here = total - sum(map(len, waiting))
        made = 0
        for candidates in _written(files, waiting, runner, make_generator):
            known[candidates[0].id] = candidates
            made += len(candidates)
            progress(here + made, total, made)
        rows = [_row(each) for found in known.values() for each in found or ()]
        write_whole(files.store / ROWS, "".join(f"{json.dumps(row, sort_keys=True)}\n" for row in rows).encode())
        marker = {
            "shard": str(shard),
            "images": len(rows),
            "rows_sha256": sha256_of(files.store / ROWS),
            "config": asdict(config),
            "versions": dict(software_versions()),
        }
        write_whole(files.store / MARKER, json.dumps(marker, indent=1, sort_keys=True).encode())
        sync_path(files.store)
    return ShardReport(shard, files.store, total, made)


def _written(
    files: BatchFiles,
    batches: Iterable[Sequence[Job]],
    runner: Runner,
    make_generator: Callable[[], ImageGenerator],
) -> Iterator[list[Candidate]]:
    """The files of each batch; while they are written, the next batch is already being generated."""
    with ThreadPoolExecutor(1) as writer:
        before = None
        for found in runner(make_generator, (files.batch(batch) for batch in batches)):
            if before is not None:
                yield before.result()
            assert isinstance(found, Made)  # a runner in this process sets no batch aside
            before = writer.submit(files.write, found)
        if before is not None:
            yield before.result()


def read_shards(folder: Path) -> list[WholeShard]:
    """The whole shards in a folder, in order.

    Raises:
        GenerationError: there is none, one was changed, or they are parts of different numbers.
    """
    found = []
    for place in sorted(folder.glob("shard-*-of-*/")):
        try:
            shard = Shard.from_folder(place.name)
        except ValueError:
            continue
        if (place / MARKER).is_file():
            found.append(_read(shard, place))
    if not found:
        raise GenerationError(
            needed=f"whole shards in {folder.name} (folders shard-K-of-N with a {MARKER})",
            found="none",
            next_step="make every shard first: balance fill --shard K/N --shard-dir DIR, with the same --target",
        )
    counts = sorted({each.shard.count for each in found})
    if len(counts) > 1:
        raise GenerationError(
            needed="shards of one number N",
            found=f"in {folder.name}: shards of {' and '.join(map(str, counts))}",
            next_step="give each number its own folder, then: balance fill --collect FOLDER, with the same --target",
        )
    return sorted(found, key=lambda each: each.shard)


def require_same_maker(shards: Iterable[WholeShard], config: GenerationConfig) -> None:
    """Refuse shards of other weights, of other settings of the generator, or made by another version.

    Raises:
        GenerationError: one is foreign; it is named.
    """
    here, fields = software_versions(), json.loads(json.dumps(asdict(config)))
    for each in shards:
        other = next((name for name, value in here.items() if each.versions.get(name) != value), None)
        if other is not None:
            raise _foreign(each, f"{other} {here[other]}", f"{other} {each.versions.get(other)}")
        wrong = next((name for name, value in fields.items() if each.config.get(name) != value), None)
        if wrong is not None:
            raise _foreign(each, f"{wrong} {_short(fields[wrong])}", f"{wrong} {_short(each.config.get(wrong))}")


def take_over(
    shards: Sequence[WholeShard],
    batches: Sequence[Sequence[Job]],
    labels: Sequence[str],
    store: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Copy the images of these batches into the store, each held against its hash; a later run judges them.

    Raises:
        GenerationError: a shard is missing, belongs to another plan, or an image in it is damaged. All batches are
            looked for before the first is copied.
    """
    _require_there(shards, batches, labels)
    holder = {key: each for each in shards for key in each.rows}
    store.mkdir(exist_ok=True)
    for done, batch in enumerate(batches, start=1):
        write_checksums(store, [_copied(holder[job.id], job, store) for job in batch])
        sync_path(store)
        progress(done, len(batches))


def _copied(shard: WholeShard, job: Job, store: Path) -> Candidate:
    row, name = shard.rows[job.id], f"{job.id}{job.output.extension}"
    source, place = shard.folder / name, store / name
    if sha256_if_there(source) != row["sha256"]:
        raise GenerationError(
            needed=f"image {name} of shard {shard.shard}, as it was made",
            found="another content" if source.is_file() else "no such file",
            next_step=_AGAIN.replace("K/N", str(shard.shard)),
        )
    temporary = place.with_name(f".tmp-{name}")
    shutil.copyfile(source, temporary)
    sync_path(temporary)
    temporary.replace(place)
    return Candidate(job.label, place, row["sha256"], job, pixels=row["pixels"], device=row["device"])


def _require_there(shards: Sequence[WholeShard], batches: Sequence[Sequence[Job]], labels: Sequence[str]) -> None:
    known, count = {key for each in shards for key in each.rows}, shards[0].shard.count
    size = len(batches[0])
    lacking = [batch for batch in batches if any(job.id not in known for job in batch)]
    missing = sorted({shard_of(batch, labels, size, count) for batch in lacking})
    there = {each.shard: each for each in shards}
    places = {(row["label"], row["index"]): each for each in shards for row in each.rows.values()}
    foreign = next(
        (places[job.label, job.index] for b in lacking for job in b if (job.label, job.index) in places), None
    )
    if foreign is not None:
        raise _foreign(foreign, "the plan of this collection (prompts, seed, mode, split)", "images of another plan")
    if missing:
        names = ", ".join(map(str, missing[:_NAMED])) + (" ..." if len(missing) > _NAMED else "")
        images = sum(map(len, lacking))
        older = "; some are whole, but for fewer images" if any(each in there for each in missing) else ""
        raise GenerationError(
            needed=f"all {count} shards, whole",
            found=f"{len(missing)} without all of their images: {names} ({images} images are missing{older})",
            next_step=f"make each of them: balance fill --shard {missing[0]} --shard-dir DIR, with the same --target",
        )


def _foreign(shard: WholeShard, needed: str, found: str) -> GenerationError:
    return GenerationError(
        needed=f"shards made with {needed}",
        found=f"shard {shard.shard}, made with {found}",
        next_step=f"make it again here, in another folder: balance fill --shard {shard.shard} --shard-dir OTHER; "
        "or collect with the options that it was made with: balance fill --collect DIR",
    )


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "sha256" in value:
        return f"{value['name']} (SHA-256 {str(value['sha256'])[:12]}...)"
    return str(value)


def _row(candidate: Candidate) -> dict[str, Any]:
    job = candidate.job
    assert job is not None
    return {
        **{"id": job.id, "label": job.label, "index": job.index, "seed": job.seed, "file": candidate.path.name},
        **{"sha256": candidate.sha256, "pixels": candidate.pixels, "device": candidate.device},
    }


def _read(shard: Shard, place: Path) -> WholeShard:
    try:
        marker = json.loads((place / MARKER).read_text("utf-8"))
        if sha256_of(place / ROWS) != marker["rows_sha256"]:
            raise ValueError("other rows than were written")
        rows = [json.loads(line) for line in (place / ROWS).read_text("utf-8").splitlines()]
        found = {str(row["id"]): {**row, "sha256": str(row["sha256"])} for row in rows}
        return WholeShard(shard, place, dict(marker["config"]), dict(marker["versions"]), found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenerationError(
            needed=f"{ROWS} and {MARKER} of shard {shard}, as they were written",
            found=str(error),
            next_step=_AGAIN.replace("K/N", str(shard)),
        ) from error


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / _LOCK, timeout=0, mode=0o600):
            yield
    except Timeout as error:
        raise StateInUse(
            needed="no other process that makes the same shard",
            found=f"one that uses {folder.name}",
            next_step="wait until it ends, or give this one another number: balance fill --shard K/N --shard-dir DIR",
        ) from error
