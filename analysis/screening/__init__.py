"""The checks that a synthetic image must pass."""
