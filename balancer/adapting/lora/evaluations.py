"""What was seen at each checkpoint of a training: kept, the best of them found, and when it is enough."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from balancer.adapting.common.train_state import load_tensors, to_json
from balancer.files import sync_path, write_whole


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One look: its number, the steps before it, the holdout loss (`None` without holdout images) with the classes'
    figures, what the watch said, and how many seconds all that took."""

    number: int
    step: int
    loss: float | None
    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stop: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON-compatible fields, by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class EvaluationLog:
    """The looks of one training, in a folder: a file for each, and the averaged weights as they were then."""

    folder: Path

    def write(self, evaluation: Evaluation, weights: Mapping[str, Tensor]) -> None:
        """Keep a look, its weights first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
        write_whole(self._weights(evaluation.step), save(plain))
        write_whole(self.folder / f"{evaluation.step:08d}.json", to_json(evaluation.to_json()).encode())
        sync_path(self.folder)

    def read(self) -> list[Evaluation]:
        """Read all evaluations of the training, in order of their steps."""
        return list(self._read())

    def forget_after(self, step: int) -> None:
        """Drop looks that a training which goes on from `step` will have again."""
        for path in self.folder.glob("[0-9]*"):
            if int(path.stem) > step:
                path.unlink()

    def weights(self, evaluation: Evaluation) -> dict[str, Tensor]:
        """The averaged weights at a look."""
        return load_tensors(self._weights(evaluation.step), self.folder.parent)

    def _weights(self, step: int) -> Path:
        return self.folder / f"{step:08d}.safetensors"

    def _read(self) -> Iterator[Evaluation]:
        for path in sorted(self.folder.glob("[0-9]*.json")):
            fields = json.loads(path.read_text(encoding="utf-8"))
            yield Evaluation(**{**fields, "notes": tuple(fields["notes"])})


def best_evaluation(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The evaluation with the lowest generator holdout loss, without any loss the last; none before the first step.

    Evaluations at which the monitor asked to stop come after all others.

    >>> losses = (1.0, 3.0, 2.0, 2.5)
    >>> best_evaluation([Evaluation(number, 5 * number, loss) for number, loss in enumerate(losses)]).step
    10
    """
    learned = [evaluation for evaluation in evaluations if evaluation.step]
    sound = [evaluation for evaluation in learned if not evaluation.stop] or learned
    judged = [(evaluation.loss, evaluation.step, evaluation) for evaluation in sound if evaluation.loss is not None]
    return min(judged, key=lambda each: each[:2])[2] if judged else sound[-1]


def early_stop_reason(evaluations: Sequence[Evaluation], patience: int) -> str:
    """Why training should end now, or an empty text: the holdout loss rises, or the monitor asks for it.

    >>> losses = (3.0, 1.0, 2.0, 2.5)
    >>> early_stop_reason([Evaluation(n, 5 * n, loss) for n, loss in enumerate(losses)], patience=2)
    'the generator holdout loss has not improved since step 5'
    """
    learned = [evaluation for evaluation in evaluations if evaluation.step]
    if not learned:
        return ""
    if learned[-1].stop:
        return learned[-1].stop
    judged = [evaluation for evaluation in learned if evaluation.loss is not None]
    if not judged:
        return ""
    best = min(judged, key=lambda evaluation: (evaluation.loss, evaluation.step))
    later = sum(1 for evaluation in judged if evaluation.step > best.step)
    return f"the generator holdout loss has not improved since step {best.step}" if later >= patience else ""
