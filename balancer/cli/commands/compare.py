"""`balance compare`: did it help?"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from balancer import __version__
from balancer.cli.benches import Bench, Order, counts_of, cross_fitted, redrawn
from balancer.cli.console import ConsoleProgress, here, message, result_json
from balancer.cli.costing import training_cost
from balancer.cli.origins import not_repeated, order_key
from balancer.cli.views.compare import save_metrics, show_comparison, show_left_out, show_schedule, show_validation
from balancer.cli.workplaces import fold_errands, redraw_errands, show_cost
from balancer.errors import ComparisonError
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.comparison.inference.result import Asked, Comparison
    from analysis.comparison.inference.selection import Choice
    from analysis.comparison.inputs.study import Outcomes
    from analysis.comparison.training.arms import Arm
    from analysis.comparison.training.worker_pool import WorkerPool
    from analysis.statistics.convergence import Course

_FEW = "few arms without synthetic images were compared: one that was left out may be better than the baseline"
QUICK_SEEDS = 3
_NEEDS = ("synthetic", "unscreened", "reconstructed")


def compare(
    folder: Path = typer.Argument(None, help="The balanced folder (default: that of the last fill)."),
    quick: bool = typer.Option(
        False, "--quick", help="The two arms of the verdict, the real images alone and a control; three seeds."
    ),
    arm: list[str] = typer.Option(
        None, help="Only this arm beside the baseline; one with synthetic images is judged. May be repeated."
    ),
    seeds: int = typer.Option(None, min=1, help="Trainings of each arm (default: 5; with --quick 3)."),
    steps: str = typer.Option("auto", help="Training steps of every arm; auto: twice what the baseline needs."),
    backbone: str = typer.Option("small", help="small, frozen, or a network of torchvision with its --weights."),
    weights: Path = typer.Option(None, help="Its weights, as .safetensors."),
    size: int = typer.Option(None, min=16, help="Side in pixels (default: 64; 224 with --weights)."),
    recipe: str = typer.Option("strong", help="How arms with synthetic images train: strong augmentation, or plain."),
    label: str = typer.Option(None, help="The class whose AUPRC decides, named beforehand (default: the rarest)."),
    extra: list[str] = typer.Option(None, help="NAME=FOLDER: other real images, as an arm of their own."),
    cross_fit: int = typer.Option(None, min=2, help="Adapt, fill and train again in each of so many folds by patient."),
    redraw: int = typer.Option(1, min=1, help="Fill with as many generator seeds as --seeds: their luck counts too."),
    validation_only: bool = typer.Option(
        False, "--validation-only", help="Train and choose, and leave the test split closed."
    ),
    force: bool = typer.Option(False, "--force", help="Go on despite leaks (every figure is INVALID) or few images."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Train nothing; say what the test split can show, and how long it takes."
    ),
    workers: int = typer.Option(None, min=1, help="Trainings at once (default: as many as there are cores)."),
    seed: int = typer.Option(0, min=0, help="Same seed, same result."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Train a quick classifier with and without the synthetic images: do they help on unseen patients?

    Two arms are named beforehand: strong augmentation with a class-balanced sampler, and pretraining with the synthetic
    images. The test split decides between the two. Every arm has the same number of training steps, as many as the
    baseline needs to stop improving, twice. Stopped, it goes on where it was.

    Example: balance compare --quick
    """
    from analysis.comparison.inputs.build_study import Wanted
    from analysis.comparison.training.backbones import find_learner
    from analysis.comparison.training.runs import LONGEST, LONGEST_QUICK, RunSettings
    from analysis.comparison.training.worker_pool import WorkerPool
    from analysis.data.minimums import ADVISED_SEEDS
    from analysis.power.detectable_effect import measure_power

    seeds = seeds or (QUICK_SEEDS if quick else ADVISED_SEEDS)
    _require_one_way(folder, cross_fit, redraw, seeds)
    if as_json and (dry_run or validation_only):
        raise ComparisonError(
            needed="a result, for --json",
            found="--dry-run" if dry_run else "--validation-only, which has none",
            next_step="leave --json out: balance compare " + ("--dry-run" if dry_run else "--validation-only"),
        )
    extras = _extras(extra or ())
    _require_arms(arm or (), extras)
    learner = find_learner(backbone, weights=weights, side=size, steps=_steps(steps), device=device)
    settings = RunSettings(
        learner,
        _steps(steps),
        tuple(range(seed, seed + seeds)),
        _recipe(recipe),
        LONGEST_QUICK if quick else LONGEST,
        tries_rates=not quick,
    )
    needs = [each for each in _NEEDS if each == "synthetic" or (each in arm if arm else not quick)]
    with here().session(write=not dry_run) as session:
        power = measure_power(session.collection, session.split, label, command="balance compare")
        wanted = Wanted(learner.side, needs, extras, power.label, insist=force, pooled=bool(cross_fit))
        order = Order(session, wanted, settings, quick, tuple(arm or ()), workers, force)
        message(printable(power.sentence))
        errands = fold_errands(session, cross_fit) if cross_fit else redraw_errands(session, redraw)
        for note in not_repeated(session, errands, folds=bool(cross_fit)):
            message(f"Note: {note}.")
        made = bool(cross_fit) or (folder or session.balanced_folder()) is not None
        show_cost(session, errands, training_cost(order, cross_fit or redraw, folds=bool(cross_fit), made=made))
        if dry_run:
            return
        bench = cross_fitted(order, errands) if cross_fit else redrawn(order, folder, errands)
        with WorkerPool(_workers(order)) as pool:
            bench, arms, left_out = _train(order, bench, pool)
            if validation_only:
                show_validation(_on_validation(order, bench, arms), f"auprc:{bench.study.rare}")
                return
            told = power.out_of_fold_json if cross_fit else power.as_json
            found = _conclude(order, bench, arms, left_out, told, pool)
        place = save_metrics(session, found, bench.folder)
    _show(found, place, as_json=as_json)


