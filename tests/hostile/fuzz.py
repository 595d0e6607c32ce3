r"""Coverage-guided fuzzing of the way into an image file and of template packs: anything but our own errors is a fault.

Atheris is no dependency: where it is missing this says so and ends well. It takes these few packages and no others:

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris numpy pillow pyyaml defusedxml \
        pydicom pylibjpeg pylibjpeg-openjpeg pyjpegls python-gdcm
    /tmp/fuzz/bin/python -m tests.hostile.fuzz images 600 && /tmp/fuzz/bin/python -m tests.hostile.fuzz packs 600

The seconds come last; the input of a fault is left in the working folder, as `crash-...`, `timeout-...` or `oom-...`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

_SECONDS = 10  # of the processor
_LIMITS = ("-timeout=120", "-rss_limit_mb=2048", "-print_final_stats=1")
_LONGEST = {"images": 20_000, "packs": 4_000}  # bytes
_MEMORY = Path("/dev/shm")
_PACK = b"""modality: radiograph
templates: ["{view} {modality} of {finding}", 'a {modality}: {finding}, {size}']
slots: {view: ["PA", "AP", lateral view], size: [small, large]}
known:
  view: {PA: PA, AP: AP}
  patient:
    female 65+: of an old woman
negative: [photo, drawing]
classes:
  nodule:
    synonyms: [nodules, "lung nodule"]
    findings: ["a nodule", 'nodule']
  normal: {findings: [normal]}
"""


def read_image(path: Path) -> None:
    """All that `images.py`, `headers.py` and `xmp.py` make of a file."""
    from balancer.errors import ImageError
    from balancer.imaging.decode import read_grey, read_small, read_xmp
    from balancer.imaging.headers import read_headers

    for _ in read_headers(path.parent, [(path.name, True)]):
        pass
    for read in (read_grey, read_xmp, lambda file: read_small(file, 112)):
        with suppress(ImageError):
            read(path)


def read_pack(path: Path) -> None:
    """A pack, and what is asked of it."""
    from balancer.errors import PromptError
    from balancer.prompting.packs import load_pack

    with suppress(PromptError):
        load_pack(path).find("Nodule (left)")


TARGETS: dict[str, Callable[[Path], None]] = {"images": read_image, "packs": read_pack}


def seeds(target: str) -> Iterator[bytes]:
    """What fuzzing begins with."""
    if target == "packs":
        yield from (_PACK, _PACK.replace(b"photo, drawing", b"&a photo, *a"), _PACK.partition(b"slots")[0])
        return
    from tests.hostile.files import hostile_files

    yield from (content for _, content in hostile_files(every=200) if len(content) <= _LONGEST[target])


def fuzz(target: str, seconds: str, folder: Path) -> None:
    """Fuzz one target for so long; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["balancer", "PIL"]):
        import balancer.imaging.decode
        import balancer.imaging.headers
        import balancer.prompting.packs  # noqa: F401
    warnings.simplefilter("ignore")
    corpus, subject = folder / "corpus", folder / "subject"
    corpus.mkdir()
    for number, content in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(content)

    def one(data: bytes) -> None:
        subject.write_bytes(data)
        began = time.process_time()
        TARGETS[target](subject)
        assert time.process_time() - began < _SECONDS, "too slow"

    limits = (*_LIMITS, f"-max_len={_LONGEST[target]}", f"-max_total_time={seconds}")
    atheris.Setup([sys.argv[0], *limits, str(corpus)], one)
    atheris.Fuzz()


def main(target: str, seconds: str = "600") -> int:
    """Fuzz one target in a process of its own; 0 where no fault was found."""
    if find_spec("atheris") is None:
        print("atheris is not installed: nothing was fuzzed")
        return 0
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        child = os.fork()
        if not child:
            fuzz(target, seconds, Path(folder))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
