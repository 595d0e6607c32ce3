"""Turn an imbalanced, labelled X-ray collection into a balanced one, every added image traceable."""

__version__ = "0.1.0"
