"""`balance compare`: did it help?"""

from __future__ import annotations

import typer

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.compare import show_comparison, show_figures, show_validation
from balancer.errors import ComparisonError
from balancer.workspace.judging_settings import CompareSettings


@command(CompareSettings)
def compare(
    settings: CompareSettings,
    *,
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Train nothing; report what the test split can show, and the time needed."
    ),
    metrics_only: bool = typer.Option(
        False,
        "--metrics-only",
        help="Train nothing; compute metrics of the last comparison. Counts as opening the test split.",
    ),
    as_json: bool = JSON,
) -> None:
    """Train a quick classifier with and without the synthetic images: do they help on unseen patients?

    Two arms are named beforehand: strong augmentation with a class-balanced sampler, and pretraining with the synthetic
    images. The test split decides between the two. Every arm has the same number of training steps: twice as
    many as the baseline needs to stop improving. If it is stopped, the same command continues. Where images have several
    findings, a table tells of each whether it was helped or hurt.

    Example: balance compare --quick
    """
    from analysis.comparison.service import compare as run
    from analysis.comparison.service import comparison_figures, preview_compare

    if as_json and (dry_run or settings.validation_only):
        raise ComparisonError(
            needed="a result, for --json",
            found="--dry-run" if dry_run else "--validation-only, which has none",
            next_step="leave --json out: balance compare " + ("--dry-run" if dry_run else "--validation-only"),
        )
    if metrics_only and (dry_run or settings.changed()):
        raise ComparisonError(
            needed="--metrics-only alone: it reads the last comparison with its own settings",
            found="other options with it",
            next_step="balance compare --metrics-only",
        )
    with ConsoleProgress() as progress:
        if dry_run:
            preview_compare(here(), settings, progress=progress)
            return
        if metrics_only:
            figures = comparison_figures(here(), progress=progress)
            result_json(figures.to_json()) if as_json else show_figures(figures)
            return
        found = run(here(), settings, progress=progress)
    if as_json:
        result_json(found.to_json())
    elif found.comparison is None:
        show_validation(found.choice, found.primary)
    else:
        show_comparison(found.comparison, found.place)
