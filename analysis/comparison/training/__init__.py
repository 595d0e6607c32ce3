"""Networks trained on each arm."""
