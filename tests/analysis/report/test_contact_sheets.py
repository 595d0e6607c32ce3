import numpy as np
from PIL import Image

from analysis.report.contact_sheets import CAPTION, GAP, TILE, contact_sheet, real_above_synthetic


def test_rows_and_columns_have_their_places():
    white, black = np.full((8, 8), 255, np.uint8), np.zeros((8, 8), np.uint8)
    sheet = np.asarray(contact_sheet([("a", [white, black]), ("b", [black])], columns=2))
    row = CAPTION + TILE + 2 * GAP
    assert sheet.shape == (2 * row, 2 * (TILE + GAP) + GAP)
    middle, first, second = CAPTION + GAP + TILE // 2, GAP + TILE // 2, 2 * GAP + TILE + TILE // 2
    assert (sheet[middle, first], sheet[middle, second], sheet[row + middle, first]) == (255, 0, 0)
    assert sheet[row + middle, second] == 245  # paper


def test_an_image_keeps_its_proportions():
    wide = np.full((10, 40), 255, np.uint8)
    sheet = np.asarray(contact_sheet([("a", [wide])], columns=1))
    column = sheet[CAPTION + GAP :, GAP + TILE // 2]
    assert (column == 255).sum() == TILE // 4


def test_each_class_has_its_real_and_synthetic_row(tmp_path):
    paths = []
    for index in range(20):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(np.full((8, 8), index, np.uint8)).save(paths[-1])
    (tmp_path / "broken.png").write_text("")
    sheet = real_above_synthetic({"A": paths, "B": [*paths[:2], tmp_path / "broken.png"]}, {"A": paths[:3]}, columns=8)
    assert sheet.size == (8 * (TILE + GAP) + GAP, 3 * (CAPTION + TILE + 2 * GAP))
