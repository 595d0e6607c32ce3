"""How a checkpoint's noise schedule is drawn from: by DPM-Solver++, its steps and guidance as the schedule asks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.folder_validation import read_json
from balancer.jobs import Mode

USUAL = "DPMSolverMultistep, Karras sigmas"
ZERO_TERMINAL = "DPMSolverMultistep, trailing steps, guidance from text rescaled by 0.7"
_STOCHASTIC = ", stochastic"
_RESCALED = 0.7


def read_schedule(folder: Path) -> dict[str, Any]:
    """The configuration of the scheduler in a checkpoint's folder."""
    return read_json(folder / "scheduler" / "scheduler_config.json")


def is_zero_terminal(config: Mapping[str, Any]) -> bool:
    """Whether a scheduler's configuration says that its schedule ends in pure noise.

    >>> is_zero_terminal({"rescale_betas_zero_snr": True}), is_zero_terminal({})
    (True, False)
    """
    return bool(config.get("rescale_betas_zero_snr"))


def is_stochastic(config: Mapping[str, Any]) -> bool:
    """Whether a scheduler's configuration asks for new noise at each step, as what is trained from scratch does.

    >>> is_stochastic({"algorithm_type": "sde-dpmsolver++"}), is_stochastic({"algorithm_type": "dpmsolver++"})
    (True, False)
    """
    return str(config.get("algorithm_type")).startswith("sde-")


def schedule_name(config: Mapping[str, Any]) -> str:
    """What provenance calls the way of drawing.

    >>> schedule_name({"algorithm_type": "sde-dpmsolver++"})
    'DPMSolverMultistep, Karras sigmas, stochastic'
    """
    return (ZERO_TERMINAL if is_zero_terminal(config) else USUAL) + (_STOCHASTIC if is_stochastic(config) else "")


def is_flow(config: Mapping[str, Any]) -> bool:
    """Whether a scheduler's configuration is of flow matching.

    >>> is_flow({"_class_name": "FlowMatchEulerDiscreteScheduler"}), is_flow({"prediction_type": "epsilon"})
    (True, False)
    """
    return "FlowMatch" in str(config.get("_class_name")) or config.get("prediction_type") == "flow_prediction"


def flow_shift(config: Mapping[str, Any]) -> float:
    """How far a schedule of flow matching is moved towards noise (Esser et al. 2024, section 5.3.2).

    >>> flow_shift({"shift": 3.0}), flow_shift({"flow_shift": 3.0}), flow_shift({})
    (3.0, 3.0, 1.0)
    """
    return float(config.get("shift") or config.get("flow_shift") or 1)


def scheduler_name(checkpoint: Checkpoint) -> str:
    """What provenance calls the way in which a checkpoint draws: ours, or its own."""
    config = read_schedule(checkpoint.folder)
    if checkpoint.family.whole:
        return schedule_name(config)
    kind = checkpoint.part_class("scheduler").removesuffix("Scheduler")
    return f"{kind}, its own" + (f", shift {flow_shift(config):g}" if checkpoint.family.flow else "")


def default_guidance(checkpoint: Checkpoint, mode: Mode = "text") -> float:
    """The scale of guidance where the user names none."""
    own = checkpoint.family.guidance
    return usual_guidance(read_schedule(checkpoint.folder), mode) if own is None else own


def usual_guidance(config: Mapping[str, Any], mode: Mode = "text") -> float:
    """The guidance scale where the user names none: 3, and 1, which is none, where the solver adds noise.

    That noise gives back the detail for which guidance is turned up otherwise. Each step up from 1 makes the class a
    little more certain and the images less like real ones, as `python -m tests.benchmarks.scratch --guidance` shows. To
    edit an image of another class takes 2: by 1 too much of that class stays. To paint a part of a normal image takes
    5 with any solver: what is around the part speaks for normal.

    >>> usual_guidance({}), usual_guidance({"algorithm_type": "sde-dpmsolver++"})
    (3.0, 1.0)
    >>> usual_guidance({"algorithm_type": "sde-dpmsolver++"}, "mix")
    2.0
    """
    if mode == "inpaint":
        return 5.0
    if not is_stochastic(config):
        return 3.0
    return 2.0 if mode == "mix" else 1.0


def guidance_rescale(config: Mapping[str, Any]) -> float:
    """How far guidance is brought back to the spread of the unguided prediction.

    A model that was taught from pure noise overexposes without it (Lin et al. 2023, section 3.4).
    """
    return _RESCALED if is_zero_terminal(config) else 0.0


def our_scheduler(config: Mapping[str, Any]) -> Any:
    """The scheduler that draws. One that ends in pure noise has to begin there: trailing steps, no Karras sigmas,
    which would spend most steps where there is no signal (Lin et al. 2023, section 3.3)."""
    from diffusers import DPMSolverMultistepScheduler

    if is_zero_terminal(config):
        return DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=False, timestep_spacing="trailing")
    return DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=True)


def edit_steps(steps: int, strength: float | None) -> int:
    """Denoising steps that are left for an image made from another; all of them for one from text (`None`).

    >>> edit_steps(25, 0.7), edit_steps(25, None)
    (17, 25)
    """
    return steps if strength is None else min(int(steps * strength), steps)


def fewest_steps(strength: float | None) -> int:
    """How many steps to ask for, two at least, so that one is left for an image made from another.

    >>> fewest_steps(0.3), fewest_steps(None)
    (4, 2)
    """
    return next(steps for steps in itertools.count(2) if edit_steps(steps, strength) > 0)