def _require_one_way(folder: Path | None, cross_fit: int | None, redraw: int, seeds: int) -> None:
    """Refuse what cannot be asked for together.

    Raises:
        ComparisonError: folds and redraws, another number of redraws than of seeds, or folds and a folder.
    """
    if cross_fit and redraw > 1:
        raise ComparisonError(
            needed="either --cross-fit, whose folds are filled once each, or --redraw",
            found="both",
            next_step=f"balance compare --cross-fit {cross_fit}, or: balance compare --redraw {seeds}",
        )
    if redraw not in (1, seeds):
        raise ComparisonError(
            needed="as many redraws as seeds: several trainings on one draw would look surer than they are",
            found=f"--redraw {redraw} with --seeds {seeds}",
            next_step=f"balance compare --redraw {seeds}",
        )
    if cross_fit and folder is not None:
        raise ComparisonError(
            needed="no folder: each fold makes its own",
            found=f"{folder.name} with --cross-fit",
            next_step=f"balance compare --cross-fit {cross_fit}",
        )


def _require_arms(names: Sequence[str], extras: Mapping[str, Path]) -> None:
    """Refuse what is no arm before hours go into folds.

    Raises:
        ComparisonError: one of the names is none.
    """
    from analysis.comparison.inputs.study import EXTRA
    from analysis.comparison.training.arms import ARMS

    known = [*ARMS, *(f"{EXTRA}{name}" for name in extras)]
    unknown = [name for name in names if name not in known]
    if not unknown:
        return
    meant = get_close_matches(unknown[0], known, 1, cutoff=0.0)[0]
    raise ComparisonError(
        needed=f"names of arms: {', '.join(known)}",
        found=", ".join(map(repr, unknown)),
        next_step=f"for example: balance compare --arm {shlex.quote(meant)}",
    )


