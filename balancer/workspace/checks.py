"""Look before the GPU hours whether all is there: machine, disk, model, adapter, licence, prompts, and time."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from balancer.errors import BalanceError, OutputError
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.download_manifest import changed_files, record_of
from balancer.generators.models.licence import find_licence, is_from_scratch
from balancer.generators.models.selection import ModelSelection
from balancer.generators.plugins import LoadedPlugin
from balancer.generators.protocol import ImageGenerator
from balancer.jobs import GenerationConfig, Job, ModeDraw, job_seed
from balancer.offline import OFFLINE
from balancer.parallel import cores, free_memory
from balancer.progress import SILENT, Progress
from balancer.prompting.prompts import Prompt
from balancer.store.state_dir import State

PACKAGES = ("torch", "diffusers", "transformers", "peft", "safetensors")
_GIB = 2**30
_DISK = (_GIB // 10, 10 * _GIB)  # less is refused, or worth a word: caches, looks, checkpoints of a training
_LOADED = 2.5  # times the weights' bytes, with what is built beside them; less may still do, in half precision


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: how it is, what was found, and, unless it is ok, what to type."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    next_step: str = ""

    @classmethod
    def failed(cls, name: str, error: BalanceError) -> Check:
        """What an error of ours says, as a check."""
        words = (f"{error.found}; needed: {error.needed}", error.next_step)
        return cls(name, "fail", *(" ".join(text.split()) for text in words))


def check_software() -> Check:
    """The versions of what draws and trains."""
    import platform

    found, missing = [f"python {platform.python_version()}"], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("software", "fail", f"without {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Check("software", "ok", ", ".join(found))


def check_device(name: str) -> Check:
    """The device that draws, and its memory.

    Raises:
        ModelError: the device is not there.
    """
    import torch

    from balancer.devices import choose_device

    device = choose_device(name)
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(torch.device(device))
        memory = f"{torch.cuda.get_device_name(device)}, {free / _GIB:.0f} of {total / _GIB:.0f} GiB free"
        if free < total / 2:
            return Check("device", "warn", memory, "see which programs use it: nvidia-smi")
        return Check("device", "ok", memory)
    if device == "mps":
        return Check("device", "ok", "mps")
    advice = "use a machine with a GPU for a full-size base; on this machine: balance adapt --from-scratch"
    return Check("device", "warn", f"no GPU: {cores()} processor cores", advice)


def check_workers() -> Check:
    """How many generators there may be at once: of this machine's GPUs, and whether Ray could place them."""
    import torch

    from balancer.filling.ray_cluster import address_of

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = f"GPUs of this machine: {gpus}"
    try:
        ray = version("ray")
    except PackageNotFoundError:
        advice = (
            "" if gpus < 2 else "to use all of them: pip install 'xray-balancer[ray]', then balance fill --engine ray"
        )
        return Check("workers", "warn" if advice else "ok", f"{here}; Ray is not installed", advice)
    address = address_of(os.environ)
    cluster = "no cluster named in RAY_ADDRESS" if address is None else "RAY_ADDRESS names a cluster"
    return Check("workers", "ok", f"{here}; Ray {ray}, {cluster}")


def check_memory(weights: int, free: int | None = None) -> Check:
    """Main memory against `weights`, in bytes, that are to be loaded; `free` is looked up."""
    free = free_memory() if free is None else free
    found = f"{free / _GIB:.1f} GiB free, for weights of {weights / _GIB:.1f}"
    if weights * _LOADED > free:
        advice = "close other programs, use a machine with more memory, or a smaller model: balance fill --model FOLDER"
        return Check("memory", "fail" if weights > free else "warn", found, advice)
    return Check("memory", "ok", found)


