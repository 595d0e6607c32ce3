"""Examples that run on nobody's images: drawn phantoms and what is trained on them."""
