"""The collection to a small Stable Diffusion of its own: settings, networks, training, and its card."""
