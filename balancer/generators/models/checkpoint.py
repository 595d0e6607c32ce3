"""Find and check the weights of a checkpoint before any of its bytes are loaded."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from balancer.errors import BalanceError, ModelError
from balancer.files import sha256_of
from balancer.generators.models.adapter_format import require_lora
from balancer.generators.models.download_manifest import record_of
from balancer.generators.models.families import FAMILIES, NAMES, Family, require_family
from balancer.generators.models.folder_validation import SCHEDULER, read_json, refused, require_safe_folder
from balancer.generators.models.safetensors_check import PICKLES, require_plain_metadata, require_sound
from balancer.jobs import ModelRef

_HASHED = (".safetensors", ".json", ".txt", ".model")
_SENTENCEPIECE = ("spiece.model", "tokenizer.model")
_MOST_BLOCKS = 16  # each halves the image
_LARGEST_SIDE = 8192  # pixels
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
WAYS = (
    "train a small one on your images: balance adapt --from-scratch\n"
    "        or name a Stable Diffusion folder in diffusers' format: balance fill --model FOLDER\n"
    "        or, on a machine with internet, download one from the hub: balance fetch OWNER/NAME --to FOLDER"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checked checkpoint of one of the families: `single_file` where the weights are one file beside `folder`."""

    folder: Path
    ref: ModelRef
    pipeline: str
    variant: str | None
    single_file: Path | None = None

    @property
    def family(self) -> Family:
        """How models of its kind are used."""
        return FAMILIES[self.pipeline]

    @property
    def is_xl(self) -> bool:
        """Whether it is a Stable Diffusion XL."""
        return "XL" in self.pipeline

    @property
    def is_for_inpainting(self) -> bool:
        """Whether its denoiser sees a mask and the surroundings of what it makes, and can do nothing else."""
        denoiser = self.config(self.family.denoiser)
        return bool(denoiser.get("in_channels") == 2 * (denoiser.get("out_channels") or 4) + 1)

    def config(self, part: str) -> dict[str, Any]:
        """The configuration of the denoiser, VAE or a text encoder."""
        return read_json(self.folder / part / "config.json")

    def part_class(self, part: str) -> str:
        """The class of a part, by the index."""
        return str(read_json(self.folder / "model_index.json")[part][1])

    @property
    def scale_factor(self) -> int:
        """Pixels to a side of one latent cell."""
        vae = self.config("vae")
        blocks = vae.get("block_out_channels") or vae.get("decoder_block_out_channels")
        if not isinstance(blocks, list) or not 0 < len(blocks) <= _MOST_BLOCKS:
            raise _lacks(self.folder, "vae's block_out_channels", self.family)
        return int(2 ** (len(blocks) - 1))

    @property
    def side(self) -> int:
        """What divides the width and height of all that it generates, in pixels."""
        patch = int(self.config(self.family.denoiser).get("patch_size") or 1)
        return math.lcm(self.family.side, self.scale_factor * max(1, patch))

    @property
    def largest_side(self) -> int | None:
        """The most pixels on a side that its denoiser has places for; `None` where nothing limits them."""
        config = self.config(self.family.denoiser)
        places = config.get("pos_embed_max_size")
        return places * int(config.get("patch_size") or 1) * self.scale_factor if isinstance(places, int) else None

    @property
    def native_size(self) -> int:
        """The side, in pixels, that it was trained at."""
        denoiser = self.family.denoiser
        size = self.config(denoiser).get("sample_size")
        side = size[0] if isinstance(size, list) and size else size
        if not isinstance(side, int):
            raise _lacks(self.folder, f"{denoiser}'s sample_size", self.family)
        if not 0 < side * self.scale_factor <= _LARGEST_SIDE:
            raise refused(self.folder, f"its {denoiser} generates {side * self.scale_factor:,} pixels")
        return side * self.scale_factor

    @property
    def weights(self) -> list[Path]:
        """The weight files that are loaded."""
        if self.single_file is not None:
            return [self.single_file]
        return [file for part in self.family.weighted for file in self.files(part)]

    def files(self, part: str) -> list[Path]:
        """The weight files of a part that are loaded; of a single file there are none."""
        found = (self.folder / part).glob("*.safetensors")
        return [file for file in found if (".fp16" in file.name) == (self.variant is not None)]


