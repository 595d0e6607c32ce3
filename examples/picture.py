"""README's picture, from the results of a demo: `python -m examples.picture demo examples/demo.png`.

Classes before and after, real beside synthetic, and the verdict.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

REAL, SYNTHETIC, BASELINE = "#4c6680", "#e08a3c", "#8a8a8a"
_EACH = 5  # images in a row: one row of real ones, two of synthetic ones
RARE = "consolidation"
_KINDS = (("real", False), ("synthetic", True))


def draw(demo: Path) -> Figure:
    """The picture of a finished demo in the folder `demo`."""
    train = demo / "xrays-balanced" / "train"
    table = pd.read_parquet(train / "metadata.parquet")
    table["class"] = table["file_name"].str.partition("/")[0]
    found = json.loads((demo / ".balance" / "reports" / "metrics.json").read_text("utf-8"))
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=(1, 1.2))
    left, right = parts
    bars, arms = left.subplots(2, 1, height_ratios=(1.5, 1))
    _bars(bars, table)
    _arms(arms, found)
    _images(right, train, table)
    figure.suptitle("\n".join(textwrap.wrap(found["sentence"], 110)), fontsize=11, fontweight="bold")
    return figure


def _bars(axes: Any, table: pd.DataFrame) -> None:
    counts = table.assign(synthetic=table["is_synthetic"].astype(int)).groupby("class")["synthetic"]
    made, real = counts.sum(), counts.count() - counts.sum()
    real = real.sort_values()
    made = made[real.index]
    names = [name.replace("_", " ") for name in real.index]
    axes.barh(names, real, color=REAL, label="real")
    axes.barh(names, made, left=real, color=SYNTHETIC, hatch="///", edgecolor="white", label="synthetic")
    axes.set_title(
        f"Training images: {real.max() / real.min():.0f} to 1, then {_ratio(real + made):.1f} to 1", fontsize=9
    )
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.set_xlim(0, 1.35 * real.max())
    _plain(axes)


def _ratio(counts: Any) -> float:
    return float(counts.max() / counts.min())


def _arms(axes: Any, found: dict[str, Any]) -> None:
    """The two arms of the verdict by the primary endpoint, with their intervals."""
    primary, chosen = found["endpoint"]["primary"], found["chosen"]
    for place, (name, colour) in enumerate(((chosen["free"], BASELINE), (chosen["synthetic"], SYNTHETIC))):
        figures = found["arms"][name][primary]
        axes.plot([figures["low"], figures["high"]], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot(figures["mean"], place, "o", color=colour)
        axes.annotate(f"{figures['mean']:.3f}", (figures["mean"], place + 0.2), ha="center", fontsize=8)
    axes.set_yticks([0, 1], [f"without:\n{chosen['free']}", f"with:\n{chosen['synthetic']}"], fontsize=8)
    axes.set_ylim(-0.5, 1.6)
    axes.set_title(f"AUPRC of {primary.partition(':')[2]}, test patients, 95%", fontsize=9)
    _plain(axes)


def _images(figure: Any, train: Path, table: pd.DataFrame) -> None:
    rows = table[table["class"] == RARE].sort_values("file_name")
    axes = figure.subplots(3, _EACH)
    for lines, (name, is_synthetic) in zip((axes[:1], axes[1:]), _KINDS, strict=True):
        for place in lines.flat:
            place.set_axis_off()
        for place, file in zip(lines.flat, rows.loc[rows["is_synthetic"] == is_synthetic, "file_name"], strict=False):
            place.imshow(Image.open(train / file), cmap="gray", vmin=0, vmax=255)
        lines[0, 0].set_title(f"{RARE}, {name}", fontsize=9, loc="left")


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw a finished demo as one picture.")
    parser.add_argument("demo", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    draw(args.demo).savefig(args.out, dpi=110)
