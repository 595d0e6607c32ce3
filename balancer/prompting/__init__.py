"""Template packs to prompts."""
