"""Reads the names that each platform gives to files and folders in its exports."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from grader.batch.unpacking import METADATA
from grader.text.safe_text import one_line

MAX_RECEIPT_BYTES = 1 << 16


@dataclass(frozen=True)
class Named:
    """What the name of a file or a folder says about it."""

    user: str
    name: str
    id: str
    file: str
    late: bool = False
    attempt: tuple[int, ...] = ()
    order: int = 0
    is_receipt: bool = False


@dataclass(frozen=True)
class Layout:
    """How a platform names what it exports."""

    title: str
    of_file: Callable[[str], Named | None]
    of_folder: Callable[[str], Named | None]


def recognized(paths: Sequence[Path]) -> Layout | None:
    """The layout that at least half of the names follow."""
    voters = [path for path in paths if path.name.lower() not in (METADATA, "index.html")]
    votes = {layout: sum(read_name(layout, path) is not None for path in voters) for layout in LAYOUTS}
    best = max(LAYOUTS, key=lambda layout: votes[layout])
    return best if votes[best] and 2 * votes[best] >= len(voters) else None


def read_name(layout: Layout, path: Path) -> Named | None:
    """What a file's or folder's name says in a layout; None if it does not follow it."""
    return (layout.of_folder if path.is_dir() and not path.is_symlink() else layout.of_file)(path.name)


_CANVAS = re.compile(
    r"(?P<name>[^_]+)_(?:(?P<late>late)_)?(?P<user>\d+)_(?:(?P<order>\d+)_(?P<file>.+)|(?P<entry>(?:text|link|question_\d+)\.html))",
    re.I | re.S,
)
_ANONYMOUS = re.compile(
    r"(?P<user>anon(?:ymous)?_[a-z0-9]{4,8})_(?:(?P<late>late)_)?(?P<order>\d+)_(?P<file>.+)", re.I | re.S
)
_MOODLE = re.compile(
    r"(?P<name>.+?)_(?P<user>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.+)|_?)", re.I | re.S
)
_BLACKBOARD = re.compile(
    r"(?P<stem>.+?)_attempt_(?P<when>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<receipt>\.txt))", re.I | re.S
)
_GRADESCOPE = re.compile(r"submission_(\d+)")
_BRIGHTSPACE = re.compile(
    r"(?P<user>\d+)-\d+ - (?P<name>.+?) - (?P<when>[A-Z][a-z]{2,8} \d{1,2}, \d{4} \d{1,4} ?[AP]M)", re.S
)


def _canvas(name: str) -> Named | None:
    if match := _ANONYMOUS.fullmatch(name):
        user = match["user"]
        return Named(user, user, user, match["file"], bool(match["late"]), order=_number(match["order"]))
    if (match := _CANVAS.fullmatch(name)) is None:
        return None
    file, order = match["file"] or match["entry"], _number(match["order"])
    return Named(match["user"], match["name"], match["user"], file, bool(match["late"]), order=order)


def _moodle(name: str) -> Named | None:
    if (match := _MOODLE.fullmatch(name)) is None:
        return None
    return Named(match["user"], match["name"], match["user"], match["file"] or name)


def _moodle_file(name: str) -> Named | None:
    named = _moodle(name)
    return named if named is not None and named.file != name else None


def _blackboard(name: str) -> Named | None:
    if (match := _BLACKBOARD.fullmatch(name)) is None:
        return None
    attempt = tuple(map(int, match["when"].split("-")))
    user = match["stem"].rpartition("_")[2]
    # The whole of it tells students apart until it is known where the assignment's name ends.
    return Named(
        match["stem"], user, user, match["file"] or name, attempt=attempt, is_receipt=bool(match["receipt"])
    )


def _gradescope(name: str) -> Named | None:
    match = _GRADESCOPE.fullmatch(name)
    return Named(name, name, match[1], name) if match else None


def _brightspace(name: str) -> Named | None:
    if (match := _BRIGHTSPACE.fullmatch(name)) is None:
        return None
    day, _, clock = match["when"].replace(" AM", "AM").replace(" PM", "PM").rpartition(" ")
    clock = clock[:-2].zfill(4) + clock[-2:]
    attempt: tuple[int, ...] = ()
    for form in ("%b %d, %Y %I%M%p", "%B %d, %Y %I%M%p"):
        try:
            when = datetime.strptime(f"{day} {clock}", form).replace(tzinfo=timezone.utc)
            attempt = (when.year, when.month, when.day, when.hour, when.minute)
        except ValueError:
            continue
    return Named(match["user"], match["name"], match["user"], name, attempt=attempt)


def _never(name: str) -> None:
    return None


LAYOUTS = (
    Layout("Canvas", _canvas, _never),
    Layout("Moodle", _moodle_file, _moodle),
    Layout("Blackboard", _blackboard, _never),
    Layout("Gradescope", _never, _gradescope),
    Layout("Brightspace", _never, _brightspace),
)


def _number(text: str | None) -> int:
    return int(text[:18]) if text else 0


def of_blackboard(by_stem: Mapping[str, list[tuple[Named, Path]]]) -> dict[str, list[tuple[Named, Path]]]:
    """The same with user names, which may hold ``_``: they are what is left of a name without the assignment's."""
    stems = list(by_stem)
    shared = 0
    if len(stems) > 1:
        parts = [stem.split("_") for stem in stems]
        while all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
            shared += 1
    found: dict[str, list[tuple[Named, Path]]] = {}
    for stem, files in by_stem.items():
        user = "_".join(stem.split("_")[shared:]) if len(stems) > 1 else stem.rpartition("_")[2]
        name = user
        for named, path in files:
            if named.is_receipt and (told := _receipt(path)):
                name = told[0] or name
                if told[1] and stem.endswith(f"_{told[1]}"):
                    user = told[1]
        # Whose it is, the whole says the same whoever else hands in.
        found[stem] = [(replace(one, name=name, id=user), path) for one, path in files]
    return found


def _receipt(path: Path) -> tuple[str, str] | None:
    """Name and user name in Blackboard's own file on an attempt, whose first line has them."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_RECEIPT_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return None
    match = re.match(
        r"\s*Name:[ \t]*(?P<name>[^\n(]*?)[ \t]*(?:\((?P<user>[^()\n]+)\))?[ \t]*\r?(?:\n|$)", text
    )
    return (one_line(match["name"][:300]), match["user"] or "") if match else None
