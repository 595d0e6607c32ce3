from analysis.screening.memorisation import blame


def test_an_adapter_that_copies_is_named_as_the_cause():
    why = blame([99.0] * 20 + [40.0] * 80, queries=600, near=30)
    assert why.startswith("the model copies: 20 of 100 candidates")
    assert "(30 of 600)" in why


def test_what_real_images_do_too_is_no_cause():
    assert blame([99.0] * 5 + [40.0] * 95, queries=600, near=30) == ""
    assert blame([95.0] * 100, queries=600, near=30) == ""


def test_two_images_prove_nothing():
    assert blame([99.0, 20.0], queries=600, near=30) == ""
    assert blame([], queries=600, near=30) == ""
