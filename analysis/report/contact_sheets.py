"""Pictures for people: contact sheets."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from balancer.errors import ImageError
from balancer.files import write_whole
from balancer.imaging.decode import GreyImage, read_grey, resize
from balancer.store.state_dir import locked

if TYPE_CHECKING:
    from balancer.filling.external_import import ImportResult
    from balancer.workspace.fill_run import FillResult
    from balancer.workspace.workspace import Workspace

TILE, GAP, CAPTION = 112, 4, 18
_PAPER, _INK = 245, 20


def contact_sheet(rows: Sequence[tuple[str, Sequence[GreyImage]]], columns: int) -> Image.Image:
    """Draw rows of images, each under its caption; an image keeps its proportions in its square tile.

    >>> contact_sheet([("real normal", [np.zeros((8, 8), np.uint8)])], columns=2).size
    (236, 138)
    """
    height = CAPTION + TILE + 2 * GAP
    sheet = Image.new("L", (columns * (TILE + GAP) + GAP, len(rows) * height), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (caption, images) in enumerate(rows):
        top = number * height
        draw.text((GAP, top + 2), caption.encode("ascii", "replace").decode(), fill=_INK, font=font)
        for column, image in enumerate(images[:columns]):
            tile = _tile(image)
            left = GAP + column * (TILE + GAP) + (TILE - tile.width) // 2
            sheet.paste(tile, (left, top + CAPTION + GAP + (TILE - tile.height) // 2))
    return sheet


def real_above_synthetic(
    real: Mapping[str, Sequence[Path]], synthetic: Mapping[str, Sequence[Path]], columns: int = 8
) -> Image.Image:
    """Draw for every class a row of real images and, where there are any, a row of synthetic ones below it."""
    rows: list[tuple[str, Sequence[Path]]] = []
    for label in real:
        rows.append((f"{label}: real", real[label]))
        if synthetic.get(label):
            rows.append((f"{label}: synthetic", synthetic[label]))
    return sheet_of_files(rows, columns)


def sheet_of_files(rows: Sequence[tuple[str, Sequence[Path]]], columns: int = 8) -> Image.Image:
    """Draw rows of files, each under its caption: images spread evenly over them, passing over unreadable ones."""
    return contact_sheet([(caption, _read_some(paths, columns)) for caption, paths in rows], columns)


def save_fill_sheet(workspace: Workspace, found: FillResult) -> Path:
    """Keep a sheet of what a fill added: of each class real training images above synthetic ones."""
    collection, split = found.planned.collection, found.planned.split
    labels = collection.images.loc[split.paths("train", "holdout"), "label"]
    accepted = {} if found.report is None else found.report.accepted
    shown = accepted if collection.is_multi_label else collection.labels
    real = {label: [collection.root / path for path in labels.index[labels == label]] for label in shown}
    synthetic = {label: [candidate.path for candidate, _ in judged] for label, judged in accepted.items()}
    return _save(workspace, "contact-sheet.png", real_above_synthetic(real, synthetic))


def save_screened_sheet(workspace: Workspace, images: Sequence[ImportResult]) -> Path:
    """Keep a sheet of images of another generator, by class and decision, as they were handed over."""
    rows: dict[str, list[Path]] = {}
    for each in sorted(images, key=lambda each: (each.seen.given.label, each.verdict.decision)):
        rows.setdefault(f"{each.seen.given.label}: {each.verdict.decision}", []).append(each.seen.given.file)
    return _save(workspace, "screened.png", sheet_of_files(list(rows.items())))


def save_prompts_sheet(workspace: Workspace, images: Mapping[str, Sequence[GreyImage]]) -> Path:
    """Keep a sheet of what a model made of prompts, a row for each class."""
    sheet = contact_sheet(list(images.items()), columns=max(map(len, images.values())))
    return _save(workspace, "prompts.png", sheet)


def _save(workspace: Workspace, name: str, sheet: Image.Image) -> Path:
    """Put a picture for people into the state folder, whole or not at all."""
    buffer, reports = io.BytesIO(), workspace.state.reports
    sheet.save(buffer, "PNG")
    with locked(workspace.state):
        reports.mkdir(exist_ok=True)
        write_whole(reports / name, buffer.getvalue())
    return reports / name


def _tile(image: GreyImage) -> Image.Image:
    height, width = image.shape
    scale = TILE / max(height, width)
    return Image.fromarray(resize(image, max(1, round(width * scale)), max(1, round(height * scale))))


def _read_some(paths: Sequence[Path], count: int) -> list[GreyImage]:
    """Images spread evenly over `paths`, passing over what cannot be read."""
    chosen = [paths[round(place)] for place in np.linspace(0, len(paths) - 1, min(count, len(paths)))]
    found = []
    for path in chosen:
        try:
            found.append(read_grey(path))
        except ImageError:
            continue
    return found
