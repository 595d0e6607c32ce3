"""What judges is found by an entry point, also where balance runs without being installed."""

import pytest

from analysis.screening.service import CollectionScreen
from analysis.vision.memorisation_monitor import CopyWatch
from balancer.errors import PluginError
from balancer.plugins import MONITORS, SCREENS
from balancer.workspace.screens import monitor_for, screen_for
from balancer.workspace.settings import AdaptSettings, FillSettings
from balancer.workspace.workspace import Workspace
from tests.support.plugin_site import install


def test_a_screen_and_a_monitor_are_those_of_analysis(tmp_path):
    workspace = Workspace.open(tmp_path)
    assert screen_for(workspace, FillSettings(accept_unscreened=True)) == CollectionScreen(workspace, True)
    assert isinstance(monitor_for(AdaptSettings(base="sd")), CopyWatch)


def test_a_package_that_cannot_be_imported_is_told(monkeypatch, tmp_path):
    broken = {group: {"default": "nowhere:fit"} for group in (SCREENS, MONITORS)}
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "xray-balancer", "9", broken)))  # before the real one
    with pytest.raises(PluginError, match="nowhere:fit"):
        screen_for(Workspace.open(tmp_path), FillSettings())
    with pytest.raises(PluginError, match="nowhere:fit"):
        monitor_for(AdaptSettings(base="sd"))
