"""The students of a class, with everything that platforms may know them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from grader.batch import roster
from grader.batch.store import Manifest, Member


@dataclass(frozen=True)
class Student:
    """A row of the class, with identifiers exactly as they were handed in.

    Args:
        name: as the export or the roster has it.
        sid: the id that the export gives: Canvas' number, Moodle's participant, the SID on Gradescope.
        email: empty where it is not known, as are the following.
        login: the name to log in with.
        section: of the course.
        ids: every id that a roster gives, in its order.
        platform: whose export the submission comes from, such as ``canvas``; empty where that is not known.
        handed_in: whether anything was handed in beside a PDF.
        is_late: whether the export says that it was handed in late.
        late_by: how late it was; None where nobody said.
        notebook: the digest of the notebook; empty where none can be read.
        pdf: the digest of the PDF; empty where none was handed in, or no review was given the PDFs.
    """

    name: str
    sid: str = ""
    email: str = ""
    login: str = ""
    section: str = ""
    ids: tuple[str, ...] = ()
    platform: str = ""
    handed_in: bool = True
    is_late: bool = False
    late_by: timedelta | None = None
    notebook: str = ""
    pdf: str = ""

    @property
    def shown(self) -> str:
        """Name and id, for a person to tell students apart."""
        known = self.sid or self.login or self.email
        return f"{self.name} ({known})" if known and known != self.name else self.name or known


def students_of(manifest: Manifest, listed: Sequence[roster.Student] = ()) -> dict[str, Student]:
    """The students of a class by the keys of their rows; a roster adds what it knows of them."""
    known = {
        manifest.keys[student.identity]: student for student in listed if student.identity in manifest.keys
    }
    return {member.key: _student(member, known.get(member.key)) for member in manifest.members}


def _student(member: Member, known: roster.Student | None) -> Student:
    platform = member.identity.partition(":")[0]
    is_absent = platform == "roster" and not (member.digest or member.file)
    return Student(
        name=member.name,
        sid=member.id,
        email=member.email,
        login=known.login if known else "",
        section=known.section if known else "",
        ids=known.ids if known else (),
        platform=platform if platform not in ("name", "roster") else "",
        handed_in=not is_absent,
        is_late=member.late,
        notebook=member.digest,
    )
