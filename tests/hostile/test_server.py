"""The review server over real HTTP: whatever is not the reader's own browser is refused, and the page goes on."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.support.cli_process import PATIENCE, balance, until
from tests.support.review_fixtures import judged, opened, prepare

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 30)
FOREIGN_HOSTS = (
    "evil.example",
    "127.0.0.1",
    "127.0.0.1:1",
    "localhost",
    "localhost.evil.example:{port}",
    "evil.example:{port}",
    "127.0.0.1:{port}.evil.example",
    "user@127.0.0.1:{port}",
    "[::1]:{port}",
    "0.0.0.0:{port}",
    "127.1:{port}",
    "LOCALHOST:{port}x",
    "",
)
FOREIGN_ORIGINS = (
    "null",
    "http://evil.example",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://127.0.0.1:{port}.evil.example",
    "file://",
    "http://localhost:{port}",
    "chrome-extension://a",
)
TRAVERSALS = (
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/image/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/image/../../ledger.sqlite",
    "/image/%00",
    "/image//etc/passwd",
    "/nearest/..%5c..%5cetc%5cpasswd",
    "//etc/passwd",
    "/page.js/../../../../etc/passwd",
    "/static/x",
    "/.balance/ledger.sqlite",
    "/image/%252e%252e%252f",
)


class Server:
    """The running command, and ways to speak to it."""

    def __init__(self, folder):
        self.folder, self.process = folder, balance(folder, "review", "--reader", "A. Reader")
        address = next(line.strip() for line in self.process.stdout if line.startswith("http"))
        self.port, self.token = urlsplit(address).port, address.rpartition("=")[2]
        self.host = f"127.0.0.1:{self.port}"
        self.cookie = f"balance-review-{self.port}={self.token}"

    def send(self, content, seconds=10.0):
        """The status that raw bytes get; 0 where the connection is closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as line:
            try:
                line.sendall(content)
                answer = line.recv(1 << 16)
            except (ConnectionError, TimeoutError):
                return 0
        return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0

    def ask(self, method, path, body=b"", **headers):
        """The status of one request; `cookie=None` leaves the token out."""
        fields = {"host": self.host, "cookie": self.cookie, "content-length": str(len(body)), **headers}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None),
        ]
        return self.send("\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body)

    def name(self):
        """An image of this run."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        line.request("GET", "/cases", headers={"cookie": self.cookie})
        name = json.loads(line.getresponse().read())["cases"][0]["id"]
        line.close()
        return name


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = Server(prepare(tmp_path_factory.mktemp("review"), {"NODULE": 3, "NORMAL": 1}))
    yield found
    found.process.kill()
    found.process.communicate()


def routes(server):
    fixed = (
        "/",
        "/favicon.ico",
        "/page.js",
        "/viewer.js",
        "/page.css",
        "/cases",
        "/answer",
        "/undo",
        "/finish",
        "/x",
        "*",
    )
    return (*fixed, f"/image/{server.name()}", f"/nearest/{server.name()}", f"http://{server.host}/cases")


def attacks(server):
    """(what it is, status) of every request that must be refused."""
    own = f"http://{server.host}"
    for path in routes(server):
        for method in METHODS:
            for cookie in (
                None,
                "",
                f"balance-review-{server.port}=wrong",
                f"balance-review-{server.port}={server.token[:-1]}",
            ):
                yield f"no token: {method} {path}", server.ask(method, path, cookie=cookie)
        for host in FOREIGN_HOSTS:
            for method in ("GET", "POST"):
                yield f"host {host}", server.ask(method, path, host=host.format(port=server.port))
        for origin in FOREIGN_ORIGINS:
            for method in ("GET", "POST", "OPTIONS"):
                yield (
                    f"origin {origin}: {method} {path}",
                    server.ask(method, path, origin=origin.format(port=server.port)),
                )
        yield "no host", server.ask("GET", path, host=None)
        yield "the token elsewhere", server.ask("GET", f"{path.rstrip('*') or '/x'}x?token={server.token}", cookie=None)
        yield "an upgrade", server.ask("GET", path, cookie=None, upgrade="websocket", connection="Upgrade")
    for path in TRAVERSALS:
        for method in ("GET", "POST"):
            yield f"traversal {path}", server.ask(method, path)
    for size in (4097, 10**8, 10**20, -1, "1, 1", "0x10", "²"):
        yield (
            f"length {size}",
            server.ask("POST", "/answer", origin=own, content_type="application/json", content_length=size),
        )
    yield "a long address", server.ask("GET", "/cases?" + "x" * 600)
    yield "a giant address", server.ask("GET", "/" + "x" * 100_000)
    yield "a giant header", server.ask("GET", "/cases", x="y" * 100_000)
    yield "many headers", server.ask("GET", "/cases", **{f"x{n}": "y" for n in range(5_000)})
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=x",
        "",
    ):
        yield f"a form {kind}", server.ask("POST", "/answer", b"{}", content_type=kind)
    for body in (
        b"[]",
        b"[" * 4000,
        b"\xff",
        b"{",
        b'{"id": 1}',
        b'{"id": "../../x", "decision": "accept"}',
        b"null",
        b"1e999",
    ):
        yield f"a body {body[:9]!r}", server.ask("POST", "/answer", body, content_type="application/json")
    for raw in (
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\0",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n \r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        yield f"raw {raw[:9]!r}", server.send(raw)
    double = f"POST /answer HTTP/1.1\r\nhost: {server.host}\r\ncookie: {server.cookie}\r\n"
    yield "two hosts", server.send(f"{double}host: {server.host}\r\n\r\n".encode())
    yield "two lengths", server.send(f"{double}content-length: 1\r\ncontent-length: 2\r\n\r\n".encode())
    chunked = f"{double}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    yield (
        "an endless body",
        server.send(chunked + b"400\r\n" + b"{" * 1024 + b"\r\n" + (b"400\r\n" + b"{" * 1024 + b"\r\n") * 99),
    )
    yield "a bad chunk", server.send(chunked + b"zz\r\n\r\n")


def test_everything_that_is_not_the_reader_is_refused(server):
    before = {key: verdict for key, (_, verdict) in verdicts(server).items()}
    answers = list(attacks(server))
    assert [each for each in answers if not (each[1] == 0 or 400 <= each[1] < 500)] == []
    assert len(answers) > 1200
    assert {key: verdict for key, (_, verdict) in verdicts(server).items()} == before
    until(lambda: server.ask("GET", "/cases") == 200)


def verdicts(server):
    with opened(server.folder) as (journal, _):
        return judged(journal)


def test_slow_and_half_open_lines_do_not_keep_the_reader_out(server):
    lines = []
    for number in range(80):
        line = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        line.sendall((b"", b"GET /", b"GET / HTTP/1.1\r\nx: ")[number % 3])
        lines.append(line)
    until(lambda: server.ask("GET", "/cases") == 200)
    for line in lines:
        line.close()