def check_disk(folder: Path, needed: int = 0, free: int | None = None) -> Check:
    """Free disk where the state folder is, against `needed` bytes more than a little; `free` is looked up."""
    free = shutil.disk_usage(folder).free if free is None else free
    found = f"{free / _GIB:.1f} GiB free"
    if free < _DISK[0] + needed:
        advice = "free some space, or use another disk: cd ELSEWHERE && balance scan FOLDER"
        return Check("disk", "fail", f"{found}; about {(_DISK[0] + needed) / _GIB:.1f} that are needed", advice)
    if free < _DISK[1] + needed:
        return Check("disk", "warn", found, "free some space before a long training: df -h .")
    return Check("disk", "ok", found)


def check_state(state: State) -> Check:
    """Whether the state folder, which holds patients' data, is open to others."""
    if os.name == "nt":
        found = f"the permissions of Windows decide who may read {state.folder.name}"
        return Check("privacy", "warn", found, "check that only you are listed under Properties, Security")
    if stat.S_IMODE(state.folder.stat().st_mode) & 0o077:
        return Check("privacy", "warn", f"{state.folder.name} can be read by others", f"chmod 700 {state.folder.name}")
    return Check("privacy", "ok", f"{state.folder.name} is readable only by its owner")


def check_offline(environment: Mapping[str, str] = os.environ) -> Check:
    """Whether the hub's libraries are kept from the network."""
    open_ = [name for name in OFFLINE if environment.get(name) != "1"]
    if open_:
        return Check("offline", "fail", f"{', '.join(open_)} not set", f"export {open_[0]}=1")
    return Check("offline", "ok", "nothing will be downloaded")


def check_model(checkpoint: Checkpoint) -> list[Check]:
    """The checkpoint, which is whole as it was found, and its hashes where it was fetched."""
    size = sum(file.stat().st_size for file in checkpoint.weights)
    found = f"{checkpoint.ref.name}: {checkpoint.family.name}, {checkpoint.native_size} px, {size / 1e9:.2g} GB"
    checks = [Check("model", "ok", f"{found}, complete on this machine")]
    record = record_of(checkpoint.folder)
    if record is not None:
        changed = changed_files(checkpoint.folder, record)
        there = f"{len(record['files'])} files unchanged since the download, commit {str(record.get('revision'))[:12]}"
        some = f"{len(changed)} files changed or missing since the download: {', '.join(changed[:3])}"
        again = (
            f"copy it again, or: balance fetch {record.get('model')} --revision {record.get('revision')} --to FOLDER"
        )
        checks.append(Check("hashes", "fail", some, again) if changed else Check("hashes", "ok", there))
    return checks


def check_licence(checkpoint: Checkpoint, accepted: Mapping[str, str]) -> Check:
    """The licence that the model states, and whether it was accepted here: hashes to names."""
    licence = find_licence(checkpoint)
    if is_from_scratch(checkpoint):
        return Check("licence", "ok", "trained from scratch: the terms of its training images apply")
    if not licence.is_stated:
        return Check("licence", "warn", "not stated in its folder", "find out whether you may use it")
    if accepted.get(checkpoint.ref.sha256) == licence.name:
        return Check("licence", "ok", f"{licence.name}, accepted here")
    advice = "read it; to adapt this base: balance adapt --base MODEL --accept-licence"
    return Check("licence", "warn", f"{licence.name} ({licence.where}), not accepted yet", advice)


def check_prompts(choice: ModelSelection, prompts: Iterable[Prompt]) -> Check:
    """Whether the text encoder reads all prompts to their end.

    Raises:
        ModelError: its tokenizer cannot be loaded.
    """
    from balancer.generators.models.tokens import longest_text

    texts = list(dict.fromkeys(text for prompt in prompts for text in (prompt.text, prompt.negative)))
    longest = longest_text(choice.checkpoint, texts)
    if longest.count > longest.limit:
        advice = "shorten it in the template pack, then: balance prompts --check"
        return Check("tokens", "fail", f"{longest.count} tokens of {longest.limit}: {longest.text!r}", advice)
    return Check("tokens", "ok", f"at most {longest.count} of {longest.limit} in {len(texts)} texts")


