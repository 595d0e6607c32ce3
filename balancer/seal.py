"""The ledger's sum, kept beside it while nobody changes it: whatever byte turns meanwhile is noticed.

SQLite keeps no sums of its own. The seal is broken, and that made to last, before the first change; it is put on again
when the ledger is closed and all of it is in one file. After a kill there is none, and SQLite's own checks must do.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from balancer.files import sha256_of, sync_path
from balancer.stored import damaged

SUFFIX = ".sha256"
_DIGITS = 64


class Seal:
    """The seal of a ledger, as one who opens it sees it.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> ledger = Path(folder.name) / "ledger.sqlite"
    >>> writer = Seal(ledger)
    >>> writer.break_()
    >>> _ = ledger.write_text("two rows")
    >>> writer.put()
    >>> Seal(ledger).require_whole()
    True
    >>> _ = ledger.write_text("too rows")
    >>> Seal(ledger).require_whole()
    Traceback (most recent call last):
    balancer.errors.DamagedLedger: ...
    >>> folder.cleanup()
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger, self._file = ledger, ledger.with_name(ledger.name + SUFFIX)
        self._log = ledger.with_name(ledger.name + "-wal")
        self._is_new = not ledger.is_file()  # as far as this opening knows: a seal that is left over is of another
        self._broken = False

    def require_whole(self) -> bool:
        """Whether the ledger is known to be as it was left: not where it has no seal, or somebody is at it.

        Raises:
            DamagedLedger: it is another.
        """
        kept = self._read()
        if kept is None:
            return False
        if sha256_of(self._ledger) == kept:
            return True
        if self._read() == kept:  # who changes the ledger has broken the seal before
            raise damaged("other bytes than when it was closed")
        return False

    def break_(self) -> None:
        """Before the first change."""
        if not self._broken:
            self._file.unlink(missing_ok=True)
            sync_path(self._ledger.parent)
            self._broken = True

    def put(self) -> None:
        """After the last change, once the ledger is closed; not where another has it open, or the disk is full."""
        if self._broken and not self._is_open():
            with suppress(OSError):
                self._file.write_text(sha256_of(self._ledger), "ascii")

    def _read(self) -> str | None:
        if self._is_new or self._is_open():
            return None
        try:
            kept = self._file.read_bytes()
        except FileNotFoundError:
            return None
        return kept.decode("ascii", "replace") if len(kept) == _DIGITS else None  # else: cut off by a power cut

    def _is_open(self) -> bool:
        """Whether changes are still in SQLite's log, and not in the ledger."""
        return self._log.exists() and self._log.stat().st_size > 0