def _train(order: Order, bench: Bench, pool: WorkerPool) -> tuple[Bench, tuple[Arm, ...], Mapping[str, str]]:
    """Find how long to train, and train what is not trained yet.

    Gives back the bench with its schedules, the arms, and of those that are left out, why.
    """
    from analysis.comparison.training.arm_selection import choose_arms
    from analysis.comparison.training.replicates import run_legs
    from analysis.comparison.training.tuning import Tuning

    how: dict[str, Any] = {"quick": order.quick, "only": order.only or None, "recipe": order.settings.recipe}
    chosen = [choose_arms(leg.study, order.settings.learner, **how) for leg in bench.legs]
    left_out = {name: why for _, some in chosen for name, why in some.items()}
    arms = tuple(each for each in chosen[0][0] if each.name not in left_out)
    show_left_out(left_out)
    watch, asked = ConsoleProgress(), _asked(order, arms)
    beside = {*asked.synthetic, *(asked.controls[name] for name in asked.synthetic)} - {asked.baseline}
    by_name = {each.name: each for each in arms}
    tuning = Tuning(
        by_name[asked.baseline],
        tuple(each for each in arms if each.name in beside),
        order.settings,
        order.home,
        watch.start,
        pool,
    )
    bench = replace(bench, legs=tuple(tuning.find(bench.legs, shared=not bench.folds)))
    show_schedule(bench.legs)
    run_legs(bench.legs, arms, order.settings, order.home, watch.start, pool=pool)
    watch.close()
    return bench, arms, left_out


def _asked(order: Order, arms: Sequence[Arm]) -> Asked:
    """The arms of the verdict, and the matched control of each with synthetic images."""
    from analysis.comparison.inference.result import Asked
    from analysis.comparison.training.arm_selection import control_of, name_baseline, name_synthetic

    learner, recipe = order.settings.learner, order.settings.recipe
    controls = {each.name: control_of(each, recipe, learner).name for each in arms if each.kind == "synthetic"}
    names = [each.name for each in arms]
    return Asked(name_baseline(learner).name, name_synthetic(names, order.only), controls)


def _workers(order: Order) -> int:
    from analysis.comparison.training.runs import usual_workers

    learner = order.settings.learner
    return order.workers or usual_workers(learner, learner.units(order.settings.steps or order.settings.longest))


def _on_validation(order: Order, bench: Bench, arms: Sequence[Arm]) -> Choice:
    from analysis.comparison.inference.selection import choose

    asked = _asked(order, arms)
    outcomes = bench.outcomes(order, arms, "validation")
    names = [each.name for each in arms]
    return choose(outcomes, asked.baseline, asked.synthetic, names, f"auprc:{bench.study.rare}")


def _conclude(
    order: Order,
    bench: Bench,
    arms: Sequence[Arm],
    left_out: Mapping[str, str],
    power: Mapping[str, Any],
    pool: WorkerPool,
) -> Comparison:
    """Open the test part, which is counted, and say what it comes to."""
    from analysis.comparison.inference.result import Facts, conclude
    from analysis.comparison.training.replicates import all_trained, as_json, keys

    session, split = order.session, order.session.split.sha256
    session.ledger.add_opening(session.collection, split, _known_by(bench, keys(bench.legs, order.settings), arms))
    validation, test = (bench.outcomes(order, arms, part) for part in ("validation", "test"))
    trained = all_trained(bench.legs, arms, order.settings, order.home)
    asked = _asked(order, arms)
    facts = Facts(
        stamps=(*bench.stamps, *order.settings.learner.stamps, *([_FEW] if order.only or order.quick else [])),
        left_out=left_out,
        train=counts_of(bench),
        power=power,
        exchange=None if isinstance(test, list) else _exchange(order, bench, arms, test, pool),
        openings=session.ledger.openings(session.collection, split),
        settings={
            **order.settings.facts(),
            "steps": _steps_of(bench),
            "seeds": list(order.settings.seeds),
            **_origin(order, bench),
            **_chosen_on(order, bench),
        },
        version=__version__,
        setting=order.settings.learner.setting,
        trainings=[as_json(each) for each in trained],
    )
    courses: dict[str, list[Course]] = {}
    for each in trained:
        courses.setdefault(each.training.arm.name, []).append(each.course)
    watch = ConsoleProgress()
    measuring: dict[str, Any] = {}
    found = conclude(
        validation,
        test,
        {each.name: each.kind for each in arms},
        facts,
        replace(asked, courses=courses),
        progress=lambda what, done, total: measuring.setdefault(what, watch.start(what))(done, total),
    )
    watch.close()
    return found


