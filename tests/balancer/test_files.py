import errno

import pytest

from balancer.files import write_whole


def test_a_file_is_written_in_place_of_another(tmp_path):
    for content in (b"one", b"two"):
        write_whole(tmp_path / "page.html", content)
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("page.html", content)]


def test_a_write_that_fails_leaves_nothing_and_what_was_there(tmp_path):
    (tmp_path / "page.html").write_bytes(b"one")
    with pytest.raises(OSError, match="File too large"):
        write_beyond_the_limit(tmp_path / "page.html")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("page.html", b"one")]


def test_a_file_that_cannot_take_its_place_leaves_nothing(tmp_path):
    (tmp_path / "page.html").mkdir()
    (tmp_path / "page.html" / "of-theirs").touch()
    with pytest.raises(OSError) as failed:  # noqa: PT011 - which one is looked at
        write_whole(tmp_path / "page.html", b"one")
    assert failed.value.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def write_beyond_the_limit(path):
    """The system refuses more than a thousand bytes, as a full disk would."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    signal = pytest.importorskip("signal")
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        write_whole(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)
