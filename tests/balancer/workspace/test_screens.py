"""What judges is found by an entry point, also where balance runs without being installed."""

from importlib.metadata import EntryPoint

import pytest

from analysis.screening.service import CollectionScreen
from analysis.vision.memorisation_monitor import CopyWatch
from balancer.errors import ModelError, ScreenError
from balancer.workspace import screens
from balancer.workspace.screens import monitor_for, screen_for
from balancer.workspace.settings import AdaptSettings, FillSettings
from balancer.workspace.workspace import Workspace


def test_a_screen_and_a_monitor_are_those_of_analysis(tmp_path):
    workspace = Workspace.open(tmp_path)
    assert screen_for(workspace, FillSettings(accept_unscreened=True)) == CollectionScreen(workspace, True)
    assert isinstance(monitor_for(AdaptSettings(base="sd")), CopyWatch)


def test_a_package_that_cannot_be_imported_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(screens, "entry_points", lambda group, name: [EntryPoint(name, "nowhere:fit", group)])
    with pytest.raises(ScreenError, match="nowhere:fit"):
        screen_for(Workspace.open(tmp_path), FillSettings())
    with pytest.raises(ModelError, match="nowhere:fit"):
        monitor_for(AdaptSettings(base="sd"))
