"""A balanced folder of several findings as a torchxrayvision dataset: 1, 0, and nan for what is not known.

python examples/pipelines/findings_torchxrayvision.py xrays-balanced/train
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torchxrayvision as xrv
from PIL import Image


class Balanced(xrv.datasets.Dataset):
    """The images of a folder with `metadata.parquet`; `pathologies` are its findings."""

    def __init__(self, folder: Path, transform=None):
        super().__init__()
        self.folder, self.transform = Path(folder), transform
        self.csv = pd.read_parquet(self.folder / "metadata.parquet")
        self.pathologies = list(self.csv.columns[list(self.csv.columns).index("labels") + 1 :])
        self.labels = self.csv[self.pathologies].to_numpy("float32", na_value=float("nan"))

    def __len__(self):
        return len(self.csv)

    def __getitem__(self, place):
        grey = np.asarray(Image.open(self.folder / self.csv["file_name"][place]).convert("L"))
        grey = xrv.datasets.normalize(grey, 255, reshape=True)
        return {"idx": place, "lab": self.labels[place], "img": self.transform(grey) if self.transform else grey}

    def string(self):
        """What it holds, in words."""
        return f"{self.folder.name}: {len(self)} images, {int(self.csv['is_synthetic'].sum())} of them synthetic"


if __name__ == "__main__":
    found = Balanced(Path(sys.argv[1]))
    print(found.string())
    print(found.totals())  # how often each finding is 1 and 0; what is nan counts for neither
    first = found[0]
    print(first["img"].shape, first["lab"].tolist())
