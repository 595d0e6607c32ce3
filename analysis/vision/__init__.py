"""Networks and image comparison."""
