"""`balance demo`: all of it once, on radiographs of nobody."""

from __future__ import annotations

from contextlib import chdir

from balancer.cli.console import ConsoleProgress, here, result, result_json, shown
from balancer.cli.options import JSON, command
from balancer.cli.views.demo import demo_json, show_step
from balancer.workspace.judging_settings import DemoSettings


@command(DemoSettings)
def demo(settings: DemoSettings, *, as_json: bool = JSON) -> None:
    """Scan, fill, verify, compare and report on a small collection that is drawn first. It takes a few minutes.

    Nothing outside its folder is written. If it is stopped, the same command continues.

    Example: balance demo
    """
    from examples.demo import demo as run

    with ConsoleProgress() as progress:
        steps, done = run(settings, progress=progress), []
        with chdir(settings.place):  # what is printed is then as if it were typed there
            for step in steps:
                progress.close()
                done.append(step)
                if not as_json:
                    show_step(here(), step)
    page = done[-1].page
    if as_json:
        result_json(demo_json(done, shown(page)))
        return
    result(f"\nLook at {shown(page)}: the verdict, and real beside synthetic, class by class.")
    if not settings.bad:
        result("To see the other answer: balance demo --bad")
