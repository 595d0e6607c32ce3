"""Download a checkpoint of the hub once, with its revision pinned and every hash on record."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer import __version__
from balancer.errors import ModelError, OutputError
from balancer.files import sha256_if_there, write_whole
from balancer.generators.models.download_manifest import RECORD, changed_files, is_unsafe_path, record_of
from balancer.generators.models.families import FAMILIES, NAMES
from balancer.generators.models.safetensors_check import PICKLES

_PARTS = frozenset(part for family in FAMILIES.values() for part in family.parts)
_WEIGHTED = frozenset(part for family in FAMILIES.values() for part in family.weighted)
_DENOISERS = tuple(dict.fromkeys(family.denoiser for family in FAMILIES.values()))
_BEGUN = ".fetching.json"
_CACHE = ".cache"  # where the hub's library keeps what it needs to go on
_PAGES = ("model_index.json", "README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "LICENSE-MODEL")
_ROOM = 1.02
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_GATED = "accept the terms on the page of the model, then: export HF_TOKEN=..., and run the same command again"
_UNREACHED = "run it on a machine with internet; behind a proxy: export HTTPS_PROXY=..., and run the same command again"


@dataclass(frozen=True, slots=True)
class Remote:
    """What the hub says of a model: the commit, its licence, and each file's size and SHA-256 where it tells one."""

    model: str
    revision: str
    licence: str
    files: Mapping[str, tuple[int, str | None]]

    @property
    def size(self) -> int:
        """The size of all files together, in bytes."""
        return sum(size for size, _ in self.files.values())


def wanted_files(paths: Iterable[str]) -> list[str]:
    """What is fetched of a model's files: weights in safetensors, once, and configurations of the parts that we load.

    Half precision is taken only where there is no other.

    >>> wanted_files(["unet/config.json", "unet/a.safetensors", "unet/a.fp16.safetensors", "x.ckpt"])
    ['unet/a.safetensors', 'unet/config.json']
    """
    there = sorted(path for path in paths if not is_unsafe_path(path))
    weights = [path for path in there if path.endswith(".safetensors") and _part(path) in _WEIGHTED]
    whole = {_part(path) for path in weights if ".fp16" not in path}
    chosen = [path for path in weights if (".fp16" in path) == (_part(path) not in whole)]
    configs = [path for path in there if _part(path) in _PARTS and path.endswith((".json", ".txt", ".model"))]
    return sorted({*chosen, *configs, *(path for path in there if path in _PAGES)})


def look_up(model: str, revision: str | None) -> Remote:
    """Ask the hub for a model's commit and files. The network is used here and in `fetch` alone.

    Raises:
        ModelError: the hub cannot be reached, does not have it, or has no weights of it that may be loaded.
    """
    if not _NAME.fullmatch(model):
        raise ModelError(
            needed="the name of a model on the hub, OWNER/NAME",
            found=repr(model),
            next_step="see its page on the hub, then: balance fetch OWNER/NAME --to FOLDER",
        )
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(model, revision=revision, files_metadata=True)
    except Exception as error:  # whatever the hub, a proxy or a network makes its library raise
        raise _not_reached(model, revision, error) from error
    sizes = {each.rfilename: (each.size or 0, each.lfs.sha256 if each.lfs else None) for each in info.siblings or ()}
    files = wanted_files(sizes)
    _require_weights(model, sizes, files)
    licence = getattr(info.card_data, "license_name", None) or getattr(info.card_data, "license", None)
    return Remote(model, str(info.sha), str(licence or ""), {path: sizes[path] for path in files})


def fetch(remote: Remote, folder: Path) -> bool:
    """Download into a new folder, check every file, and put the hashes on record; whether anything was to be done.

    Killed, it can be called again with the same model and goes on.

    Raises:
        ModelError: the download failed, or a file is not what the hub says it is.
        OutputError: the folder holds something else, or the disk is too small.
    """
    from huggingface_hub import snapshot_download

    if _is_there(remote, folder):
        return False
    _require_room(remote, folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _BEGUN, _json({"model": remote.model, "revision": remote.revision}))
    try:
        snapshot_download(
            remote.model, revision=remote.revision, local_dir=folder, allow_patterns=[*map(_escaped, remote.files)]
        )
    except Exception as error:  # whatever the hub, a proxy or a network makes its library raise
        raise _not_reached(remote.model, remote.revision, error) from error
    found = {path: {"sha256": _checked(remote, folder, path), "size": size} for path, (size, _) in remote.files.items()}
    shutil.rmtree(folder / _CACHE, ignore_errors=True)
    facts = {"model": remote.model, "revision": remote.revision, "licence": remote.licence or None}
    write_whole(folder / RECORD, _json({**facts, "files": found, "balance": __version__}))
    (folder / _BEGUN).unlink()
    return True


