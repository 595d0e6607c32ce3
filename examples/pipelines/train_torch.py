"""A plain PyTorch training on a balanced folder: a class-balanced sampler, and `is_synthetic` of every image.

python examples/pipelines/train_torch.py xrays-balanced [epochs]

Synthetic images are in training alone; what is tested is real. With two epochs this shows the way, not a good model.
"""

import sys
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision.transforms import v2

SIDE = 64


class Balanced(Dataset):
    """The images of one split: an image, (1, SIDE, SIDE) in 0 to 1, its class, and whether it is synthetic."""

    def __init__(self, split, transform=None):
        self.split, self.transform = Path(split), transform
        self.rows = pd.read_parquet(self.split / "metadata.parquet")

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        row = self.rows.iloc[place]
        grey = Image.open(self.split / row["file_name"]).convert("L").resize((SIDE, SIDE))
        image = v2.functional.to_dtype(v2.functional.to_image(grey), torch.float32, scale=True)
        return self.transform(image) if self.transform else image, int(row["label"]), bool(row["is_synthetic"])


def sampler_of(rows, seed=0):
    """Every class is drawn equally often, synthetic images as often as real ones of their class."""
    weights = 1 / rows.groupby("label")["label"].transform("size")
    generator = torch.Generator().manual_seed(seed)
    return WeightedRandomSampler(weights.tolist(), len(rows), generator=generator)


def main(folder, epochs=2):
    """Train, and print the recall of each class on the real images of the test split."""
    torch.manual_seed(0)
    changes = v2.RandomAffine(degrees=10, translate=(0.05, 0.05), scale=(0.9, 1.1))
    train, test = Balanced(folder / "train", changes), Balanced(folder / "test")
    assert not test.rows["is_synthetic"].any()
    layers = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    names = sorted(train.rows["file_name"].str.partition("/")[0].unique())
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, len(names)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        synthetic = seen = 0
        model.train()
        for images, labels, made in DataLoader(train, 32, sampler=sampler_of(train.rows, epoch)):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimiser.step()
            synthetic, seen = synthetic + int(made.sum()), seen + len(made)
        print(f"epoch {epoch + 1}: {seen} images, {synthetic} of them synthetic")
    model.eval()
    with torch.no_grad():
        said = torch.cat([model(images).argmax(1) for images, _, _ in DataLoader(test, 64)])
    truth = torch.tensor(test.rows["label"].to_numpy())
    for number, name in enumerate(names):
        print(f"recall of {name}: {(said[truth == number] == number).float().mean():.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
