"""The files that the images of a batch become: put into their sources or harmonised and resized, encoded, hashed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balancer.collection.scan import Collection
from balancer.collection.unchanged import read_unchanged
from balancer.dataset.xmp import make_xmp
from balancer.files import sync_path
from balancer.filling.batch_checksums import write_checksums
from balancer.filling.composite import composite
from balancer.filling.intensity_matching import HistogramCache
from balancer.filling.recipe import Recipe
from balancer.filling.runner import Batch, Made
from balancer.filling.verdicts import store_bytes
from balancer.generators.img2img import SourceCache
from balancer.imaging.decode import GreyImage, encode, resize
from balancer.imaging.pixel_hash import digest_of
from balancer.jobs import Candidate, Job
from balancer.parallel import cores, in_threads


class BatchFiles:
    """What real images lend to batches of a collection, and the folder `store` that finished batches go to."""

    def __init__(self, collection: Collection, recipe: Recipe, store: Path) -> None:
        self.store, self._recipe, self._root = store, recipe, collection.root
        self._sources, self._histograms = SourceCache(collection.root), HistogramCache(collection.root)

    def clear(self) -> None:
        """Make the folder, and remove what a run that was killed left half-written."""
        self.store.mkdir(exist_ok=True, parents=True)
        for leftover in self.store.glob(".tmp-*"):
            leftover.unlink()

    def jobs(self, label: str, indices: range) -> list[Job]:
        """The jobs of a batch."""
        return [self._recipe.job(label, index) for index in indices]

    def batch(self, jobs: Sequence[Job]) -> Batch:
        """Jobs with the real images that they begin with.

        Raises:
            CollectionError: one is gone, or another than when it was drawn.
        """
        size = self._recipe.config.width, self._recipe.config.height
        found = (job.method.source for job in jobs)
        return Batch(jobs, {each: self._sources.read(each, *size) for each in found if each is not None})

    def write(self, made: Made) -> list[Candidate]:
        """Match, resize, encode and write the images of a batch, and their hashes when all of them are there.

        Of an image with a mask only the painted part is taken, and put into its source, which is read anew.

        Raises:
            CollectionError: a real image that intensities or surroundings come from is gone or changed.
        """
        pairs = list(zip(made.batch.jobs, made.images, strict=True))
        threads = min(8, cores())
        found = list(in_threads(lambda each: self._write(*each, made.device), pairs, threads=threads))
        write_checksums(self.store, found)
        sync_path(self.store)
        return found

    def _write(self, job: Job, image: GreyImage, device: str) -> Candidate:
        width, height = job.output.size or image.shape[::-1]
        if job.method.mask and job.method.source is not None:
            source = resize(read_unchanged(self._root, job.method.source), width, height)
            image = composite(image, source, job.mask)
        else:
            image = resize(image, width, height)
        if job.method.reference is not None:
            image = self._histograms.match_intensity(image, job.method.reference)
        content = encode(image, job.output, make_xmp(job.label, job))
        path = self.store / f"{job.id}{job.output.extension}"
        return Candidate(job.label, path, store_bytes(path, content), job, pixels=digest_of(path), device=device)
