"""Every error of ours, and how it reads.

BalanceError              needed, found, next step: the three parts of every message; exit 2
├── SettingsError         a setting that there is not, or a value of another kind
├── CollectionError       the folder is not a labelled collection, or changed since it was scanned
├── TableError            a table of patients that cannot be read, or does not fit the images
├── ImageError            a file that cannot be read as an X-ray
│   └── NotAnImage        a DICOM file without an image, such as a report
├── SplitError            the splits train, holdout, val and test cannot be made, or do not fit
├── PlanError             a target that names no class, or no number
├── PromptError           a template pack or prompt that cannot be used
├── ModelError            a checkpoint or adapter that cannot be used
├── GenerationError       the generator failed on a batch
│   ├── OutOfMemory       the batch does not fit on the device: a smaller one may
│   ├── NotANumber        a network, or the noise schedule, gave values that are not numbers
│   └── UnfitModel        the model's first images look like none of the collection
├── ReviewError           nothing to show to a reader, or the page cannot be served
├── ScreenError           images cannot be screened, or not by all that is needed
├── ComparisonError       what is there cannot be compared, or not honestly
├── PluginError           what another package brings by an entry point is missing or broken
├── OutputError           the balanced folder is not ours, or cannot be written
└── StateError            `.balance` is missing, locked, damaged, or in a forbidden place
    ├── StateInUse        another command is using the state folder
    └── DamagedLedger     the ledger is damaged: `balance scan` creates a new one
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


class BalanceError(Exception):
    """What was needed, what was found instead, and what to do next.

    >>> print(PlanError(needed="a class of the collection", found="'NODULES'", next_step="use NODULE"))
    needed: a class of the collection
    found:  'NODULES'
    next:   use NODULE
    """

    def __init__(self, *, needed: str, found: str, next_step: str) -> None:
        super().__init__(f"needed: {needed}\nfound:  {found}\nnext:   {next_step}")
        self.needed = needed
        self.found = found
        self.next_step = next_step

    @property
    def parts(self) -> dict[str, str]:
        """The three parts, by name."""
        return {"needed": self.needed, "found": self.found, "next_step": self.next_step}

    def __reduce__(self) -> tuple[Callable[[], BalanceError], tuple[()]]:
        return partial(type(self), **self.parts), ()  # for another process


class SettingsError(BalanceError):
    """A setting that there is not, or a value that it cannot have."""


class CollectionError(BalanceError):
    """The folder is not a labelled collection, or it changed since it was scanned."""


class TableError(BalanceError):
    """A table of patients that cannot be read, or does not fit the images."""


class ImageError(BalanceError):
    """A file that cannot be read as an X-ray."""


class NotAnImage(ImageError):
    """A DICOM file without an image: a report, a presentation state, a PDF."""


class SplitError(BalanceError):
    """The splits of a collection cannot be made, or do not fit it."""


class PlanError(BalanceError):
    """A target that names no class of the collection, or no usable number."""


class PromptError(BalanceError):
    """A template pack or a prompt that cannot be used."""


class ModelError(BalanceError):
    """A checkpoint or an adapter that cannot be used."""


class GenerationError(BalanceError):
    """The generator failed on a batch."""


class OutOfMemory(GenerationError):
    """The batch does not fit on the device."""


class NotANumber(GenerationError):
    """A network, or the noise schedule, gave values that are not finite numbers; no image can be made of them."""


class UnfitModel(GenerationError):
    """The first images of a model look like none of the collection."""


class ReviewError(BalanceError):
    """There is nothing to show to a reader, or the page cannot be served."""


class ScreenError(BalanceError):
    """Images cannot be screened as asked."""


class ComparisonError(BalanceError):
    """What is there cannot be compared, or not honestly."""


class PluginError(BalanceError):
    """What another package brings by an entry point is not there, or not what it should be."""


class OutputError(BalanceError):
    """The balanced folder is not ours, or cannot be written."""


class StateError(BalanceError):
    """The state folder is missing, locked, damaged, or in a forbidden place."""


class StateInUse(StateError):
    """Another command is using the state folder."""


class DamagedLedger(StateError):
    """The ledger is not as it was written; `balance scan` sets it aside and makes a new one."""


_NO_ROOM = ("failed to map segment", "annot allocate memory", "can't allocate memory")


def lacks_memory(error: BaseException) -> bool:
    """Whether Python, torch or the loader of libraries found no room; each says so in its own way.

    >>> lacks_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory")), lacks_memory(RuntimeError("shape"))
    (True, False)
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, (ImportError, RuntimeError, OSError)) and any(word in str(error) for word in _NO_ROOM)
    )
