"""From predictions to a verdict."""
