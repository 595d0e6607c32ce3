"""A folder of installed packages: what pip would write of one that brings plug-ins, and nothing else."""

from __future__ import annotations

from pathlib import Path


def install(site: Path, package: str, version: str, plugins: dict[str, dict[str, str]]) -> Path:
    """The metadata of a package in `site`; `plugins` are entry points by group and name."""
    info = site / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in named.items()) for group, named in plugins.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return site
