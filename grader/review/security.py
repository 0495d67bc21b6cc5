"""Who may ask, and what a page may do: one-time links, a strict cookie, Host and Origin, and the content security policy."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grader.review.signed_in import SignedIn

COOKIE = "grader_review"
TOKEN = "token"
MOST_BYTES = 1 << 20
"""Of a request's body."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer, with which browsers send no origin along with a form.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.I)
_WELCOME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Grading</title>
<link rel="icon" href="/static/icon.svg">
<meta http-equiv="refresh" content="0; url=/"></head><body><p><a href="/">Start grading</a></p></body></html>"""


@dataclass
class Session:
    """A browser that was let in: what its forms must send along, and the name that its grader gave."""

    cookie: str
    who: str = ""

    @property
    def csrf(self) -> str:
        """Follows from the cookie, so that an open page can go on after a restart."""
        return hmac.new(self.cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


@dataclass
class Access:
    """The one-time tokens that are still good, and the sessions that were opened with others.

    ``signed_in`` remembers sessions beyond the end of the server. Tokens end with it: the next start prints new ones.
    """

    tokens: set[str] = field(default_factory=set)
    sessions: dict[str, Session] = field(default_factory=dict)
    signed_in: SignedIn | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new_token(self) -> str:
        """A token that lets in one browser, once."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self.tokens.add(token)
        return token

    def redeem(self, token: str) -> str | None:
        """The value of the cookie of a new session; None for a token that is unknown or was used."""
        with self._lock:
            known = next((one for one in self.tokens if hmac.compare_digest(one.encode(), token.encode())), None)
            if known is None:
                return None
            self.tokens.remove(known)
            session = Session(secrets.token_urlsafe(32))
            self.sessions[session.cookie] = session
            self._remember(session)
            return session.cookie

    def session(self, cookie: str) -> Session | None:
        """The session of a cookie's value."""
        known = self.sessions.get(cookie)
        if self.signed_in is None or not cookie:
            return known
        with self._lock:
            if known is None and (who := self.signed_in.known(cookie)) is not None:
                known = self.sessions.setdefault(cookie, Session(cookie, who))
            if known is not None:
                self.signed_in.used(cookie)
        return known

    def name(self, session: Session, who: str) -> None:
        """Remember the name that a grader gave."""
        with self._lock:
            session.who = who
            self._remember(session)

    def _remember(self, session: Session) -> None:
        if self.signed_in is not None:
            self.signed_in.remember(session.cookie, session.who)


class Guard:
    """ASGI middleware that refuses whatever does not come from one of its own pages."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with its session in ``scope["state"]``."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    given[name] = value
                given.setdefault("cache-control", "no-store")
            await send(message)

        response = self._refusal(scope, headers) or self._entry(scope, headers)
        if response is None:
            scope.setdefault("state", {})["session"] = self._session(headers)
            await self._app(scope, receive, send_guarded)
        else:
            await response(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Why a request is refused whoever sends it; None if it is not."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not _HOST.fullmatch(host):
            return _refused("This server answers under 127.0.0.1 and localhost only.")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not _is_entry(scope):
            return _refused("Another site sent you here. Open the address that the terminal shows.")
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return PlainTextResponse("Method not allowed", 405)
        if headers.get("origin", "") != f"http://{host}":
            return _refused("The request does not come from a page of this server.")
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return PlainTextResponse("The request is too large.", 413)
        return None

    def _session(self, headers: Headers) -> Session | None:
        return self._access.session(_cookies(headers).get(cookie_name(headers.get("host", "")), ""))

    def _entry(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a one-time link, or to somebody without a session; None for somebody with one."""
        if _is_entry(scope):
            token = parse_qs(scope["query_string"].decode("latin-1"))[TOKEN][0]
            cookie = self._access.redeem(token)
            if cookie is not None:
                # Not a redirect: after one from another program, browsers would hold the strict cookie back.
                response = HTMLResponse(_WELCOME)
                response.set_cookie(cookie_name(headers.get("host", "")), cookie, httponly=True, samesite="strict", path="/")
                return response
        if self._session(headers) is None:
            return _refused("Open the address that the terminal shows. Each address works once, in one browser.")
        return None


def cookie_name(host: str) -> str:
    """The cookie's name, which tells servers on other ports apart, as browsers do not."""
    return f"{COOKIE}_{host.rpartition(':')[2] if host[-1:].isdigit() else '80'}"


def _is_entry(scope: Scope) -> bool:
    return (
        scope["method"] == "GET" and scope["path"] == "/" and TOKEN in parse_qs(scope["query_string"].decode("latin-1"))
    )


def _cookies(headers: Headers) -> Mapping[str, str]:
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    return {name: value for name, _, value in pairs}


def _refused(reason: str) -> Response:
    return PlainTextResponse(reason, 403)