def find_checkpoint(model: str | None, made_here: Iterable[Path] = ()) -> Checkpoint:
    """The checkpoint that `--model` names: a folder, a `.safetensors` file, or a hub name that was fetched before.

    Without a name, the newest of `made_here`, what `adapt` made for this collection.

    Raises:
        ModelError: there is none, or it is not a complete Stable Diffusion in safetensors.
    """
    if model is None:
        made = next(iter(made_here), None)
        if made is not None and not made.is_dir():
            found = f"{made.name}, which adapt made here, is missing"
            raise ModelError(needed="a Stable Diffusion model", found=found, next_step=WAYS)
        if made is None:
            raise ModelError(
                needed="a Stable Diffusion model",
                found="no --model, and no model that was adapted here",
                next_step=WAYS,
            )
        return _check_folder(made, made.name, None)
    path = Path(model)
    if path.is_dir():
        return _check_folder(path, path.resolve().name, _fetched_revision(path))
    if path.is_file():
        return _check_single_file(path)
    return _find_fetched(model)


def find_adapter(path: Path) -> tuple[Path, ModelRef]:
    """The one `.safetensors` file of a LoRA adapter, given it or its folder.

    Raises:
        ModelError: there is none, or more than one, or it is of LyCORIS.
    """
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    usual = [file for file in files if file.name == "pytorch_lora_weights.safetensors"]
    chosen = usual or files
    if len(chosen) == 1 and chosen[0].is_file() and chosen[0].suffix == ".safetensors":
        require_sound(chosen[0], "use another adapter: balance fill --adapter FILE.safetensors")
        require_plain_metadata(chosen[0])
        require_lora(chosen[0])
        return chosen[0], ModelRef(path.resolve().name, None, sha256_of(chosen[0]))
    raise ModelError(
        needed="a LoRA adapter: one .safetensors file, or a folder with one",
        found=f"{path}: {_describe(path)}",
        next_step="give the file: balance fill --adapter FILE.safetensors",
    )


def weights_of(folder: Path) -> set[tuple[str, str]]:
    """What a folder's weights are called in a record, (role, SHA-256): as a model, or as an adapter."""
    found = set()
    with suppress(BalanceError, OSError):
        found.add(("model", find_checkpoint(str(folder)).ref.sha256))
    with suppress(BalanceError, OSError):
        found.add(("adapter", find_adapter(folder)[1].sha256))
    return found


def _find_fetched(name: str) -> Checkpoint:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        if not _HUB_NAME.fullmatch(name):
            raise HFValidationError(name)
        folder = Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise ModelError(
            needed="a model folder, a .safetensors file, or the name of a model that is on this machine",
            found=f"{name!r} is none of these (nothing is downloaded)",
            next_step=WAYS,
        ) from error
    return _check_folder(folder, name, folder.name)


def _fetched_revision(folder: Path) -> str | None:
    record = record_of(folder)
    return None if record is None else str(record.get("revision"))


def _check_single_file(file: Path) -> Checkpoint:
    if file.suffix in PICKLES:
        raise _pickled(file, [file])
    configs = file.with_suffix("")
    if file.suffix != ".safetensors" or not (configs / "model_index.json").is_file():
        raise ModelError(
            needed=f"a .safetensors file with its configuration beside it: {configs.name}/model_index.json and so on",
            found=f"{file.name}" + ("" if file.suffix != ".safetensors" else f" without a folder {configs.name}"),
            next_step=f"copy the configuration files of the original model into {configs.name}/, then: "
            "balance doctor --model FILE",
        )
    family = _check_index(configs)
    if not family.whole:
        raise ModelError(
            needed=f"{family.name} as a folder in diffusers' format",
            found=f"{file.name}, one file",
            next_step="get its folder: balance fetch OWNER/NAME --to FOLDER",
        )
    _require_known_parts(configs, family)
    _check_parts(configs, family, weights=False)
    require_safe_folder(configs, read_json(configs / "model_index.json"), family.parts)
    require_sound(file)
    return Checkpoint(configs, ModelRef(file.name, None, sha256_of(file)), family.pipeline, None, file)


