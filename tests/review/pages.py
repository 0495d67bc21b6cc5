"""Every page of the application by a name, for the tests that look at all of them and for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grader.review.classroom import handle_of
from grader.review.web import Site


@dataclass(frozen=True)
class Page:
    """A page. Where only a form leads to it, ``fill`` says by labels what to write there, and ``press`` is the button."""

    address: str
    press: str = ""
    fill: Mapping[str, str] = field(default_factory=dict)

    def open(self, page: Any, base: str) -> None:
        """Show it in a browser."""
        page.goto(f"{base}{self.address}")
        for label, text in self.fill.items():
            page.get_by_label(label).first.fill(text)
        if self.press:
            with page.expect_navigation():
                page.get_by_role("button", name=self.press).first.click()


def pages_of(site: Site, key: str, item: str, finished: str) -> dict[str, Page]:
    """The pages about an item and a student's answer to it; ``finished`` is an item of which nothing is left to grade."""
    klass = site.room.klass
    here = f"{item}/{handle_of(item, key)}"
    pictured = next(each.id for each in klass.items.values() if "image" in each.evidence)
    return {
        "overview": Page("/"),
        "name": Page("/name"),
        "invite": Page("/", "Address for another grader"),
        "answer": Page(f"/item/{here}"),
        "answer-images": Page(f"/item/{pictured}/{handle_of(pictured, key)}"),
        "settle": Page(f"/item/{here}?settle=1"),
        "second": Page(f"/second/item/{here}"),
        "finished": Page(f"/item/{finished}"),
        "answers": Page(f"/answers/{item}"),
        "groups": Page(f"/groups/{item}"),
        "entries": Page(f"/entries/{item}"),
        "preview": Page(f"/entries/{item}", "Preview change"),
        "agreement": Page("/agreement"),
        "causes": Page("/causes"),
        "cause": Page("/causes", "Preview", {"Points back to each": "0.25", "Reason that students read": "A typo."}),
        "grades": Page("/grades"),
        "submission": Page(f"/submission/{key}"),
        "search": Page("/search?q=the"),
        "problem": Page("/item/none"),
        "missing": Page("/nothing"),
    }
