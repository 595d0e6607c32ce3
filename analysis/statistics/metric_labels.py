"""Metrics as people write them."""

from __future__ import annotations


def metric_in_words(metric: str) -> str:
    """A metric as people write it.

    >>> metric_in_words("auprc:EDEMA"), metric_in_words("macro_f1")
    ('AUPRC of EDEMA', 'macro F1')
    """
    name, _, label = metric.partition(":")
    words = {
        "macro_auroc": "macro AUROC",
        "auprc": "AUPRC",
        "auroc": "AUROC",
        "macro_f1": "macro F1",
        "macro_auprc": "macro AUPRC",
        "mcc": "MCC",
        "brier": "Brier score",
    }
    return words.get(name, name.replace("_", " ")) + (f" of {label}" if label else "")