def _check_folder(folder: Path, name: str, revision: str | None) -> Checkpoint:
    family = _check_index(folder)
    _require_known_parts(folder, family)
    _check_parts(folder, family, weights=True)
    require_safe_folder(folder, read_json(folder / "model_index.json"), family.parts)
    files = sorted(file for part in family.parts for file in (folder / part).iterdir() if file.suffix in _HASHED)
    variant = None if any(_plain_weights(folder / family.denoiser)) else "fp16"
    return Checkpoint(folder, ModelRef(name, revision, _hash_files(folder, files)), family.pipeline, variant)


def _check_index(folder: Path) -> Family:
    index = folder / "model_index.json"
    if not index.is_file():
        raise ModelError(
            needed=f"a folder of {NAMES} in diffusers' format (with a model_index.json)",
            found=f"{folder}: {_describe(folder)}",
            next_step=WAYS,
        )
    return require_family(folder.name, read_json(index).get("_class_name"))


def _require_known_parts(folder: Path, family: Family) -> None:
    """Refuse an index that lacks a part of the family, or names another class for it than those we know."""
    index = read_json(folder / "model_index.json")
    for part, classes in family.parts.items():
        entry = index.get(part)
        if not isinstance(entry, list) or len(entry) != 2 or entry[1] is None:
            raise _lacks(folder, part, family)
        library, name = entry
        known = isinstance(name, str) and (name in classes if classes else SCHEDULER.fullmatch(name))
        if library not in ("diffusers", "transformers") or not known or (not classes and library != "diffusers"):
            raise ModelError(
                needed=f"{' or '.join(classes) or 'a scheduler of diffusers'}",
                found=f"{folder.name} has {library}.{name} as its {part}",
                next_step=f"name a model of {NAMES}: balance fill --model FOLDER",
            )


def _check_parts(folder: Path, family: Family, *, weights: bool) -> None:
    for part in family.parts:
        if not (folder / part / _config_name(part)).is_file():
            raise _lacks(folder, part, family)
        if part.startswith("tokenizer") and not _has_vocabulary(folder / part):
            _require_sentencepiece(folder, part, family)
        if weights and part in family.weighted and not list((folder / part).glob("*.safetensors")):
            pickles = [file for file in (folder / part).iterdir() if file.suffix in PICKLES]
            raise _pickled(folder, pickles) if pickles else _lacks(folder, f"{part}'s weights", family)


def _config_name(part: str) -> str:
    special = next((kind for kind in ("scheduler", "tokenizer") if part.startswith(kind)), "")
    return f"{special}_config.json".lstrip("_")


def _has_vocabulary(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file() or all((folder / f).is_file() for f in ("vocab.json", "merges.txt"))


def _require_sentencepiece(folder: Path, part: str, family: Family) -> None:
    """A vocabulary that only the package sentencepiece reads needs that package."""
    file = next((folder / part / name for name in _SENTENCEPIECE if (folder / part / name).is_file()), None)
    if file is None:
        raise _lacks(folder, f"{part}'s vocabulary", family)
    if find_spec("sentencepiece") is None:
        raise ModelError(
            needed=f"the package sentencepiece, or a tokenizer.json in {part}",
            found=f"{folder.name}, which has its vocabulary as {file.name} alone",
            next_step="pip install sentencepiece, then check: balance doctor --model FOLDER",
        )


def _plain_weights(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*.safetensors") if ".fp16" not in file.name]


def _hash_files(folder: Path, files: Iterable[Path]) -> str:
    lines = (f"{file.relative_to(folder).as_posix()} {sha256_of(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _describe(path: Path) -> str:
    if not path.exists():
        return "nothing there"
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else [path.name]
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "") or "an empty folder"


def _lacks(folder: Path, part: str, family: Family) -> ModelError:
    return ModelError(
        needed=f"a complete folder of {family.name}, with {', '.join(family.weighted)}, "
        f"{', '.join(family.tokenizers)} and scheduler",
        found=f"{folder.name} lacks its {part}",
        next_step="copy the complete model folder again, or use another: balance fill --model FOLDER",
    )


def _pickled(folder: Path, files: list[Path]) -> ModelError:
    return ModelError(
        needed="weights as .safetensors: a pickle can run any program when it is loaded",
        found=f"{folder.name} holds {files[0].name}",
        next_step="get the model's safetensors files, or convert them on an isolated machine: "
        "balance fetch OWNER/NAME --to FOLDER",
    )
