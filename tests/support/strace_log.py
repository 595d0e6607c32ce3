"""What a command does: which addresses of a network it tried, and which of its calls could have changed a folder.

Seen by strace, which sees all, or by Python's own audit events, which see what Python does and cost nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGING = "open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat"
_TOUCHING = "truncate,chmod,fchmodat,chown,fchownat,lchown,utime,utimes,utimensat,setxattr,rmdir,mknod,mknodat"
_HARMLESS = re.compile(r"open\w*\((?!.*(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND))")


def watching(log: Path) -> list[str]:
    """What stands before a command so that its calls are noted in `log`, and those of its children."""
    calls = ["-e", f"trace=connect,{_CHANGING},{_TOUCHING}", "-e", "signal=none"]
    return ["strace", "-f", "-y", "-qq", "-s", "400", "--seccomp-bpf", *calls, "-o", os.fspath(log)]


def note_calls(log: Path) -> None:
    """Note in `log`, from now on, what this process does, as strace would."""
    place = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NOTED:
            os.write(place, f"{_NOTED[event](*arguments)}\n".encode(errors="replace"))

    sys.addaudithook(note)


def _opened(path: object, mode: object, flags: int) -> str:
    names = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND")
    return f'open("{_whole(path)}", {"|".join(name for name in names if flags & getattr(os, name))})'


def _connected(_: object, address: object) -> str:
    return f"connect({'AF_INET' if isinstance(address, tuple) else 'AF_UNIX'}, {address!r})"


def _quoted(path: object) -> str:
    return f'"{_whole(path)}"'


def _whole(path: object) -> str:
    is_path = isinstance(path, str | bytes | os.PathLike)
    return os.path.abspath(os.fsdecode(path)) if is_path else str(path)  # noqa: PTH100  # a link stays one


_NOTED: dict[str, Callable[..., str]] = {
    "open": _opened,
    "socket.connect": _connected,
    "socket.getaddrinfo": lambda host, *_: f"resolve connect({host!r})",
    **{
        f"os.{name}": lambda *paths, name=name: f"{name}({', '.join(map(_quoted, paths))})"
        for name in ("rename", "remove", "link", "symlink", "mkdir", "rmdir", "truncate", "chmod", "chown", "utime")
    },
}


def connects(trace: str) -> tuple[str, ...]:
    """Addresses of a network, and of the daemon that is asked for the address of a name."""
    lines = (line for line in trace.splitlines() if "connect(" in line)
    return tuple(line for line in lines if "AF_INET" in line or "nscd" in line or "resolve" in line)


def changes(trace: str, place: str) -> tuple[str, ...]:
    """The calls that could change something below a place, which only the end of a path tells apart."""
    named = (line for line in trace.splitlines() if f"{place}/" in line or f'{place}"' in line)
    return tuple(line for line in named if not _HARMLESS.search(line) and "resumed" not in line)
