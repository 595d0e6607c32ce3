"""How a generator is built somewhere else: small enough to be sent, and held against the weights that are there."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from balancer.devices import choose_device, software_versions
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import Checkpoint, find_adapter, find_checkpoint
from balancer.generators.plugins import open_family
from balancer.generators.protocol import ImageGenerator
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.jobs import GenerationConfig, ModelRef
from balancer.prompting.prompts import Prompt


@dataclass(frozen=True, slots=True)
class StableDiffusionBlueprint:
    """A checkpoint and at most one adapter, by where they are and by their hashes.

    `expected` are prompts that will be asked for.
    """

    checkpoint: Checkpoint
    file: Path | None
    config: GenerationConfig
    device: str
    versions: Mapping[str, str] = field(default_factory=software_versions)
    expected: Sequence[Prompt] = ()

    def __call__(self) -> ImageGenerator:
        """Build the generator.

        Raises:
            ModelError: the weights, or the packages, are not those that the plan was made with.
        """
        _require_versions(self.versions)
        there = find_checkpoint(str(self.checkpoint.single_file or self.checkpoint.folder))
        _require_same(self.checkpoint.ref, there.ref)
        if self.file is not None and self.config.adapter is not None:
            _require_same(self.config.adapter, find_adapter(self.file)[1])
        return StableDiffusion(there, self.file, self.config, choose_device(self.device), expected=self.expected)


@dataclass(frozen=True, slots=True)
class FamilyBlueprint:
    """A generator of another family, by what `--model` says and by the hash of its weights."""

    model: str
    ref: ModelRef
    device: str
    root: Path
    versions: Mapping[str, str] = field(default_factory=software_versions)

    def __call__(self) -> ImageGenerator:
        """Build the generator.

        Raises:
            ModelError: the family, its weights, or the packages are not those that the plan was made with.
        """
        _require_versions(self.versions)
        there = open_family(self.model, choose_device(self.device), self.root)
        _require_same(self.ref, there.ref)
        return there.generator


Blueprint = StableDiffusionBlueprint | FamilyBlueprint


def _require_versions(wanted: Mapping[str, str]) -> None:
    other = next((name for name, value in software_versions().items() if wanted.get(name) != value), None)
    if other is not None:
        raise ModelError(
            needed=f"{other} {wanted.get(other)} on every machine that generates",
            found=f"{other} {software_versions()[other]} on {platform.node()}",
            next_step=f"install the same version there (pip install {other}=={wanted.get(other)}), then run the same "
            "balance fill again",
        )


def _require_same(wanted: ModelRef, there: ModelRef) -> None:
    if wanted.sha256 != there.sha256:
        raise ModelError(
            needed=f"the same weights of {wanted.name} on every machine (SHA-256 {wanted.sha256[:12]}...)",
            found=f"{there.name} on {platform.node()} (SHA-256 {there.sha256[:12]}...)",
            next_step="copy the model folder there unchanged, then check it: balance doctor --model FOLDER",
        )
