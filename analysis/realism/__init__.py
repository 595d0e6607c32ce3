"""How synthetic images differ from real ones."""
