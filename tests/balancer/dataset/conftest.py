"""What tests of balanced folders share."""

import pytest


@pytest.fixture(scope="session")
def load_dataset(tmp_path_factory):
    """`load_dataset("imagefolder")` with a cache of its own."""
    home = tmp_path_factory.mktemp("huggingface")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("HF_HOME", home), ("HF_DATASETS_CACHE", home / "datasets"), ("HF_HUB_OFFLINE", "1")):
            patch.setenv(name, str(value))
        import datasets

        cache = str(home / "datasets")
        yield lambda folder: datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)
