"""The application: which address shows or records what."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from grader.review import causes, entries, formula, grading, groups, overview, submissions
from grader.review.security import Guard
from grader.review.web import HERE, Site, View, endpoint, standing


def make_app(site: Site) -> ASGIApp:
    """The guarded application of a class."""
    # Its own pages for errors say nothing of what failed.
    handlers = {404: lambda request, error: HTMLResponse(standing("missing.html"), 404)}
    return Guard(Starlette(routes=routes_of(site), exception_handlers=handlers), site.access)


def routes_of(site: Site) -> list[BaseRoute]:
    """What each address shows or records."""

    def get(path: str, view: View, *, named: bool = True) -> Route:
        return Route(path, endpoint(site, view, named=named), methods=["GET"])

    def post(path: str, view: View, *, named: bool = True) -> Route:
        return Route(path, endpoint(site, view, named=named), methods=["POST"])

    answer = "/item/{item}/{handle}"
    return [
        get("/", overview.show),
        get("/name", overview.ask_name, named=False),
        post("/name", overview.set_name, named=False),
        post("/invite", overview.invite),
        get("/search", overview.search),
        get("/answers/{item}", overview.answers),
        get("/agreement", overview.agreement),
        get("/grades", overview.grades),
        get("/second", overview.next_second),
        get("/item/{item}", grading.next_in_item),
        get(answer, grading.show),
        post(f"{answer}/grade", grading.save),
        post(f"{answer}/reveal", grading.reveal),
        post(f"{answer}/note", grading.note),
        post(f"{answer}/request", grading.ask_regrade),
        post(f"{answer}/answer", grading.answer_regrade),
        post(f"{answer}/pages", grading.choose_pages),
        post(f"{answer}/formula", formula.check),
        get(answer + "/image/{number:int}", grading.image),
        get(answer + "/page/{number:int}", grading.page),
        get(f"/second{answer}", grading.show_second),
        post(f"/second{answer}/grade", grading.save_second),
        post("/undo", grading.undo),
        post("/keep", grading.keep),
        get("/groups/{item}", groups.show),
        post("/groups/{item}", groups.grade),
        get("/entries/{item}", entries.show),
        post("/entries/{item}", entries.change),
        get("/causes", causes.show),
        post("/causes/{key}", causes.decide),
        get("/submission/{key}", submissions.show),
        post("/submission/{key}/{what}", submissions.decide),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
