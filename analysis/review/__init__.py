"""The page on which a specialist accepts or rejects synthetic images, or tries to tell them from real ones."""
