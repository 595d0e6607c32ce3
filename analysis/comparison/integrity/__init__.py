"""Whether a comparison may be believed."""