def check_drawing(choice: ModelSelection, device: str, prompt: Prompt, seconds: Callable[[float], str]) -> list[Check]:
    """Load the model with its adapter and draw: whether they fit each other and the device, and how long it takes.

    `seconds` puts the time of an image into words.

    Raises:
        ModelError: one cannot be loaded, or they do not fit.
        GenerationError: it cannot draw.
    """
    import numpy as np

    from balancer.collection.scan import Sample
    from balancer.generators.sampling import SamplingOptions, resolve_config
    from balancer.generators.stable_diffusion import StableDiffusion

    config = resolve_config(
        choice.checkpoint, choice.adapter, SamplingOptions(batch_size=1, device=device, aspect=choice.aspect)
    )
    generator = StableDiffusion(choice.checkpoint, choice.file, config, device)
    method = ModeDraw()
    if choice.checkpoint.is_for_inpainting:  # it draws nothing but parts of images: of a grey one, then
        from balancer.collection.run_lengths import runs_to_text

        grey = Sample("grey", "doctor", None, "")
        generator.lend({grey: np.full((config.height, config.width), 128, np.uint8)})
        method = ModeDraw("inpaint", grey, 0.99, mask=runs_to_text([0, config.height * config.width]))
    each = _seconds_each(generator, "doctor", prompt, config, method)
    checks = [
        Check(
            "time",
            "ok",
            f"an image of {config.width} px, {config.steps} steps: {seconds(each)}",
        )
    ]
    if choice.adapter is None:
        return checks
    return [Check("adapter", "ok", f"{choice.adapter.name} fits {choice.checkpoint.ref.name}"), *checks]


def check_family(family: LoadedPlugin) -> Check:
    """A generator of another family that opened its weights; what it learned from is its own to say."""
    width, height = family.size
    version = "" if family.ref.revision is None else f" ({family.ref.revision})"
    return Check("model", "ok", f"{family.ref.name}{version}: {width} x {height} px, from a plug-in")


def check_family_drawing(family: LoadedPlugin, label: str, prompt: Prompt, seconds: Callable[[float], str]) -> Check:
    """Draw an image of a class with it, and say how long that takes.

    Raises:
        GenerationError: it cannot draw, or not what it should.
    """
    from balancer.generators.plugins import family_config
    from balancer.generators.sampling import SamplingOptions

    config = family_config(family, SamplingOptions(batch_size=1))
    each = _seconds_each(family.generator, label, prompt, config, ModeDraw())
    return Check("time", "ok", f"an image of {config.width} px: {seconds(each)}")


def _seconds_each(
    generator: ImageGenerator, label: str, prompt: Prompt, config: GenerationConfig, method: ModeDraw
) -> float:
    from balancer.generators.preview import seconds_per_batch
    from balancer.imaging.decode import OutputFormat

    file = OutputFormat("PNG", ".png", "L", 8, None)
    job = Job(label, 0, prompt, job_seed(0, "doctor", 0), config, method, file)
    return seconds_per_batch(generator, [job], config.steps)


def require_memory_and_disk(
    folder: Path, weights: int = 0, latents: int | None = 0, *, progress: Progress = SILENT
) -> None:
    """What is cheap to look at before the hours: memory for so many bytes of weights, disk for `latents` (`None`: not).

    Raises:
        OutputError: there is too little.
    """
    checks = [check_memory(weights), *([] if latents is None else [check_disk(folder, latents)])]
    require(checks)
    for check in checks:
        if check.state == "warn":
            progress.message(f"Note: {check.name}: {check.found}; {check.next_step}")


def require(checks: Sequence[Check]) -> None:
    """Refuse where a check failed.

    Raises:
        OutputError: with what was found and what to type.
    """
    failed = next((check for check in checks if check.state == "fail"), None)
    if failed is not None:
        raise OutputError(needed=f"enough {failed.name} for this", found=failed.found, next_step=failed.next_step)
