"""The page's templates: whatever is put into one is text, and escaped in HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_eval_context, select_autoescape

from analysis.report.charts import Chart
from analysis.report.formatting import clean, count, figure, number
from analysis.statistics.metric_labels import metric_in_words
from balancer.text import many

Draw = Callable[[Chart], str]


def render(name: str, draw: Draw = Chart.inline, **shown: Any) -> str:
    """A template with what it shows; `draw` makes what stands for a figure.

    >>> render("repeat.html", lines=["balance scan <xrays>"]).splitlines()[-1]
    '<pre class="commands"><code>balance scan &lt;xrays&gt;</code></pre>'
    """
    return environment(draw).get_template(name).render(**shown)


@cache
def environment(draw: Draw) -> Environment:
    """The templates with the filters that show numbers."""
    found = Environment(
        loader=PackageLoader("analysis.report"),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_cleaned,
    )
    filters: Mapping[str, Callable[..., Any]] = {
        **{"count": count, "draw": draw, "figure": figure, "many": many, "metric": metric_in_words, "number": number},
        "oneline": lambda text: " ".join(text.split()),
    }
    found.filters.update(filters)
    return found


@pass_eval_context
def _cleaned(context: Any, value: Any) -> Any:
    """A value without signs that a page must not obey; in running text without ends of lines."""
    if type(value) is not str:  # what a template marks as safe is cleaned already
        return value
    return clean(value) if context.autoescape else clean(value).replace("\n", " ")
