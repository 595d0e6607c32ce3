"""The smallest effect that can be shown."""
