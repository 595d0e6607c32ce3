import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from balancer.adapting.common import image_tensors
from balancer.collection.scan import Sample
from balancer.errors import CollectionError, ImageError


def sample(root: Path, name: str, data: bytes) -> Sample:
    (root / name).write_bytes(data)
    return Sample(name, "a", None, hashlib.sha256(data).hexdigest())


def png(height: int, width: int, grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height), grey).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_are_stretched_and_keep_their_order(tmp_path: Path) -> None:
    samples = [sample(tmp_path, "0.png", png(32, 64, 10)), sample(tmp_path, "1.png", png(64, 32, 200))]
    seen: list[int] = []
    read = image_tensors.read_image_tensors(samples, tmp_path, 16, seen.append)
    assert read.grey.shape == (2, 16, 16)
    assert read.grey[:, 3, 3].tolist() == [10, 200]
    assert read.reduction == 4
    assert seen == [1, 2]


def test_a_batch_is_three_equal_colours_from_minus_one_to_one() -> None:
    grey = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1).expand(2, 8, 8)
    batch = image_tensors.ImageTensors(grey, 1.0).batch(torch.tensor([1, 0]))
    assert batch.shape == (2, 3, 8, 8)
    assert batch[0].unique().tolist() == [1]
    assert batch[1].unique().tolist() == [-1]


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    changed = sample(tmp_path, "0.png", png(16, 16, 1))
    (tmp_path / "0.png").write_bytes(png(16, 16, 2))
    with pytest.raises(CollectionError, match="another content"):
        image_tensors.read_image_tensors([changed], tmp_path, 16, lambda n: None)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match=r"gone\.png"):
        image_tensors.read_image_tensors([Sample("gone.png", "a", None, "")], tmp_path, 16, lambda n: None)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"broken\.png"):
        image_tensors.read_image_tensors([sample(tmp_path, "broken.png", b"no image")], tmp_path, 16, lambda n: None)


def test_a_sheet_has_a_row_for_each_label() -> None:
    rows = {label: np.zeros((3, 16, 16), np.uint8) for label in ("a", "b")}
    sheet = Image.open(io.BytesIO(image_tensors.contact_sheet(rows)))
    assert sheet.size == (96 + 3 * 34, 2 * 34)
