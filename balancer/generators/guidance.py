"""Guidance in a part of the denoising steps only (Kynkäänniemi et al. 2024, arXiv:2404.07724): elsewhere one pass of
the denoiser serves for both, so a step takes half the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from balancer.errors import SettingsError

Interval = tuple[float, float]
"""From which share of the denoising steps to which: 0 is pure noise, 1 the finished image."""


def read_interval(text: str) -> Interval:
    """Two shares, as `--guidance-interval` gives them.

    Raises:
        SettingsError: they are not two numbers from 0 to 1, the first one lower.

    >>> read_interval("0.2,0.8")
    (0.2, 0.8)
    """
    try:
        low, high = map(float, text.split(","))
        if 0 <= low < high <= 1:
            return low, high
    except ValueError:
        pass
    raise SettingsError(
        needed="two shares of the denoising steps from 0 to 1 for --guidance-interval, the lower one first",
        found=repr(text),
        next_step="for example: balance fill --guidance-interval 0.2,0.8",
    )


def is_guided(step: int, steps: int, interval: Interval) -> bool:
    """Whether step number `step` of so many, from 0, lies in the interval by its middle.

    >>> [is_guided(step, 5, (0.2, 0.8)) for step in range(5)]
    [False, True, True, True, False]
    """
    return interval[0] <= (step + 0.5) / steps <= interval[1]


@contextmanager
def guided_within(pipe: Any, interval: Interval | None) -> Iterator[None]:
    """While this lasts a pipeline is guided in an interval alone; `None`: in every step, untouched.

    Outside, the denoiser sees the half of a batch that has the prompt, and its prediction stands for both halves:
    guidance between two equal predictions is that prediction.
    """
    if interval is None:
        yield
        return
    halved: list[bool] = []
    told: list[Any] = [None, None]  # both halves, and the second: the same tensor at each step, as the layers expect

    def before(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        times = pipe.scheduler.timesteps
        step = int((times == given[1].to(times.device)).nonzero()[0, 0])
        halved.append(bool(pipe.do_classifier_free_guidance) and not is_guided(step, len(times), interval))
        if not halved[-1]:
            return given, named
        if named["encoder_hidden_states"] is not told[0]:
            told[:] = named["encoder_hidden_states"], _second(named["encoder_hidden_states"])
        more = named.get("added_cond_kwargs")
        kept = {
            **named,
            "encoder_hidden_states": told[1],
            "added_cond_kwargs": None if more is None else {name: _second(value) for name, value in more.items()},
        }
        return (_second(given[0]), *given[1:]), kept

    def after(*given: Any) -> Any:
        import torch

        made = given[-1]
        return (torch.cat([made[0], made[0]]), *made[1:]) if halved[-1] else made

    hooks = [pipe.unet.register_forward_pre_hook(before, with_kwargs=True), pipe.unet.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _second(values: Any) -> Any:
    """The half of a batch that has the prompt."""
    return values.chunk(2)[1]
