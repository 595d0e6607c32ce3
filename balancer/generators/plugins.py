"""Generators of other families: any package may bring one as an entry point of the group `balancer.generators`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from balancer.devices import choose_device
from balancer.errors import BalanceError, GenerationError, ModelError, OutOfMemory
from balancer.generators.protocol import ImageGenerator
from balancer.generators.sampling import SamplingOptions
from balancer.generators.scheduler import usual_guidance
from balancer.imaging.decode import GreyImage
from balancer.jobs import GenerationConfig, Job, ModelRef
from balancer.plugins import GENERATORS, find_plugins

AT_ONCE = 16
_NAMED = re.compile(r"([A-Za-z_][\w.-]+):(.*)", re.DOTALL)  # two letters at least: C: is a drive
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HOW = (
    "see what a plug-in must provide: python -m pydoc balancer.generators.plugins.GeneratorPlugin\n"
    "        or use another: balance fill --model FOLDER"
)


class GeneratorPlugin(ImageGenerator, Protocol):
    """What the object that an entry point names returns when it is called with (weights, device, root).

    `weights` is what follows the colon of `--model FAMILY:WEIGHTS`; `device` is "cpu", "cuda" and so on; `root` is the
    collection, for families that begin with real images. An optional attribute `modes` names the modes that it can make
    beside "text": it then finds the image in `job.method.source` and reads it with
    `balancer.collection.unchanged.read_unchanged(root, source)`. `generate` is handed jobs with all that was asked
    for in `job.config`; the noise of a job has to come from `job.seed` alone.
    """

    name: str  # what provenance calls it, never a machine's path
    sha256: str  # of all its weights, 64 hexadecimal digits: other weights are other images
    size: tuple[int, int]  # width and height of what it draws, in pixels


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """An opened generator of another family, and what is recorded of it: `ref`'s revision is the package's version."""

    ref: ModelRef
    size: tuple[int, int]
    modes: tuple[str, ...]
    generator: ImageGenerator


def names_family(model: str | None) -> bool:
    """Whether `--model` names a family and its weights.

    >>> names_family("vae:chest.safetensors"), names_family("somebody/xray-sd"), names_family(r"C:\\models\\sd")
    (True, False, False)
    """
    return model is not None and _NAMED.fullmatch(model) is not None and not Path(model).exists()


def open_family(model: str, device: str, root: Path) -> LoadedPlugin:
    """The generator that `--model FAMILY:WEIGHTS` names.

    Raises:
        ModelError: no such family is installed, it does not open these weights, or it does not say what it is.
    """
    entry, (name, _, weights) = find_family(model), model.partition(":")
    try:
        own = entry.load()(weights, device, root)
    except BalanceError:
        raise
    except Exception as error:  # whatever foreign code raises
        raise ModelError(
            needed=f"weights that the plug-in {name} can open",
            found=f"{weights!r}: {_first_line(error)}",
            next_step=f"give its weights: balance fill --model {name}:WEIGHTS",
        ) from error
    _require_whole(name, own)
    version = None if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    ref = ModelRef(f"{name}:{own.name}", version, own.sha256)
    modes = ("text", *getattr(own, "modes", ()))
    return LoadedPlugin(ref, (own.size[0], own.size[1]), modes, _Checked(name, own))


def family_config(family: LoadedPlugin, sampling: SamplingOptions) -> GenerationConfig:
    """The settings that its jobs carry; what a family has no use for, it leaves.

    Raises:
        ModelError: a size that is not its own, or a device that is not there.
    """
    width, height = family.size
    if sampling.size not in (None, width, height):
        raise ModelError(
            needed=f"the size at which {family.ref.name} generates, {width} x {height} pixels",
            found=f"--size {sampling.size}",
            next_step="leave --size out",
        )
    if sampling.precision != "auto" or sampling.guidance_interval is not None:
        given = "--precision" if sampling.precision != "auto" else "--guidance-interval"
        raise ModelError(
            needed=f"a Stable Diffusion, for {given}",
            found=f"{family.ref.name}, a plug-in that chooses that itself",
            next_step=f"leave {given} out, or use another one: balance fill --model FOLDER",
        )
    choose_device(sampling.device)
    return GenerationConfig(
        model=family.ref,
        adapter=None,
        adapter_scale=0.0,
        scheduler="the family's own",
        steps=sampling.steps,
        guidance_scale=usual_guidance({}) if sampling.guidance_scale is None else sampling.guidance_scale,
        width=width,
        height=height,
        dtype="the family's own",
        batch_size=sampling.batch_size or AT_ONCE,
    )


class _Checked:
    """A generator whose images are what they should be, and whose errors are messages."""

    def __init__(self, family: str, own: ImageGenerator) -> None:
        self._family, self._own = family, own

    def generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        import torch

        try:
            images = list(self._own.generate(jobs))
        except BalanceError:
            raise
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                needed=f"device memory for {len(jobs)} images at once",
                found=_first_line(error),
                next_step=f"use --batch-size {len(jobs) // 2}"
                if len(jobs) > 1
                else "close other programs that use the device, or use another one: --device cpu",
            ) from error
        except Exception as error:  # whatever foreign code raises
            raise self._failed("no error", _first_line(error)) from error
        config = jobs[0].config
        if len(images) != len(jobs):
            raise self._failed(f"{len(jobs)} images for the same number of jobs", str(len(images)))
        wanted = f"uint8 arrays of shape ({config.height}, {config.width})"
        for image in images:
            if not isinstance(image, np.ndarray):
                raise self._failed(wanted, type(image).__name__)
            if image.dtype != np.uint8 or image.shape != (config.height, config.width):
                raise self._failed(wanted, f"{image.dtype} of shape {image.shape}")
        return images

    def _failed(self, needed: str, found: str) -> GenerationError:
        return GenerationError(needed=f"from the plug-in {self._family}: {needed}", found=found, next_step=_HOW)


def find_family(model: str) -> EntryPoint:
    """The entry point of the family that `--model FAMILY:WEIGHTS` names.

    Raises:
        ModelError: there is none.
        PluginError: two packages bring this name.
    """
    name = model.partition(":")[0]
    found = find_plugins(GENERATORS)
    if name in found:
        return found[name].entry
    raise ModelError(
        needed=f"one installed package that provides the plug-in {name} (entry point of the group {GENERATORS})",
        found=f"installed plug-ins: {', '.join(found) or 'none'}",
        next_step="install the package that provides it, or use a Stable Diffusion folder: balance fill --model FOLDER",
    )


def _require_whole(family: str, own: Any) -> None:
    name, sha256, size = (getattr(own, each, None) for each in ("name", "sha256", "size"))
    lacking = {
        "generate": callable(getattr(own, "generate", None)),
        "name": isinstance(name, str) and bool(name),
        "sha256": isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None,
        "size": isinstance(size, tuple) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size),
    }
    missing = [each for each, there in lacking.items() if not there]
    if missing:
        raise ModelError(
            needed=f"of the plug-in {family}: generate, name, sha256 (64 hexadecimal digits) and size (width, height)",
            found=f"{type(own).__name__} without a usable {' and '.join(missing)}",
            next_step=_HOW,
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
