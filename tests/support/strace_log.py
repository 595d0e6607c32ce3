"""A command under strace: which addresses of a network it tried, and which of its calls could have changed a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CHANGING = "open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat"
_TOUCHING = "truncate,chmod,fchmodat,chown,fchownat,lchown,utime,utimes,utimensat,setxattr,rmdir,mknod,mknodat"
_HARMLESS = re.compile(r"open\w*\((?!.*(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND))")


def watching(log: Path) -> list[str]:
    """What stands before a command so that its calls are noted in `log`, and those of its children."""
    calls = ["-e", f"trace=connect,{_CHANGING},{_TOUCHING}", "-e", "signal=none"]
    return ["strace", "-f", "-y", "-qq", "-s", "400", "--seccomp-bpf", *calls, "-o", os.fspath(log)]


def connects(trace: str) -> tuple[str, ...]:
    """Addresses of a network, and of the daemon that is asked for the address of a name."""
    lines = (line for line in trace.splitlines() if "connect(" in line)
    return tuple(line for line in lines if "AF_INET" in line or "nscd" in line or "resolve" in line)


def changes(trace: str, place: str) -> tuple[str, ...]:
    """The calls that could change something below a place, which only the end of a path tells apart."""
    named = (line for line in trace.splitlines() if f"{place}/" in line or f'{place}"' in line)
    return tuple(line for line in named if not _HARMLESS.search(line) and "resumed" not in line)
