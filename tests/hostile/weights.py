"""Model folders and weight files that attack whoever loads them. Each leaves a canary behind if anything of it runs."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

UNET = "unet/diffusion_pytorch_model.safetensors"
Change = Callable[[Path, Path], None]
"""Turns a sound model folder into a hostile one; the second path is that of the canary."""


class _Runs:
    """Pickled, it is a command."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)


def pickled(canary: Path) -> bytes:
    """A pickle that makes the canary."""
    return pickle.dumps(_Runs(canary))


def zipped(canary: Path) -> bytes:
    """The same in the archive that torch saves."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(canary))
        archive.writestr("archive/version", "3\n")
        archive.writestr("../../../tmp/escaped", "no")
    return buffer.getvalue()


def tarred(canary: Path) -> bytes:
    """The same in a tar archive."""
    buffer, content = io.BytesIO(), pickled(canary)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("../pickle")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of this header, with a length that may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(begin: int, end: int, shape: list[Any], dtype: object = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def hostile_weights(canary: Path) -> Iterator[tuple[str, bytes]]:
    """(what it is, content) of files that call themselves safetensors."""
    yield "nothing", b""
    yield "seven bytes", bytes(7)
    yield "pickle", pickled(canary)
    yield "zip", zipped(canary)
    yield "tar", tarred(canary)
    yield "gzip", gzip.compress(pickled(canary))
    yield "pickle behind zeros", bytes(8) + pickled(canary)
    yield "page", b"<html><script>alert(1)</script></html>"
    for name, length in (
        ("giant", 2**40),
        ("largest", 2**64 - 1),
        ("signed", 2**63),
        ("beyond", 1000),
        ("million", 99_999_999),
    ):
        yield f"{name} header length", tensors({"a": _entry(0, 4, [1])}, bytes(4), length)
    yield "giant header", tensors(b'{"a": "' + b"x" * 20_000_000 + b'"}')
    many = {f"t{n}": _entry(4 * n, 4 * n + 4, [1]) for n in range(100_000)}
    yield "100,000 tensors", tensors(many, bytes(400_000))
    yield "overlap", tensors({"a": _entry(0, 8, [2]), "b": _entry(4, 12, [2])}, bytes(12))
    yield "same place", tensors({"a": _entry(0, 8, [2]), "b": _entry(0, 8, [2])}, bytes(8))
    yield "gap", tensors({"a": _entry(0, 4, [1]), "b": _entry(8, 12, [1])}, bytes(12))
    yield "beyond the end", tensors({"a": _entry(0, 400, [100])}, bytes(4))
    yield "before the start", tensors({"a": _entry(-4, 0, [1])}, bytes(4))
    yield "backwards", tensors({"a": _entry(4, 0, [1])}, bytes(4))
    yield "overflow", tensors({"a": _entry(2**64 - 4, 2**64, [1])}, bytes(4))
    yield "overflowing shape", tensors({"a": _entry(0, 0, [2**32, 2**32])})
    yield "negative shape", tensors({"a": _entry(0, 4, [-1, -1])}, bytes(4))
    yield "broken shape", tensors({"a": _entry(0, 4, [0.5, 2])}, bytes(4))
    yield "true shape", tensors({"a": _entry(0, 4, [True])}, bytes(4))
    yield "wrong size", tensors({"a": _entry(0, 4, [2])}, bytes(4))
    yield "unknown kind", tensors({"a": _entry(0, 4, [1], "OBJECT")}, bytes(4))
    yield "kind of a list", tensors({"a": _entry(0, 4, [1], ["F32"])}, bytes(4))
    yield "repeated name", tensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":1}', bytes(4))
    yield "more behind", tensors({"a": _entry(0, 4, [1])}, bytes(4) + pickled(canary))
    yield "no tensors", tensors({})
    yield "list", tensors([1])
    yield "number", tensors(b"1")
    yield "no entry", tensors({"a": None})
    yield "deep", tensors(b"[" * 100_000)
    yield "deep entry", tensors(b'{"a":' * 100_000)
    yield "no UTF-8", tensors(b'{"\xff":1}')
    yield (
        "huge number",
        tensors(b'{"a":{"dtype":"F32","shape":[' + b"9" * 10_000 + b'],"data_offsets":[0,4]}}', bytes(4)),
    )
    yield "not a number", tensors(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', bytes(4))


def hostile_models(canary: Path) -> Iterator[tuple[str, Change]]:
    """(what it is, change) of folders that are to be refused before anything of them is loaded."""
    for suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".safetensors"):
        yield f"a pickle, {suffix}", _other_weights(f"diffusion_pytorch_model{suffix}", pickled(canary))
        yield f"an archive, {suffix}", _other_weights(f"diffusion_pytorch_model{suffix}", zipped(canary))
    for name, content in hostile_weights(canary):
        yield f"weights: {name}", _other_weights("diffusion_pytorch_model.safetensors", content)
    for part in ("vae", "text_encoder"):
        yield f"a pickle in {part}", _pickle_in(part)
    yield from _hostile_indices()
    yield from _hostile_configurations()
    yield from _hostile_links()
    yield "a program beside it", lambda folder, canary: _program(folder / "pipeline.py", canary)
    yield "a program in a part", lambda folder, canary: _program(folder / "unet" / "evil.py", canary)
    yield "shards elsewhere", _shards("../../evil.bin")
    yield "shards that are pickles", _shards("evil.bin")
    yield "shards at a root", _shards("/etc/passwd")


def _other_weights(name: str, content: bytes) -> Change:
    def change(folder: Path, canary: Path) -> None:
        (folder / UNET).unlink()
        (folder / "unet" / name).write_bytes(content)

    return change


def _pickle_in(part: str) -> Change:
    def change(folder: Path, canary: Path) -> None:
        for file in (folder / part).glob("*.safetensors"):
            file.write_bytes(pickled(canary))

    return change


def _program(file: Path, canary: Path) -> None:
    file.write_text(f"open({str(canary)!r}, 'w')\nclass Evil: pass\nclass UNet2DConditionModel: pass\n")


def _shards(name: str) -> Change:
    def change(folder: Path, canary: Path) -> None:
        (folder / "unet" / "evil.bin").write_bytes(pickled(canary))
        (folder.parent / "evil.bin").write_bytes(pickled(canary))
        index = {"metadata": {}, "weight_map": {"conv_in.weight": name}}
        (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))

    return change


def _edited(path: str, **changes: object) -> Change:
    def change(folder: Path, canary: Path) -> None:
        fields = json.loads((folder / path).read_text())
        (folder / path).write_text(json.dumps({**fields, **changes}))
        _program(folder.parent / "evil.py", canary)

    return change


def _written(path: str, content: bytes) -> Change:
    return lambda folder, canary: (folder / path).write_bytes(content) and None


def _hostile_indices() -> Iterator[tuple[str, Change]]:
    index = "model_index.json"
    classes: list[object] = [
        "os.system",
        "../../evil",
        "/tmp/evil.py",
        "FluxPipeline",
        "DiffusionPipeline",
        ["evil", "Evil"],
        {"evil": 1},
        None,
        7,
    ]
    for name in classes:
        yield f"index: pipeline {name}", _edited(index, _class_name=name)
    entries: list[object] = [
        ["evil", "UNet2DConditionModel"],
        ["..", "UNet2DConditionModel"],
        ["/tmp", "UNet2DConditionModel"],
        ["os", "system"],
        ["diffusers", "../../evil"],
        ["diffusers", "DiffusionPipeline"],
        ["diffusers", ["UNet2DConditionModel"]],
        [["diffusers"], "UNet2DConditionModel"],
        ["diffusers", {}],
        ["subprocess.Popen", "UNet2DConditionModel", "x"],
        "unet",
        {"unet": "evil"},
    ]
    for entry in entries:
        yield f"index: unet {entry}", _edited(index, unet=entry)
    for entry in (
        ["evil", "PNDMScheduler"],
        ["diffusers", "StableDiffusionPipeline"],
        ["diffusers", "utils.os.system"],
    ):
        yield f"index: scheduler {entry}", _edited(index, scheduler=entry)
    for entry in (["transformers", "AutoTokenizer"], ["evil", "CLIPTokenizer"]):
        yield f"index: tokenizer {entry}", _edited(index, tokenizer=entry)
    for entry in (["transformers", "AutoModel"], ["evil", "CLIPTextModel"]):
        yield f"index: text encoder {entry}", _edited(index, text_encoder=entry)
    extra = {"evil": ["evil", "Evil"], "../evil": ["diffusers", "AutoencoderKL"], "safety_checker": ["evil", "Evil"]}
    for name, entry in extra.items():
        yield f"index: also {name}", _edited(index, **{name: entry})
    yield "index: custom pipeline", _edited(index, custom_pipeline="evil")
    yield "index: remote code", _edited(index, trust_remote_code=True)
    yield "index: auto map", _edited(index, auto_map={"AutoModel": "evil.Evil"})
    yield "index: deep", _written(index, b"[" * 200_000)
    yield "index: list", _written(index, b"[]")
    yield "index: huge", _written(index, b'{"a": "' + b"x" * 11_000_000 + b'"}')
    yield "index: no UTF-8", _written(index, b"\xff\xfe{}")


def _hostile_configurations() -> Iterator[tuple[str, Change]]:
    configurations = {
        "unet": "unet/config.json",
        "vae": "vae/config.json",
        "text encoder": "text_encoder/config.json",
        "tokenizer": "tokenizer/tokenizer_config.json",
        "scheduler": "scheduler/scheduler_config.json",
    }
    for name, path in configurations.items():
        yield (
            f"{name}: auto map",
            _edited(path, auto_map={"AutoModel": "evil--evil.Evil", "AutoTokenizer": ["evil.Evil"]}),
        )
        yield f"{name}: remote code", _edited(path, trust_remote_code=True)
        yield f"{name}: deep within", _edited(path, nested={"a": [{"auto_map": {"AutoConfig": "evil.Evil"}}]})
        yield f"{name}: no object", _written(path, b"[]")
        yield f"{name}: deep", _written(path, b'{"a":' * 100_000)
    yield "text encoder: kernels", _edited("text_encoder/config.json", _attn_implementation="somebody/kernel")
    yield "text encoder: quantised", _edited("text_encoder/config.json", quantization_config={"quant_method": "evil"})


def _hostile_links() -> Iterator[tuple[str, Change]]:
    def link(path: str) -> Change:
        def change(folder: Path, canary: Path) -> None:
            elsewhere = folder.parent / "elsewhere"
            elsewhere.mkdir()
            (folder / path).rename(elsewhere / "moved")
            (folder / path).symlink_to(elsewhere / "moved")

        return change

    for path in (UNET, "unet", "unet/config.json", "tokenizer/tokenizer.json", "model_index.json"):
        yield f"a link for {path}", link(path)
    yield "a device", lambda folder, canary: _replaced(folder / UNET, "/dev/zero")
    yield "a loop", lambda folder, canary: _replaced(folder / UNET, folder / UNET)
    yield "a pipe", lambda folder, canary: _piped(folder / UNET)


def _replaced(path: Path, target: str | Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
