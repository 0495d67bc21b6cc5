"""A class that was judged, with written answers, images and generated text, and a client that was let in."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.testclient import TestClient

from grader.batch.store import Manifest, Member, Store
from grader.grade import Judged
from grader.homework3 import HOMEWORK
from grader.review.app import make_app
from grader.review.classroom import Room, handle_of
from grader.review.web import Site
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.result import Evidence, Result, Versions
from grader.scoring.rubric import load_rubric
from grader.scoring.verdict import Verdict

RUBRIC = load_rubric(HOMEWORK.rubric)
VERSIONS = Versions(grader="1", rubric="1", python="3.12")
BASE = "http://127.0.0.1:8000"
WRITTEN = {
    "1a": (
        r"$h_2 = W_h W_x x_1 + W_x x_2$ and $$y_2 = \phi_y(W_y W_h W_x x_1 + W_y W_x x_2)$$",
        r"$$h_2 = W_x x_2, \quad y_2 = \phi_y(W_y h_2)$$",
        r"$h_2 = W_h h_1 + W_x x_2$",
    ),
    "1d": (
        "The first input is multiplied by $W_h^{T-1}$, so it **vanishes** if all eigenvalues are below 1 and explodes above.",
        "It vanishes.",
        "It stays the same.",
    ),
}


def picture(seed: int = 0, size: tuple[int, int] = (120, 80)) -> str:
    """A small PNG in base64."""
    encoded = io.BytesIO()
    Image.new("RGB", size, ((37 * seed) % 256, 90, 160)).save(encoded, "png")
    return base64.b64encode(encoded.getvalue()).decode()


def evidence_of(number: int) -> dict[str, list[Evidence]]:
    """What the notebook of a student holds."""
    found: dict[str, list[Evidence]] = {}
    for item in RUBRIC.by_hand:
        pieces = []
        for kind in item.evidence:
            if kind == "written_answer":
                given = WRITTEN.get(item.id, (f"An answer to {item.id}.", f"Another answer to {item.id}, in more words.", ""))
                text = given[number % len(given)]
                if text:
                    pieces.append(Evidence(kind=kind, title="text in the notebook", text=text))
            elif kind == "image":
                pieces.append(
                    Evidence(kind=kind, title="image from code cell 7", cell=7, mime="image/png", data=picture(number))
                )
            else:
                text = f"val accuracy {0.4 + number % 3 / 10:.2f}" if kind == "reported_accuracy" else "ROMEO:\nO, speak again."
                pieces.append(Evidence(kind=kind, title="output of code cell 9", cell=9, text=text))
        if pieces:
            found[item.id] = pieces
    return found


def result_of(
    key: str, evidence: dict[str, list[Evidence]], failed: Mapping[str, str] | None = None, **facts: Any
) -> tuple[Result, dict[str, Verdict]]:
    """A result with full marks for what is judged automatically, but for properties that failed, with their messages."""
    wrong = failed or {}
    verdicts = {
        name: Verdict(name, "failed" if name in wrong else "passed", wrong.get(name, "")) for name in RUBRIC.properties
    }
    return compose_result(RUBRIC, Facts(f"{key}.ipynb", VERSIONS, **facts), Findings(verdicts, evidence=evidence)), verdicts


@dataclass(frozen=True)
class Pupil:
    """A student of the made class."""

    key: str
    name: str
    sid: str


def pupils(size: int) -> list[Pupil]:
    """Students with names by which their keys are made."""
    draw = random.Random(3)
    first = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hal", "Ida", "Jon")
    last = ("Abel", "Berg", "Cole", "Diaz", "Egli", "Funk")
    people = []
    for number in range(size):
        name = f"{draw.choice(first)} {draw.choice(last)}"
        people.append(Pupil(f"{name.lower().replace(' ', '-')}-{number}", name, f"{1000 + number:05d}"))
    return people


def make_class(
    folder: Path,
    size: int = 4,
    *,
    evidence: dict[str, dict[str, list[Evidence]]] | None = None,
    names: Sequence[str] = (),
    failed: Mapping[str, str] | None = None,
    absent: int = 0,
    **facts: Sequence[Any],
) -> list[Pupil]:
    """Write the folder of a batch.

    Args:
        folder: where.
        size: how many students.
        evidence: by key, in place of the usual one.
        names: of the first students, in place of the usual ones.
        failed: properties that all but every third student failed, with their messages.
        absent: how many, the last ones, are on the roster alone.
        facts: flags and warnings of every result.
    """
    people = pupils(size)
    people = [Pupil(one.key, names[n] if n < len(names) else one.name, one.sid) for n, one in enumerate(people)]
    members = []
    with Store(folder) as store:
        store.put("rubric.yaml", HOMEWORK.rubric.read_text(encoding="utf-8"))
        for number, one in enumerate(people):
            if number >= size - absent:
                members.append(
                    Member(
                        key=one.key,
                        name=one.name,
                        id=one.sid,
                        file="",
                        digest="",
                        problem="Nothing was handed in.",
                        identity=f"roster:{one.sid}",
                    )
                )
                continue
            given = (evidence or {}).get(one.key, evidence_of(number))
            digest = hashlib.sha256(repr((one.key, given)).encode()).hexdigest()
            member = Member(
                key=one.key,
                name=one.name,
                id=one.sid,
                file=f"{one.key}.ipynb",
                digest=digest,
                identity=f"gradescope:{one.sid}",
                late=number == 1,
            )
            members.append(member)
            wrong = failed if number % 3 != 2 else None
            result, verdicts = result_of(one.key, given, wrong, **{name: tuple(each) for name, each in facts.items()})
            store.keep(digest, "c", Judged(result, verdicts))
        keys = {member.identity: member.key for member in members}
        store.write_manifest(Manifest(context="c", seed="public", members=tuple(members), settings=None, keys=keys))
    return people


class Browser:
    """A browser of a grader: it follows no redirects unless told, and sends what our pages send."""

    def __init__(self, site: Site, who: str = "Tessa") -> None:
        self.site = site
        self.client = TestClient(make_app(site), base_url=BASE, follow_redirects=False)
        self.client.get(f"/?token={site.access.new_token()}")
        if who:
            self.post("/name", {"who": who})

    @property
    def csrf(self) -> str:
        """What forms have to send along."""
        found = re.search(r'name="csrf" (?:content|value)="([^"]+)"', self.get("/name").text)
        assert found is not None
        return found[1]

    def get(self, path: str, **more: Any) -> Any:
        """Open a page."""
        return self.client.get(path, **more)

    def post(self, path: str, data: dict[str, Any] | None = None, *, script: bool = False, **headers: str) -> Any:
        """Send a form, or what the script sends."""
        given = {"origin": BASE, **({"x-grader-review": "1"} if script else {}), **headers}
        return self.client.post(path, data={"csrf": self.csrf, **(data or {})}, headers=given)

    def grade(self, key: str, item: str = "1a", *entries: str, **data: Any) -> Any:
        """Save a grade as the script does."""
        return self.post(f"/item/{item}/{handle_of(item, key)}/grade", {"entry": list(entries), **data}, script=True)


def site_of(folder: Path, archive: Path | None = None) -> Site:
    """A class that is served."""
    return Site(Room(folder, archive))
