"""Who may speak to the page's server: the browser that was given this run's token, on this machine, and nobody else."""

from __future__ import annotations

import secrets
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_BODY = 4096  # bytes; an answer has about a hundred
_MAX_ADDRESS = 512
_MAX_HEADERS = 16_384
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Stands before an application: every request without the token, or of a foreign page or host name, gets 403.

    A foreign `Host` means that a name of somebody else's was made to point to this machine (DNS rebinding); a foreign
    `Origin`, that somebody else's page asks. What is larger than any answer can be gets 413, 414 or 431.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.cookie = f"balance-review-{port}"  # cookies know no ports: another run's must not be overwritten

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served")
        request = Request(scope)
        refusal = self._refusal(request)

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if refusal is None and self._is_first(request):
                    headers["Set-Cookie"] = f"{self.cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> PlainTextResponse | None:
        if not (self._is_ours(request) and self._knows_token(request)):
            return PlainTextResponse("Forbidden: use the address that balance review printed.\n", 403)
        if len(request.url.path) + len(request.url.query) > _MAX_ADDRESS:
            return PlainTextResponse("The address is too long.\n", 414)
        if sum(len(name) + len(value) for name, value in request.headers.raw) > _MAX_HEADERS:
            return PlainTextResponse("The headers are too large.\n", 431)
        length = request.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 9) or int(length) > MAX_BODY:
            return PlainTextResponse("The request is too large.\n", 413)
        return None

    def _is_ours(self, request: Request) -> bool:
        host, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        return len(host) == 1 and host[0] in self._hosts and all(origin == f"http://{host[0]}" for origin in origins)

    def _knows_token(self, request: Request) -> bool:
        given = request.cookies.get(self.cookie) or request.headers.get("x-balance-token") or ""
        return self._is_token(given) or self._is_first(request)

    def _is_first(self, request: Request) -> bool:
        """Whether it comes from the address that was printed: the page itself alone, with the token in its query."""
        return request.url.path == "/" and self._is_token(request.query_params.get("token", ""))

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())


async def read_body(request: Request) -> bytes | None:
    """The body of a request, `None` when it is too large; no more than that is read, whatever the request says."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            return None
    return content
