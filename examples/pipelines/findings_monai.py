"""A balanced folder of several findings as a MONAI dataset, and the loss of a network that leaves unknowns out.

python examples/pipelines/findings_monai.py xrays-balanced/train
"""

import sys
from pathlib import Path

import pandas as pd
import torch
from monai.data import DataLoader, Dataset
from monai.networks.nets import DenseNet121
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Resized, ScaleIntensityd


def read(folder: Path) -> tuple[list[dict], list[str]]:
    """One dict an image, as MONAI takes them, and the findings; labels are 1, 0, and nan for what is not known."""
    table = pd.read_parquet(folder / "metadata.parquet")
    findings = list(table.columns[list(table.columns).index("labels") + 1 :])
    marks = table[findings].to_numpy("float32", na_value=float("nan"))
    return [
        {"image": str(folder / name), "label": row} for name, row in zip(table["file_name"], marks, strict=True)
    ], findings


def loss(said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy over the findings that are known."""
    known = ~label.isnan()
    return torch.nn.functional.binary_cross_entropy_with_logits(said[known], label[known])


if __name__ == "__main__":
    rows, findings = read(Path(sys.argv[1]))
    steps = [LoadImaged("image", reader="PILReader"), EnsureChannelFirstd("image"), ScaleIntensityd("image")]
    data = Dataset(rows, Compose([*steps, Resized("image", (64, 64))]))
    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=len(findings))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    batch = next(iter(DataLoader(data, batch_size=8, shuffle=True)))
    value = loss(network(batch["image"]), batch["label"])
    value.backward()
    optimizer.step()
    print(f"{len(rows)} images, findings {', '.join(findings)}; the loss of a first step: {value.item():.3f}")
