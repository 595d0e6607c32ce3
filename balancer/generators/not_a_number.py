"""Values that are not numbers: noticed as soon as a network gives them, and where they come from.

Each is named by the part that gave it first: the text encoder, the denoiser, the noise schedule or the autoencoder.
The cause is one of three: weights that are no numbers, a precision whose range is too small, or a schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import GenerationError, NotANumber

if TYPE_CHECKING:
    import torch

ENCODER, DENOISER, SCHEDULE, DECODER = "text encoder", "denoiser", "noise schedule", "autoencoder"
_PARTS = ("text_encoder", "text_encoder_2", "unet", "transformer", "vae")
_SCHEDULE_STEP = "copy scheduler/ of the model folder again, then check it: balance doctor --model FOLDER"
_SANE = 1e4  # a prediction is of order one; a larger one is as useless, and overflows in the next step


def require_numbers(values: torch.Tensor, part: str) -> torch.Tensor:
    """The values as they are, of any shape, if each is finite; one look at a batch.

    Raises:
        NotANumber: one is infinite or not a number.

    >>> import torch
    >>> require_numbers(torch.ones(2), DENOISER).tolist()
    [1.0, 1.0]
    """
    import torch

    if not bool(torch.isfinite(values).all()):
        raise not_a_number(part)
    return values


def not_a_number(part: str) -> NotANumber:
    """What is said of a part that gives such values, before the cause is known."""
    return NotANumber(
        needed=f"finite numbers from the {part}",
        found="values that are not a number",
        next_step="draw in float32: balance fill --precision float32",
    )


def require_schedule(alpha_bars: torch.Tensor, model: str) -> None:
    """Refuse a noise schedule, the share of the signal at each noise level, that no image can be drawn by.

    Raises:
        NotANumber: a share is not a number from 0 to 1, or nothing is left of the signal before the last level.
    """
    if not bool(((alpha_bars[:-1] > 0) & (alpha_bars[:-1] <= 1)).all()):  # a NaN is neither
        raise NotANumber(
            needed="a noise schedule whose shares of the signal are numbers above 0, and at most 1",
            found=f"{model}: scheduler/scheduler_config.json gives others",
            next_step=_SCHEDULE_STEP,
        )


def cause_of(
    error: NotANumber, pipe: Any, model: str, adapter: Path | None, draw_again: Callable[[], object]
) -> GenerationError:
    """Why a pipeline in float32 gives values that are not numbers, as an error that says what to do.

    `draw_again` repeats what failed: the denoiser is then watched at each step, to tell it from its schedule.
    """
    broken = next(_broken_weights(pipe), "")
    if broken and adapter is not None and _is_broken(adapter):
        return NotANumber(
            needed="an adapter whose weights are finite numbers",
            found=f"{adapter.parent.name}/{adapter.name} holds values that are not a number",
            next_step="copy the adapter again, or train it again: balance adapt --base BASE --name NAME",
        )
    if broken:
        return NotANumber(
            needed="weights that are finite numbers",
            found=f"{model}: {broken} holds values that are not a number",
            next_step="copy the model folder again, then check it: balance doctor --model FOLDER",
        )
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    if error.needed == not_a_number(DENOISER).needed and _blamed(denoiser, draw_again) == SCHEDULE:
        return NotANumber(
            needed="a noise schedule whose steps stay finite",
            found=f"{model}: its denoiser gives numbers, and scheduler/scheduler_config.json makes values of them that "
            "are not",
            next_step=_SCHEDULE_STEP,
        )
    seen = error.needed != not_a_number(ENCODER).needed or getattr(pipe, "text_encoder", None) is not None
    weights = ", from weights that are finite" if seen else ""  # large text encoders are let go before
    return NotANumber(
        needed=error.needed,
        found=f"{model}: values that are not a number in float32 too{weights}",
        next_step="use a lower --guidance, another --size, or another --model",
    )


def _broken_weights(pipe: Any) -> Iterator[str]:
    """The names of weights that are not all finite."""
    import torch

    for part in _PARTS:
        network = getattr(pipe, part, None)
        for name, value in {} if network is None else network.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                yield f"{part}: {name}"


def _is_broken(adapter: Path) -> bool:
    import torch
    from safetensors.torch import load_file

    return not all(bool(torch.isfinite(value).all()) for value in load_file(adapter).values())


def _blamed(denoiser: Any, draw_again: Callable[[], object]) -> str:
    """Whether the denoiser or its schedule is the first to give what is not a number."""
    import torch

    spoilt: list[str] = []

    def before(_: object, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        latents = given[0] if given else named["hidden_states"]
        if not bool(torch.isfinite(latents).all()):
            spoilt.append(SCHEDULE)

    def after(*given: Any) -> None:
        predicted = given[-1][0]
        if not bool((predicted.abs() < _SANE).all()):
            spoilt.append(DENOISER)

    hooks = [denoiser.register_forward_pre_hook(before, with_kwargs=True), denoiser.register_forward_hook(after)]
    try:
        draw_again()
    except NotANumber:
        pass  # as it did before
    finally:
        for hook in hooks:
            hook.remove()
    return next(iter(spoilt), SCHEDULE)
