"""`balance compare`: did it help?"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from balancer import __version__
from balancer.cli.benches import Bench, Order, counts_of, cross_fitted, redrawn
from balancer.cli.console import ConsoleProgress, here, message, result_json
from balancer.cli.costing import training_cost
from balancer.cli.origins import not_repeated, order_key
from balancer.cli.views.compare import save_metrics, show_comparison, show_left_out, show_validation
from balancer.cli.workplaces import fold_errands, redraw_errands, show_cost
from balancer.errors import ComparisonError
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.comparison.inference.result import Comparison
    from analysis.comparison.inference.selection import Choice
    from analysis.comparison.inputs.study import Outcomes
    from analysis.comparison.training.arms import Arm

_FEW = "few free remedies were compared (--arm): one that was left out may be better"
_NEEDS = ("synthetic", "unscreened", "reconstructed")


def compare(
    folder: Path = typer.Argument(None, help="The balanced folder (default: that of the last fill)."),
    quick: bool = typer.Option(False, "--quick", help="A sensible few of the arms."),
    arm: list[str] = typer.Option(None, help="Only this arm and what it is measured against; may be repeated."),
    seeds: int = typer.Option(5, min=1, help="Trainings of each arm; fewer than 5 say little."),
    steps: int = typer.Option(600, min=1, help="Training steps, the same in every arm."),
    backbone: str = typer.Option("small", help="small, frozen, or a network of torchvision with its --weights."),
    weights: Path = typer.Option(None, help="Its weights, as .safetensors."),
    size: int = typer.Option(None, min=16, help="Side in pixels (default: 64; 224 with --weights)."),
    recipe: str = typer.Option("strong", help="How arms with synthetic images train: strong augmentation, or plain."),
    label: str = typer.Option(None, help="The class whose AUPRC decides, named beforehand (default: the rarest)."),
    extra: list[str] = typer.Option(None, help="NAME=FOLDER: other real images, as an arm of their own."),
    cross_fit: int = typer.Option(None, min=2, help="Adapt, fill and train anew in each of so many folds by patient."),
    redraw: int = typer.Option(1, min=1, help="Fill with as many generator seeds as --seeds: their luck counts too."),
    validation_only: bool = typer.Option(
        False, "--validation-only", help="Train and choose, and leave the test part closed."
    ),
    force: bool = typer.Option(False, "--force", help="Go on despite leaks (every figure is INVALID) or few images."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Train nothing; say what the test part can show, and cost."),
    workers: int = typer.Option(None, min=1, help="Trainings at once (default: as many as there are cores)."),
    seed: int = typer.Option(0, min=0, help="Same seed, same result."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Train a quick classifier with and without the synthetic images: do they help on unseen patients?

    Every arm has the same number of training steps. The best free remedy and the best use of the synthetic images are
    chosen on the validation part; the test part decides between the two. Stopped, it goes on where it was.

    Example: balance compare --quick
    """
    from analysis.comparison.inputs.build_study import Wanted
    from analysis.comparison.training.backbones import find_learner
    from analysis.comparison.training.runs import RunSettings
    from analysis.power.detectable_effect import measure_power

    _require_one_way(folder, cross_fit, redraw, seeds)
    if as_json and (dry_run or validation_only):
        raise ComparisonError(
            needed="a result, for --json",
            found="--dry-run" if dry_run else "--validation-only, which has none",
            next_step="leave --json out: balance compare " + ("--dry-run" if dry_run else "--validation-only"),
        )
    extras = _extras(extra or ())
    _require_arms(arm or (), extras)
    learner = find_learner(backbone, weights=weights, side=size, steps=steps, device=device)
    settings = RunSettings(learner, steps, tuple(range(seed, seed + seeds)), _recipe(recipe))
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
        arms, left_out = _train(order, bench)
        if validation_only:
            show_validation(_on_validation(order, bench, arms), f"auprc:{bench.study.rare}")
            return
        told = power.out_of_fold_json if cross_fit else power.as_json
        found = _conclude(order, bench, arms, left_out, told)
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


