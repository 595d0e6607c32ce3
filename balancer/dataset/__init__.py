"""The balanced folder."""
