"""An arm of the comparison, `balance compare --arm square-root-sampling`: a baseline without synthetic images.

The name of the entry point and that of the arm are the same.
"""

from __future__ import annotations

import numpy as np

from analysis.comparison.training.arms import Arm, Task
from analysis.comparison.training.training_spec import Model


def square_root(task: Task) -> Model:
    """Each class is shown as often as the square root of its size says: between plain and even sampling."""
    counts = np.maximum(task.counts(), 1)
    weights = counts[task.real.targets] ** -0.5  # of each image: its class has `counts` of them
    return task.train(task.real, sampling="weighted", row_weights=weights.astype(np.float32))


ARM = Arm("square-root-sampling", "free", square_root, asks=("sampling",), one_class=True)
