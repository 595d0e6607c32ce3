"""Every smallest sample size that a statement of this package rests on, each with its reason.

A figure of fewer is not given, or given with a warning; the message names the number that was needed. How many folds
are large enough is decided in `balancer.splits.fold_limit`, since the split needs it too.
"""

# ---- a comparison, and what it could detect

RARE_TEST_PATIENTS = 6
"""Test patients of a class: of five even all five better is not significant (sign test, 2 / 2**5 = 0.06)."""

TEST_IMAGES = 10
"""Test images of a class: of fewer, one image moves its recall by more than a tenth."""

RARE_VALIDATION_PATIENTS = 20
"""Validation patients of the rare class for choosing an arm: of fewer, the best of several is chosen by chance."""

SEEDS = 2
"""Trainings of an arm: one says nothing of how far two trainings differ."""

ADVISED_SEEDS = 5
"""Trainings of an arm: with fewer, Student's t for the seeds (S - 1 degrees of freedom) makes intervals wide."""

SUBGROUP_PATIENTS = 6
"""Patients with, and patients without, the class in a subgroup: the same sign test as `RARE_TEST_PATIENTS`."""

# ---- labels of the collection

CHECKED_PATIENTS = 10
"""Patients of a class whose labels are checked: in five folds a classifier learns from eight of them."""

# ---- real against synthetic images

PROBE_PATIENTS = 10
"""Patients a side (images, where patients are unknown): with 10 and 10 a detector of area 0.95 is found at 1%."""

SHORTCUT_PATIENTS = 10
"""Patients whose images show whether a classifier relies on a trace: the same as for the probe's detectors."""

FIDELITY_IMAGES = 8
"""Images of a half of each side: precision and recall look at the 5th neighbour, and halves must differ."""

HELD_OUT_IMAGES = 30
"""Held-out real images that serve as reference; below, training images are taken, and the result says so."""

READER_IMAGES = 20
"""Images of each kind in a reader study: with fewer, the interval of the accuracy on a kind is wider than 0.4."""

# ---- screening

CALIBRATION_PATIENTS = 199
"""Patients for a copy threshold at 99.5%: n patients support a rate of 1 / (n + 1), and 199 support 0.5%."""

WARNING_PATIENTS = 19
"""Patients for a copy threshold at 95%: 1 / (19 + 1); with fewer there is only a warning."""

QUALITY_IMAGES = 100
"""Real images whose range of sharpness, grey levels and looks is known; with fewer, only plainly broken ones are
rejected, and no model is called unfit."""

EMBEDDING_IMAGES = 100
"""Training images for an embedding of one's own: a network knows fewer by heart."""

LABEL_PATIENTS = 20
"""Patients of a class whose worst 1% is known well enough for the label check."""

PROMPT_PATIENTS = 10
"""Patients of a class with one sex, age group or view: of fewer, nothing is known of how they look together."""