def _train(order: Order, bench: Bench) -> tuple[tuple[Arm, ...], Mapping[str, str]]:
    """Train what is not trained yet; gives back the arms, and of those that are left out, why."""
    from analysis.comparison.training.arms import choose_arms
    from analysis.comparison.training.replicates import run_legs

    how: dict[str, Any] = {"quick": order.quick, "only": order.only or None, "recipe": order.settings.recipe}
    chosen = [choose_arms(leg.study, order.settings.learner, **how) for leg in bench.legs]
    left_out = {name: why for _, some in chosen for name, why in some.items()}
    arms = tuple(each for each in chosen[0][0] if each.name not in left_out)
    show_left_out(left_out)
    watch = ConsoleProgress()
    run_legs(bench.legs, arms, order.settings, order.home, watch.start, workers=order.workers)
    watch.close()
    return arms, left_out


def _on_validation(order: Order, bench: Bench, arms: Sequence[Arm]) -> Choice:
    from analysis.comparison.inference.selection import choose

    outcomes = bench.outcomes(order, arms, "validation")
    return choose(outcomes, {each.name: each.kind for each in arms}, f"auprc:{bench.study.rare}")


def _conclude(
    order: Order, bench: Bench, arms: Sequence[Arm], left_out: Mapping[str, str], power: Mapping[str, Any]
) -> Comparison:
    """Open the test part, which is counted, and say what it comes to."""
    from analysis.comparison.inference.result import Facts, conclude
    from analysis.comparison.training.arms import counterpart
    from analysis.comparison.training.replicates import keys

    session, split = order.session, order.session.split.sha256
    session.ledger.add_opening(session.collection, split, _known_by(bench, keys(bench.legs, order.settings), arms))
    validation, test = (bench.outcomes(order, arms, part) for part in ("validation", "test"))
    facts = Facts(
        stamps=(*bench.stamps, *order.settings.learner.stamps, *([_FEW] if order.only else [])),
        left_out=left_out,
        train=counts_of(bench),
        power=power,
        exchange=None if isinstance(test, list) else _exchange(order, bench, arms, test),
        openings=session.ledger.openings(session.collection, split),
        settings={
            **order.settings.facts(),
            "seeds": list(order.settings.seeds),
            **_origin(order, bench),
            **_chosen_on(order, bench),
        },
        version=__version__,
    )
    watch = ConsoleProgress()
    found = conclude(
        validation,
        test,
        {each.name: each.kind for each in arms},
        facts,
        alike=counterpart(order.settings.recipe, order.settings.learner).name,
        progress=watch.phase,
    )
    watch.close()
    return found


def _exchange(order: Order, bench: Bench, arms: Sequence[Arm], test: Outcomes) -> Mapping[str, Any] | None:
    """What the synthetic images are worth in real ones, where there is one study to draw a learning curve from."""
    from analysis.comparison.inference.real_image_equivalent import exchange_rate
    from analysis.comparison.inference.text import whose_curve
    from analysis.comparison.training.arms import counterpart
    from analysis.comparison.training.replicates import learning_curve

    choice = _on_validation(order, bench, arms)
    if not order.has_curve or len(bench.legs) > 1 or choice.synthetic is None:
        return None
    watch = ConsoleProgress()
    reference = next(each for each in arms if each.name == choice.free)
    points = learning_curve(bench.legs[0], reference, order.settings, order.home, watch.start, workers=order.workers)
    watch.close()
    if len({point.images for point in points}) < len(points):  # so few that fractions of them are the same
        return None
    found = exchange_rate(test, choice.synthetic, points).as_json
    whose = whose_curve(choice.free, choice.synthetic, counterpart(order.settings.recipe, order.settings.learner).name)
    return {**found, "reference": choice.free, "sentence": f"{found['sentence']} {whose}"}


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
    from analysis.comparison.training.runs import digest

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
