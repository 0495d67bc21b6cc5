"""What all pages share: the request's grader and form, the templates, and how an action is answered."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from grader.errors import GraderError, UsageError
from grader.report.terminal import points as shown_points
from grader.review.classroom import NotThere, Room
from grader.review.desk import Skipped
from grader.review.prose import prose
from grader.review.security import Access, Session

HERE = Path(__file__).resolve().parent
CSRF = "csrf"
_SCRIPT = "x-grader-review"
"""The header by which our script asks for JSON."""


@dataclass
class Site:
    """A class that is served, and who is let in."""

    room: Room
    access: Access = field(default_factory=Access)
    skipped: Skipped = field(default_factory=Skipped)


@dataclass(frozen=True)
class Call:
    """A request by somebody who was let in, with its form's fields; ``entries`` are the boxes that were ticked."""

    site: Site
    session: Session
    request: Request
    form: Mapping[str, str]
    entries: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    """Members of a group that were ticked."""

    @property
    def who(self) -> str:
        """The grader's name."""
        return self.session.who

    @property
    def path(self) -> Mapping[str, str]:
        """The parts of the address."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """What the address asks for."""
        return self.request.query_params

    @property
    def by_script(self) -> bool:
        """Whether our script sent it, which wants no page."""
        return _SCRIPT in self.request.headers

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page; ``values`` are for its template."""
        return HTMLResponse(rendered(template, self, **values), status)

    def done(self, message: str, back: str = "", **values: Any) -> Response:
        """The answer to an action that is on disk: JSON for the script, else the page to go on with."""
        if self.by_script:
            return JSONResponse({"message": message, **values})
        target = self.form.get("back", "") or back
        is_local = target.startswith("/") and not target.startswith(("//", "/\\"))
        return RedirectResponse(target if is_local else "/", 303)


View = Callable[[Call], Response]


def endpoint(site: Site, view: View, *, named: bool = True) -> Callable[[Request], Any]:
    """The function that Starlette calls for a view, in a thread; ``named`` asks for the grader's name first."""

    async def answer(request: Request) -> Response:
        session: Session = request.state.session
        form: FormData | dict[str, str] = {}
        if request.method == "POST":
            form = await request.form(max_files=0, max_fields=4000)
            given = request.headers.get("x-csrf") or form.get(CSRF) or ""
            if not isinstance(given, str) or not hmac.compare_digest(given.encode(), session.csrf.encode()):
                return PlainTextResponse("The form is too old. Reload the page.", 403)
        if named and not session.who:
            return RedirectResponse("/name", 303)
        listed = form.multi_items() if isinstance(form, FormData) else []
        fields = {name: value for name, value in listed if isinstance(value, str)}
        ticked = {
            box: tuple(value for name, value in listed if name == box and isinstance(value, str))
            for box in ("entry", "member")
        }
        call = Call(site, session, request, fields, ticked["entry"], ticked["member"])
        return await run_in_threadpool(_answered, view, call)

    return answer


def _answered(view: View, call: Call) -> Response:
    with call.site.room.steady():
        try:
            return view(call)
        except NotThere as error:
            return _failed(call, str(error), 404)
        except UsageError as error:
            return _failed(call, str(error), 400)
        except GraderError as error:
            return _failed(call, str(error), 500)


def _failed(call: Call, message: str, status: int) -> Response:
    if call.by_script:
        return JSONResponse({"problem": message}, status)
    return call.page("problem.html", status, problem=message)


def rendered(template: str, call: Call, **values: Any) -> str:
    """A template filled in; everything is escaped unless `prose` made it."""
    klass = call.site.room.klass
    return _ENVIRONMENT.get_template(template).render(
        title_of_class=klass.graded.rubric.title, who=call.who, csrf=call.session.csrf, call=call, **values
    )


def standing(template: str) -> str:
    """A template that needs nothing of a class or a grader."""
    return _ENVIRONMENT.get_template(template).render()


def duration(left: timedelta | None) -> str:
    """A length of time in words: `2 h 5 min`."""
    if left is None:
        return "unknown"
    if left < timedelta(minutes=1):
        return "< 1 min"
    minutes = -(-left.total_seconds() // 60)
    hours, rest = divmod(int(minutes), 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def moment(at: datetime) -> str:
    """A time in this machine's zone, to the minute."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M")


def signed(points: float) -> str:
    """Points as a change: `+0.5`, `-1`, `0`."""
    return "0" if not points else ("-" if points < 0 else "+") + shown_points(abs(points))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(points=shown_points, signed=signed, prose=prose, duration=duration, moment=moment)
    return environment


_ENVIRONMENT = _environment()
