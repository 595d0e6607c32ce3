"""One project: its state, and the runs that change it."""
