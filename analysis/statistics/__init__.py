"""Statistics, a function each."""
