"""A small Stable Diffusion from nothing."""
