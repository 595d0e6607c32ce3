"""What makes images: the `ImageGenerator` Protocol and its implementations."""
