import pandas as pd

from balancer.collection.crosstabs import crosstabs


def test_classes_by_sex_age_group_and_view_as_images_and_as_patients():
    rows = [("b", "p1", "female", 3.0, "PA"), ("b", "p1", "female", 70.0, "AP"), ("a", "p2", None, None, "oblique")]
    images = pd.DataFrame(rows, columns=["label", "patient", "sex", "age", "view"])
    assert crosstabs(images) == {
        "sex": {"a": {"female": (0, 0), "unknown": (1, 1)}, "b": {"female": (2, 1), "unknown": (0, 0)}},
        "age": {
            "a": {"0-4": (0, 0), "65+": (0, 0), "unknown": (1, 1)},
            "b": {"0-4": (1, 1), "65+": (1, 1), "unknown": (0, 0)},
        },
        "view": {
            "a": {"PA": (0, 0), "AP": (0, 0), "oblique": (1, 1)},
            "b": {"PA": (1, 1), "AP": (1, 1), "oblique": (0, 0)},
        },
    }


def test_of_what_nothing_is_known_there_is_no_table():
    images = pd.DataFrame({"label": ["a"], "patient": [None], "sex": [None], "age": [float("nan")], "view": ["PA"]})
    assert list(crosstabs(images)) == ["view"]
