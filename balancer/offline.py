"""Nothing is fetched, nothing is told, and libraries keep quiet: set before any of them is imported."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import MutableMapping

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
SILENT = ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_DISABLE_UPDATE_CHECK")
NO_CODE = "DIFFUSERS_DISABLE_REMOTE_CODE"


def stay_offline(environment: MutableMapping[str, str] = os.environ) -> None:
    """Keep the hub's libraries from the network, whatever the user's own settings are.

    Call it before any of them is imported; processes that are started later inherit it.

    >>> settings = {"HF_HUB_OFFLINE": "0"}
    >>> stay_offline(settings)
    >>> settings["HF_HUB_OFFLINE"], settings["DO_NOT_TRACK"]
    ('1', '1')
    """
    environment.update(dict.fromkeys((*OFFLINE, *SILENT, NO_CODE), "1"))


def go_online(environment: MutableMapping[str, str] = os.environ, *, bars: bool = False) -> None:
    """Let the hub be asked for files, and still tell it nothing: for `balance fetch` alone.

    `bars`: show progress as it is drawn on a terminal.

    >>> settings = {}
    >>> go_online(settings)
    >>> settings["HF_HUB_OFFLINE"], settings["DO_NOT_TRACK"]
    ('0', '1')
    """
    stay_offline(environment)
    environment.update(dict.fromkeys(OFFLINE, "0") | {"HF_HUB_DISABLE_PROGRESS_BARS": "0" if bars else "1"})


def quieten_libraries() -> None:
    """Keep back what libraries say to programmers."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files: findings tell of them
    warnings.filterwarnings("ignore", message=".*joblib will operate in serial mode")  # without /dev/shm; we need none
    warnings.filterwarnings("ignore", message="Dynamo detected a call")
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it looks for CUDA where there is none