def _part(path: str) -> str:
    """The folder of a file that lies in a part's folder."""
    return path.split("/")[0] if path.count("/") == 1 else ""


def _require_weights(model: str, there: Iterable[str], chosen: Sequence[str]) -> None:
    parts = {_part(path) for path in chosen if path.endswith(".safetensors")}
    denoiser = next((name for name in _DENOISERS if any(_part(path) == name for path in there)), _DENOISERS[0])
    missing = [part for part in (denoiser, "vae", "text_encoder") if part not in parts]
    if "model_index.json" in chosen and not missing:
        return
    pickled = any(Path(path).suffix in PICKLES for path in there)
    if "model_index.json" in chosen and pickled:
        found = f"{model}, where {missing[0]} exists only as a pickle, which can run any program when it is loaded"
    else:
        found = f"{model}, without " + ("a model_index.json" if "model_index.json" not in chosen else missing[0])
    raise ModelError(
        needed=f"a model of {NAMES} in diffusers' format, with safetensors for each component",
        found=found,
        next_step="find another revision or copy that has them: balance fetch MODEL --revision R --to FOLDER",
    )


def _is_there(remote: Remote, folder: Path) -> bool:
    """Whether the folder holds this very model already; a new or begun one does not."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    record = record_of(folder) if folder.is_dir() else None
    if record and (record.get("model"), record.get("revision")) == (remote.model, remote.revision):
        return not changed_files(folder, record)
    if record is None and folder.is_dir() and _begun(folder) == {"model": remote.model, "revision": remote.revision}:
        return False
    raise OutputError(
        needed=f"a new folder for {remote.model}, or the folder where its download was started",
        found=f"{folder.name}, which contains other files",
        next_step=f"balance fetch {remote.model} --to ANOTHER_FOLDER",
    )


def _begun(folder: Path) -> Any:
    try:
        return json.loads((folder / _BEGUN).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _require_room(remote: Remote, folder: Path) -> None:
    disk = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())
    there = sum((folder / path).stat().st_size for path in remote.files if (folder / path).is_file())
    needed, free = (remote.size - there) * _ROOM, shutil.disk_usage(disk).free
    if needed > free:
        raise OutputError(
            needed=f"{needed / 1e9:.1f} GB of free disk space for {remote.model}",
            found=f"{free / 1e9:.1f} GB free",
            next_step=f"free some space, or: balance fetch {remote.model} --to FOLDER_ON_ANOTHER_DISK",
        )


def _checked(remote: Remote, folder: Path, path: str) -> str:
    """The SHA-256 of a file that was fetched, which is the hub's where that is known."""
    size, expected = remote.files[path]
    found = sha256_if_there(folder / path)
    if found is None or (folder / path).stat().st_size != size or found != (expected or found):
        (folder / path).unlink(missing_ok=True)
        raise ModelError(
            needed=f"{path} of {remote.model} with the hash that the hub states",
            found="a damaged or missing file; it was removed",
            next_step=f"download what is missing, by the same command: balance fetch {remote.model} --to FOLDER",
        )
    return found


def _not_reached(model: str, revision: str | None, error: Exception) -> ModelError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    found, advice = f"{type(error).__name__}: {said}", _UNREACHED
    if isinstance(error, GatedRepoError):
        found, advice = "a model that is available only after you accept its terms", _GATED
    elif isinstance(error, RevisionNotFoundError):
        found, advice = f"no revision {revision!r} of it", "leave --revision out for the newest"
    elif isinstance(error, RepositoryNotFoundError):
        found, advice = "no model with this name, or a private one", f"check the name; otherwise {_GATED}"
    return ModelError(needed=f"the model {model} on the hub, and a connection to it", found=found, next_step=advice)


def _escaped(path: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", path)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
