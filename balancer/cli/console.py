"""What all commands share: messages, tables, progress, and errors as words."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from balancer.errors import BalanceError, lacks_memory
from balancer.files import private_umask
from balancer.interrupt import INTERRUPTED, Stopped, listen, was_stopped
from balancer.offline import quieten_libraries, stay_offline
from balancer.text import duration, printable
from balancer.workspace.workspace import Workspace

_USUAL_ADVICE = ("a working disk and folder", "check that they exist")
_ADVICE = {
    errno.ENOSPC: ("free space on the disk", "free some space"),
    errno.EDQUOT: ("disk quota", "free some space"),
    errno.EACCES: ("permission", "check the permissions, or choose another folder"),
    errno.EPERM: ("permission", "check the permissions, or choose another folder"),
    errno.EROFS: ("a disk that can be written", "choose another folder"),
}


def run(app: Callable[[], object]) -> NoReturn:
    """Call `app` and turn what it raises into a message and an exit code."""
    quieten_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    listen()
    stay_offline()
    try:
        os.umask(private_umask())  # patients' data are for their keeper alone
        app()
    except (Stopped, Exception) as error:
        if was_stopped():
            _say_stopped()
        _explain(error)
    sys.exit(0)


def _say_stopped() -> NoReturn:
    _say(f"\nStopped. All files are complete. To continue, {_again()}")
    sys.exit(INTERRUPTED)


def _explain(error: BaseException) -> None:
    """Say what the user can mend, exit code 2; nothing where our output's reader went away; else raise it again."""
    if isinstance(error, BalanceError):
        _fail(f"balance: the command failed\n{error}")
    if isinstance(error, BrokenPipeError):  # the reader of our output, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if lacks_memory(error):
        found = f"needed: more memory\nfound:  {str(error).splitlines()[0] if str(error) else 'not enough memory'}"
        advice = "close other programs, or raise the limit (ulimit -v, the job's memory)"
        _fail(f"balance: the command failed\n{found}\nnext:   {advice}, then {_again()}")
    if not isinstance(error, OSError):
        raise error
    needed, advice = _ADVICE.get(error.errno or 0, _USUAL_ADVICE)
    place = Path(str(error.filename or "")).name or "the output"
    found = f"needed: {needed} for {place}\nfound:  {error.strerror or error}\nnext:   {advice}, then {_again()}"
    _fail(f"balance: the command failed\n{found}")


class _Output:
    quiet = False


def be_quiet() -> None:
    """Print results and errors alone from now on: no messages and no progress."""
    _Output.quiet = True


def message(text: str = "") -> None:
    """Print a line for the reader, not for a program: to stderr."""
    if not _Output.quiet:
        _say(text)


def _say(text: str) -> None:
    print(from_here(text), file=sys.stderr, flush=True)


def result(text: str = "") -> None:
    """Print a line of the result: to stdout."""
    print(from_here(text), flush=True)


def result_json(value: Any) -> None:
    """Print the result for a program; direction marks and the like are escaped, should it be shown on a terminal."""
    for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n"):
        print(line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out rows in columns: the first to the left, the others to the right.

    >>> print(table(["class", "images"], [["normal", 120], ["nodule", 12]]))
    class   images
    normal     120
    nodule      12
    """
    lines = [[printable(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in lines
    )


class Progress:
    """A line on stderr with an estimate of the end: rewritten on a terminal, now and then elsewhere."""

    def __init__(self, what: str, before: int = 0) -> None:
        self.what = what
        self._before = before  # done by an earlier run: it says nothing about this one's speed
        self._began = time.monotonic()
        self._shown = (
            self._began if sys.stderr.isatty() else self._began + 8
        )  # a log needs a line only of what takes long
        self._pause = 0.2 if sys.stderr.isatty() else 10.0
        self._open = False

    def __call__(self, done: int, total: int, made: int | None = None, note: str = "") -> None:
        """Show that `done` of `total` are done; the estimate counts the `made` of this run alone."""
        now = time.monotonic()
        if _Output.quiet or (now - self._shown < self._pause and done < total):
            return
        self._shown = now
        rate = (done - self._before if made is None else made) / max(now - self._began, 1e-6)
        left = f", {duration((total - done) / rate)} left" if rate and done < total else ""
        text = f"{self.what}: {done}/{total}{left}{', ' + note if note else ''}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._open = True
        elif now - self._began > self._pause:
            message(text)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """End the line."""
        if self._open:
            message()
        self._open = False


class ConsoleProgress:
    """Messages and a progress line on stderr, for the functions of the library; a new task ends the line before."""

    def __init__(self) -> None:
        self._line: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def message(self, text: str) -> None:
        """Print a line; the task goes on after it."""
        if self._line is not None:
            self._line.close()
        message(text)

    def start(self, what: str, done: int = 0) -> Progress:
        """Begin a new line."""
        self.close()
        self._line = Progress(what, done)
        return self._line

    def phase(self, what: str, done: int, total: int) -> None:
        """Show where the task of this name stands; another name begins a new line."""
        if self._line is None or self._line.what != what:
            self.start(what)
        if self._line is not None:
            self._line(done, total)

    def close(self) -> None:
        """End the line."""
        if self._line is not None:
            self._line.close()
            self._line = None


def here() -> Workspace:
    """The workspace of the folder in which the user is."""
    return Workspace.open()


def shown(path: Path) -> str:
    """A path as the user would type it from here: messages are kept and sent around, so none names the machine's.

    >>> shown(Path.cwd().parent / "xrays")
    '../xrays'
    """
    return os.path.relpath(path.resolve(), Path.cwd())


def from_here(text: str, here: Path | None = None) -> str:
    """A text with the paths in it as from here: messages are kept and sent around, and name no machine's folders.

    >>> from_here("no room in /srv/ann/desk/xrays or /srv/ann/xrays", Path("/srv/ann/desk"))
    'no room in xrays or ../xrays'
    """
    try:
        here = here or Path.cwd()
    except OSError:  # the working folder was removed
        return text
    for up, folder in enumerate((here, *here.parents)):
        if len(folder.parts) > 2:  # "/home" says nothing of anybody
            above = "/".join([".."] * up)
            text = re.sub(rf"(?<![\w./-]){re.escape(str(folder))}(/|(?![\w.-]))", _shorter(above), text)
    return text


def _shorter(above: str) -> Callable[[re.Match[str]], str]:
    return lambda found: (f"{above}/" if above else "") if found[1] else (above or ".")


def _again() -> str:
    """How to go on: by what the user typed."""
    return f"run again: {shlex.join(['balance', *sys.argv[1:]])}"


def _fail(text: str) -> NoReturn:
    _say(text)
    sys.exit(2)
