"""The same with MONAI: a DenseNet, MONAI's transforms, a class-balanced sampler, and `is_synthetic` of every image.

python examples/pipelines/train_monai.py xrays-balanced [epochs]
"""

import sys
from pathlib import Path

import pandas as pd
import torch
from monai.data import DataLoader, Dataset
from monai.networks.nets import DenseNet
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, RandAffined, Resized, ScaleIntensityRanged
from torch.utils.data import WeightedRandomSampler

SIDE = 64


def items(split):
    """One dictionary an image, as MONAI reads them."""
    rows = pd.read_parquet(split / "metadata.parquet")
    columns = zip(rows["file_name"], rows["label"], rows["is_synthetic"], strict=True)
    return [{"image": str(split / file), "label": int(n), "is_synthetic": bool(made)} for file, n, made in columns]


def main(folder, epochs=2):
    """Train, and print the accuracy on the real images of the test split."""
    torch.manual_seed(0)
    reading = [
        LoadImaged("image", reader="PILReader", reverse_indexing=False, converter=lambda image: image.convert("L")),
        EnsureChannelFirstd("image", channel_dim="no_channel"),
        ScaleIntensityRanged("image", 0, 255, 0, 1),
        Resized("image", (SIDE, SIDE)),
    ]
    changes = RandAffined("image", prob=1, rotate_range=0.17, translate_range=3, scale_range=0.1)
    train, test = items(folder / "train"), items(folder / "test")
    assert not any(each["is_synthetic"] for each in test)
    labels = pd.Series([each["label"] for each in train])
    sampler = WeightedRandomSampler((1 / labels.groupby(labels).transform("size")).tolist(), len(train))
    model = DenseNet(2, 1, labels.nunique(), init_features=16, growth_rate=8, block_config=(2, 2))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        synthetic = 0
        model.train()
        for batch in DataLoader(Dataset(train, Compose([*reading, changes])), batch_size=32, sampler=sampler):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(batch["image"].as_tensor()), batch["label"]).backward()
            optimiser.step()
            synthetic += int(batch["is_synthetic"].sum())
        print(f"epoch {epoch + 1}: {len(train)} images, {synthetic} of them synthetic")
    model.eval()
    right = 0
    with torch.no_grad():
        for batch in DataLoader(Dataset(test, Compose(reading)), batch_size=64):
            right += int((model(batch["image"].as_tensor()).argmax(1) == batch["label"]).sum())
    print(f"accuracy: {right / len(test):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
