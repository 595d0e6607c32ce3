"""`balance presets`: the known layouts of public collections."""

from __future__ import annotations

from balancer.cli.console import result, result_json, table
from balancer.cli.options import JSON, command


@command()
def presets(*, as_json: bool = JSON) -> None:
    """List the known layouts of public collections, for `balance scan DATA --preset NAME`.

    Example: balance presets
    """
    from balancer.collection.presets import packaged_presets

    known = packaged_presets()
    if as_json:
        result_json({each.name: each.to_json() for each in known})
        return
    rows = [[each.name, ", ".join(each.aliases), each.title, each.licence] for each in known]
    result(table(["name", "also", "collection", "licence (read it at the source)"], rows))
    result()
    result("balance scan DATA --preset NAME; a file of your own of the same form: --preset FILE.yaml")