def _steps_of(bench: Bench) -> int | None:
    """The steps of every training; of folds, the longest."""
    return max((leg.schedule.steps for leg in bench.legs if leg.schedule), default=None)


def _exchange(
    order: Order, bench: Bench, arms: Sequence[Arm], test: Outcomes, pool: WorkerPool
) -> Mapping[str, Any] | None:
    """What the synthetic images are worth in real ones, where there is one study to draw a learning curve from.

    The curve is that of the matched control: of another recipe it would say what the recipe is worth.
    """
    from analysis.comparison.inference.real_image_equivalent import exchange_rate
    from analysis.comparison.training.replicates import learning_curve

    synthetic = _on_validation(order, bench, arms).synthetic
    if not order.has_curve or len(bench.legs) > 1 or synthetic is None:
        return None
    watch, name = ConsoleProgress(), _asked(order, arms).controls[synthetic]
    control = next(each for each in arms if each.name == name)
    points = learning_curve(bench.legs[0], control, order.settings, order.home, watch.start, pool=pool)
    watch.close()
    if len({point.images for point in points}) < len(points):  # so few that fractions of them are the same
        return None
    found = exchange_rate(test, synthetic, points).as_json
    whose = f"The curve is that of {name}, the matched control."
    return {**found, "reference": name, "sentence": f"{found['sentence']} {whose}"}


def _origin(order: Order, bench: Bench) -> dict[str, Any]:
    """What was typed, and the split: a reader must be able to do the same again, and to see what is stale."""
    count = len(bench.legs)
    made: dict[str, Any] = {"folds": count} if bench.folds else {"redraws": count}
    if count > 1:
        made |= {"refitted": list(bench.refitted), "repeats": order_key(order.session, folds=bench.folds)}
    return {**made, "command": shlex.join(["balance", *sys.argv[1:]]), "split_sha256": order.session.split.sha256}


def _chosen_on(order: Order, bench: Bench) -> dict[str, str]:
    """What served as validation, where it is not the split's validation part; each fold draws its own."""
    held = set(order.session.split.paths("holdout"))
    return {} if bench.folds or held.isdisjoint(bench.study.validation.paths) else {"chosen_on": "holdout"}


def _known_by(bench: Bench, keys: Sequence[str], arms: Sequence[Arm]) -> str:
    """The name of a comparison: the same images, seeds, settings and arms, looked at again, open nothing new."""
    from analysis.comparison.training.run_files import digest

    legs = [
        [leg.seeds, leg.study.rare, {name: digest(images) for name, images in sorted(leg.study.added.items())}]
        for leg in bench.legs
    ]
    facts = [list(keys), legs, [each.name for each in arms]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _show(found: Comparison, place: Path, *, as_json: bool) -> None:
    from analysis.comparison.inference.result import as_json as to_json

    if as_json:
        result_json(to_json(found))
    else:
        show_comparison(found, place)


def _steps(text: str) -> int | None:
    """A number of steps, or None for as many as it takes."""
    if text == "auto":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter("auto, or a number of steps", param_hint="--steps")


def _recipe(text: str) -> Any:
    if text in ("strong", "plain"):
        return text
    raise typer.BadParameter("strong or plain", param_hint="--recipe")


def _extras(texts: Sequence[str]) -> dict[str, Path]:
    found = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise typer.BadParameter("NAME=FOLDER, as in: --extra hospital-b=../b/train", param_hint="--extra")
        if name in found:
            raise typer.BadParameter(f"two folders of the name {name!r}", param_hint="--extra")
        found[name] = Path(folder)
    return found
