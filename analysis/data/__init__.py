"""Images and tables as arrays."""
