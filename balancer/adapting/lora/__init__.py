"""The collection to a LoRA adapter of a large base: caches, layers, learning, looks, and the card."""
