import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from PIL import Image

from balancer.errors import ReviewError
from tests.support.review_fixtures import PORT, TOKEN, client, judged, opened, prepare, review_desk

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")


@pytest.fixture
def desk(tmp_path):
    prepare(tmp_path, {"NODULE": 3, "NORMAL": 1})
    with opened(tmp_path) as (journal, split):
        yield review_desk(journal, split)


def routes(desk):
    name = desk.overview()[0]["id"]
    fixed = ("/", "/favicon.ico", "/page.js", "/viewer.js", "/page.css", "/cases", "/answer", "/undo", "/finish", "/x")
    return (*fixed, f"/image/{name}", f"/nearest/{name}")


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x"])
def test_every_method_of_every_route_demands_the_token(desk, token):
    browser = client(desk, token=token)
    for route in routes(desk):
        for method in METHODS:
            answer = browser.request(method, route)
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), (method, route)
    assert browser.get("/?token=wrong").status_code == 403
    assert browser.get(f"/cases?token={TOKEN}").status_code == 403  # in an address it opens the page alone


def test_the_printed_address_opens_the_page_and_gives_the_cookie(desk):
    browser = client(desk, token=None)
    answer = browser.get(f"/?token={TOKEN}")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie == f"balance-review-{PORT}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert browser.get("/cases").status_code == 200
    assert client(desk, token=None).get("/cases", headers={"x-balance-token": TOKEN}).status_code == 200
    assert TOKEN not in answer.text


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", ""])
def test_a_foreign_host_is_refused(desk, host):
    for route in routes(desk):
        assert client(desk).get(route, headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1"])
def test_a_foreign_origin_is_refused(desk, origin):
    for method in METHODS:
        for route in routes(desk):
            assert client(desk).request(method, route, headers={"origin": origin}).status_code == 403


def test_its_own_names_and_origin_are_served(desk):
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}"):
        assert client(desk, host=host).get("/cases", headers={"origin": f"http://{host}"}).status_code == 200


def test_every_answer_has_the_headers_that_protect_it(desk):
    for browser in (client(desk), client(desk, token=None)):
        for route in routes(desk):
            headers = browser.get(route).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ")
            assert "unsafe" not in policy
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name",
    ["0" * 32, "x", "..%2f..%2fetc%2fpasswd", "../../etc/passwd", "%2e%2e/%2e%2e/ledger.sqlite", "%00", "a/b", ""],
)
def test_no_name_but_those_of_this_run_finds_an_image(desk, name):
    for kind in ("image", "nearest"):
        answer = client(desk).get(f"/{kind}/{name}")
        assert answer.status_code == 404
        assert b"root:" not in answer.content


def test_an_image_comes_as_its_grey_values(desk, tmp_path):
    browser = client(desk)
    with opened(tmp_path) as (journal, _):
        expected = [np.asarray(Image.open(candidate.path)) for candidate, _ in judged(journal).values()]
    for case in browser.get("/cases").json()["cases"]:
        content = browser.get(f"/image/{case['id']}").content
        assert content[:8] == b"\x20\0\0\0\x20\0\0\0"
        assert any(content[8:] == grey.tobytes() for grey in expected)


def test_what_is_too_large_is_refused(desk):
    browser = client(desk)
    typed = {"content-type": "application/json"}
    assert browser.post("/answer", content=b"x" * 5000, headers=typed).status_code == 413
    assert browser.post("/answer", content=iter([b"{" * 1000] * 5000), headers=typed).status_code == 413
    assert browser.post("/answer", content=b"{}", headers={**typed, "content-length": "9" * 5000}).status_code == 413
    assert browser.get("/cases?" + "x" * 600).status_code == 414


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"id=1", "application/x-www-form-urlencoded", 415),
        (b"no json", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 4000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "application/json", 404),
        (b'{"id": ["x"]}', "application/json", 404),
    ],
)
def test_what_is_no_answer_is_refused_and_nothing_is_written(desk, tmp_path, content, kind, status):
    assert client(desk).post("/answer", content=content, headers={"content-type": kind}).status_code == status
    with opened(tmp_path) as (journal, _):
        assert {verdict.reviewer for _, verdict in judged(journal).values()} == {"copy gate"}


@pytest.mark.parametrize(
    "fields",
    [{}, {"decision": "burn"}, {"decision": 1}, {"decision": ["accept"]}, {"decision": "accept", "realistic": 3}],
)
def test_no_decision_but_the_three(desk, fields):
    name = desk.overview()[0]["id"]
    answer = client(desk).post("/answer", json={"id": name, **fields})
    assert answer.status_code == 400
    assert "accept, reject or review" in answer.json()["why"]


def test_names_with_markup_are_text(tmp_path):
    prepare(tmp_path, {"<script>alert(1)</script>"[:8]: 1, "\"onerror='x": 1})
    with opened(tmp_path) as (journal, split):
        browser = client(review_desk(journal, split, reader='<img src=x onerror="alert(1)">'))
        page, cases = browser.get("/").text, browser.get("/cases")
    assert "<img" not in page
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;" in page
    assert page.count("<script") == 1
    assert cases.headers["content-type"] == "application/json"
    assert {case["label"] for case in cases.json()["cases"]} == {"<script>", "\"onerror='x"}


def test_finish_is_answered_with_what_comes_next(desk):
    assert client(desk).post("/finish", json={}).json() == {"sentences": ["that was all"]}


HOLD = """
import sys
from pathlib import Path
from balancer.store.state_dir import State, locked
with locked(State(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(folder):
    """Another process holds the lock of a state folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, env=environment) as other:
        assert other.stdout.readline() == b"held\n"
        yield
        other.stdin.close()


def test_a_write_that_another_command_blocks_says_who(desk, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.review.sessions._PATIENCE", 0.1)
    name = desk.overview()[0]["id"]
    with held_by_another(tmp_path / ".balance"):
        answer = client(desk).post("/answer", json={"id": name, "decision": "accept"})
    assert answer.status_code == 503
    assert "is using it" in answer.json()["why"]
    assert client(desk).post("/answer", json={"id": name, "decision": "accept"}).status_code == 200


def test_no_address_or_answer_holds_a_path(desk, tmp_path):
    browser = client(desk)
    shown = json.dumps(browser.get("/cases").json()) + browser.get("/").text
    assert str(tmp_path) not in shown
    assert ".png" not in shown


def test_a_port_that_is_taken_is_a_message():
    import socket

    from analysis.review.server import serve

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ReviewError, match="leave --port out"):
            serve(None, port=other.getsockname()[1], ready=print, summary=list)
