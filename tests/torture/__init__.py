"""Attacks on what the tool promises: kills, failing disks, signals, damage. `make torture` runs their long versions."""
