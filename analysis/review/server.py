"""The page's server: a few routes over a desk, on this machine alone, until the reader has finished."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import uvicorn
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from analysis.review.request_guard import Guard, read_body
from analysis.review.sessions import Desk, Refusal
from balancer.errors import BalanceError, ImageError, ReviewError, StateError

_SCRIPTS = {"/page.js": "text/javascript", "/viewer.js": "text/javascript", "/page.css": "text/css"}
_STATUS = {StateError: 503, ImageError: 410}
HOST = "127.0.0.1"
_PATIENCE = 10.0  # seconds


class _Impatient(H11Protocol):
    """Ends a line on which no whole request comes: as many such lines as are served would keep the reader out."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in its base
        super().connection_made(transport)
        self._last: RequestResponseCycle | None = None
        self._look = self.loop.call_later(_PATIENCE, self._end_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()
        super().connection_lost(exc)

    def _end_if_idle(self) -> None:
        if self.cycle is self._last and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
            return
        self._last = self.cycle
        self._look = self.loop.call_later(_PATIENCE, self._end_if_idle)


_SETTINGS: Mapping[str, Any] = {
    **{"http": _Impatient, "ws": "none", "lifespan": "off", "loop": "asyncio", "interface": "asgi3"},
    **{"log_config": None, "log_level": "error", "access_log": False},
    **{"server_header": False, "date_header": False, "proxy_headers": False},
    **{"limit_concurrency": 64, "timeout_graceful_shutdown": 3, "h11_max_incomplete_event_size": 16_384},
}


class Page:
    """The routes over a desk. `end` is called when the reader has finished; its sentences are shown to the reader."""

    def __init__(self, desk: Desk, end: Callable[[], Sequence[str]]) -> None:
        self._desk, self._end = desk, end
        self._files = {path: _packaged(path.removeprefix("/")) for path in _SCRIPTS}
        environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(_packaged("page.html").decode())

    def app(self) -> Starlette:
        """The application, which nobody may reach but through a `Guard`."""
        routes = [
            Route("/", self._page),
            Route("/favicon.ico", self._nothing),
            *(Route(path, self._file) for path in _SCRIPTS),
            Route("/cases", self._cases),
            Route("/image/{name}", self._image),
            Route("/nearest/{name}", self._nearest),
            Route("/answer", self._answer, methods=["POST"]),
            Route("/undo", self._undo, methods=["POST"]),
            Route("/finish", self._finish, methods=["POST"]),
        ]
        handlers: Mapping[Any, Any] = {Refusal: _refused, StateError: _refused, ImageError: _refused}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        return app

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(self._template.render(blinded=self._desk.blinded, reader=self._desk.reader))

    async def _nothing(self, request: Request) -> Response:
        return Response(status_code=204)

    async def _file(self, request: Request) -> Response:
        path = request.url.path
        return Response(self._files[path], media_type=_SCRIPTS[path])

    async def _cases(self, request: Request) -> Response:
        return JSONResponse({"blinded": self._desk.blinded, "cases": self._desk.overview()})

    async def _image(self, request: Request) -> Response:
        pixels = await run_in_threadpool(self._desk.pixels, request.path_params["name"])
        return Response(pixels, media_type="application/octet-stream")

    async def _nearest(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._desk.nearest, request.path_params["name"]))

    async def _answer(self, request: Request) -> Response:
        fields = await _fields(request)
        name = fields.get("id")
        await run_in_threadpool(self._desk.answer, name if isinstance(name, str) else "", fields)
        return JSONResponse({})

    async def _undo(self, request: Request) -> Response:
        await _fields(request)
        return JSONResponse(await run_in_threadpool(self._desk.undo))

    async def _finish(self, request: Request) -> Response:
        await _fields(request)
        return JSONResponse({"sentences": list(await run_in_threadpool(self._end))})


def serve(desk: Desk, *, port: int, ready: Callable[[str], None], summary: Callable[[], Sequence[str]]) -> None:
    """Serve the page until the reader finishes or a signal comes; `ready` is told the address, with its token.

    `port` 0 takes a free one.

    Raises:
        ReviewError: the port is taken or may not be used.
    """
    listener = _listen(port)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(32)

    def end() -> Sequence[str]:
        sentences = summary()  # before the server has seconds left
        server.should_exit = True
        return sentences

    server = uvicorn.Server(uvicorn.Config(Guard(Page(desk, end).app(), port=port, token=token), **_SETTINGS))
    with listener:
        ready(f"http://{HOST}:{port}/?token={token}")
        server.run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ReviewError(
            needed=f"a free port on {HOST}",
            found=f"{port}: {getattr(error, 'strerror', None) or error}",
            next_step="choose another port, or leave --port out to use a free one",
        ) from error
    return listener


async def _fields(request: Request) -> dict[str, Any]:
    """The JSON object of a request; no form of another page can send one."""
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415)
    body = await read_body(request)
    if body is None:
        raise HTTPException(413)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Refusal(400, "A request is one JSON object.")
    return fields


async def _refused(_: Request, error: Exception) -> Response:
    if isinstance(error, BalanceError):
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        return JSONResponse({"why": f"{error.found}: {error.next_step}"}, status)
    return JSONResponse({"why": str(error)}, error.status if isinstance(error, Refusal) else 500)


def _packaged(name: str) -> bytes:
    return files("analysis.review").joinpath(name).read_bytes()
