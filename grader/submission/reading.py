"""Turns the bytes of a notebook into a `Submission`, repaired where that is fair.

Cells are read straight from the JSON rather than through nbformat: a missing field or a wrong type in one
cell should cost that field, not the notebook.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import NothingToGrade
from grader.submission.opening import (
    HAND_IN,
    MAX_FILE_BYTES,
    decode,
    load_json,
    one_line,
    refuse_other_formats,
    too_big,
)

MAX_CELLS = 10_000
MAX_SOURCE_CHARS = 1_000_000  # of all cells together; real notebooks have a tenth at most
MAX_SOURCE_TOKENS = 150_000  # of all code cells together; real notebooks have a fifth at most
MAX_TEXT_CHARS = 100_000
MAX_IMAGE_BYTES = 4 * 2**20
MAX_EVIDENCE_BYTES = 64 * 2**20
MAX_OUTPUTS_OF_A_CELL = 64

_IMAGES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_OLD_IMAGES = {"png": "image/png", "jpeg": "image/jpeg"}
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Output:
    """One output stored beside a cell: text or an image, never both.

    ``kind`` is stream, result, display, error or attachment. ``truncated`` says that a part was left out.
    """

    kind: str
    mime: str
    text: str = ""
    data: bytes = b""
    truncated: bool = False


@dataclass(frozen=True)
class CodeCell:
    """A code cell. ``index`` counts all cells from 0, ``number`` the code cells from 1.

    ``execution_count`` is the number that the student's kernel gave its last run, if the notebook keeps it.
    """

    index: int
    number: int
    id: str
    source: str
    tags: frozenset[str] = frozenset()
    role: str | None = None
    part: str | None = None
    outputs: tuple[Output, ...] = ()
    execution_count: int | None = None


@dataclass(frozen=True)
class MarkdownCell:
    """A cell of prose, kept as evidence of written answers; pasted images are its ``attachments``.

    ``kind`` is the cell's type, such as markdown or raw.
    """

    index: int
    id: str
    source: str
    tags: frozenset[str] = frozenset()
    role: str | None = None
    part: str | None = None
    attachments: tuple[Output, ...] = ()
    kind: str = "markdown"


@dataclass(frozen=True)
class Submission:
    """A notebook as it was handed in. ``warnings`` tell people what was repaired."""

    name: str
    sha256: str
    cells: tuple[CodeCell, ...]
    markdown: tuple[MarkdownCell, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[tuple[int, tuple[Output, ...]], ...]:
        """The stored outputs of every code cell that has some, with the cell's number."""
        return tuple((cell.number, cell.outputs) for cell in self.cells if cell.outputs)


def read_submission(path: Path) -> Submission:
    """Read the notebook at ``path``, or the one of the homework in the folder or archive there.

    Raises NothingToGrade, with what to do, if there is none.
    """
    from grader.submission.handin import find_named  # noqa: PLC0415 - it reads notebooks by this module

    return find_named(path).submission(path.name)


def parse_notebook(data: bytes, name: str) -> Submission:
    """Make a submission of a notebook's bytes; raise NothingToGrade, with what to do, if there is none."""
    name = one_line(name)
    if len(data) > MAX_FILE_BYTES:
        raise NothingToGrade(f"{name}: {too_big()}")
    try:
        return _parse(data, name)
    except NothingToGrade as error:
        raise NothingToGrade(f"{name}: {error}") from None
    except (RecursionError, MemoryError):
        raise NothingToGrade(f"{name}: is nested too deeply to be read; {HAND_IN}") from None
    except Exception as error:
        # A notebook that trips the reader must not stop a batch; the type tells whoever looks into it.
        reason = f"cannot be read as a notebook ({type(error).__name__}); save it again in Jupyter or Colab"
        raise NothingToGrade(f"{name}: {reason}") from error


def _parse(data: bytes, name: str) -> Submission:
    refuse_other_formats(data, name)
    warnings: list[str] = []
    notebook = load_json(decode(data, warnings))
    if not isinstance(notebook, dict):
        raise NothingToGrade(f"is JSON, but not a notebook; {HAND_IN}")
    raw_cells = _raw_cells(notebook)
    language = _language(notebook)
    if language and "python" not in language.lower():
        warnings.append(f"the notebook says it is in {one_line(language)!r}; its cells run as Python")
    if len(raw_cells) > MAX_CELLS:
        raise NothingToGrade(f"has over {MAX_CELLS} cells; hand in only your solution")
    cells, markdown = _Reader(warnings).read(raw_cells)
    if not cells:
        what = "no cells at all" if not raw_cells else "no code cells"
        raise NothingToGrade(f"is a notebook with {what}; hand in the one that holds your solutions")
    if all(_is_blank(cell.source) for cell in cells):
        raise NothingToGrade(
            "is a notebook whose code cells are empty or hold only comments; "
            "check that you saved it before you handed it in"
        )
    unique = tuple(dict.fromkeys(warnings))
    return Submission(name, hashlib.sha256(data).hexdigest(), tuple(cells), tuple(markdown), unique)


def _raw_cells(notebook: dict[str, Any]) -> list[Any]:
    if isinstance(notebook.get("cells"), list):
        return list(notebook["cells"])
    if isinstance(notebook.get("worksheets"), list):  # nbformat 2 and 3
        sheets = [sheet.get("cells") for sheet in notebook["worksheets"] if isinstance(sheet, dict)]
        return [cell for cells in sheets if isinstance(cells, list) for cell in cells]
    raise NothingToGrade(f"is JSON, but holds no notebook cells; {HAND_IN}")


def _language(notebook: dict[str, Any]) -> str:
    metadata = _dict(notebook.get("metadata"))
    for key, field in (("language_info", "name"), ("kernelspec", "language")):
        language = _dict(metadata.get(key)).get(field)
        if isinstance(language, str):
            return language
    return ""


class _Reader:
    """Reads cells one by one, and limits the size of their text and evidence."""

    def __init__(self, warnings: list[str]) -> None:
        self.warnings = warnings
        self.ids: set[str] = set()
        self.evidence_left = MAX_EVIDENCE_BYTES
        self.source_left = MAX_SOURCE_CHARS
        self.tokens_left = MAX_SOURCE_TOKENS

    def read(self, raw_cells: list[Any]) -> tuple[list[CodeCell], list[MarkdownCell]]:
        code: list[CodeCell] = []
        markdown: list[MarkdownCell] = []
        for index, raw in enumerate(raw_cells):
            if not isinstance(raw, dict):
                self.warnings.append(f"cell {index + 1} is not a cell and was ignored")
                continue
            kind = self._kind(raw, index)
            source = self._source(raw, index)
            identity = self._id(raw, index)
            tags = self._tags(raw, index)
            role, part = _role_and_part(raw, tags)
            if kind == "code":
                self._charge(source)
                outputs = self._outputs(raw.get("outputs"))
                count = _count(raw)
                code.append(
                    CodeCell(index, len(code) + 1, identity, source, tags, role, part, outputs, count)
                )
            else:
                attachments = self._attachments(raw)
                text = _bounded(source, MAX_TEXT_CHARS)[0]
                markdown.append(MarkdownCell(index, identity, text, tags, role, part, attachments, kind))
        return code, markdown

    def _kind(self, raw: dict[str, Any], index: int) -> str:
        named = raw.get("cell_type")
        kind = named.strip().lower() if isinstance(named, str) else ""
        if kind in ("code", "markdown", "raw", "heading", "text", "html"):
            return kind
        looks_like_code = any(key in raw for key in ("outputs", "execution_count", "prompt_number", "input"))
        self.warnings.append(
            f"cell {index + 1} has no known type; it is read as {'code' if looks_like_code else 'text'}"
        )
        return "code" if looks_like_code else "markdown"

    def _source(self, raw: dict[str, Any], index: int) -> str:
        for key in ("source", "input", "code", "text"):
            value = raw.get(key)
            if isinstance(value, str | list):
                text, lost = _joined(value)
                if lost:
                    self.warnings.append(f"cell {index + 1}: the parts of its source that are not text were left out")
                break
        else:
            if raw.get("source") is not None:
                self.warnings.append(f"cell {index + 1}: its source is not text and was left out")
            return ""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        mended = _without_lone_surrogates(text)
        if mended != text:
            self.warnings.append(f"cell {index + 1}: broken characters became question marks")
        self.source_left -= len(mended)
        if self.source_left < 0:
            raise NothingToGrade(
                f"has over {MAX_SOURCE_CHARS} characters of text; hand in only your solution"
            )
        return mended

    def _charge(self, source: str) -> None:
        # The cost of planning grows with the number of tokens: half a megabyte of short statements takes half a minute.
        self.tokens_left -= sum(1 for _ in _TOKEN.finditer(source))
        if self.tokens_left < 0:
            raise NothingToGrade(
                f"has over {MAX_SOURCE_TOKENS} words and signs of code; hand in only your solution"
            )

    def _id(self, raw: dict[str, Any], index: int) -> str:
        given = raw.get("id")
        if not isinstance(given, str):
            given = _dict(raw.get("metadata")).get("id")  # where Colab keeps it
        usable = isinstance(given, str) and 0 < len(given) <= 64 and given.isascii() and given.isprintable()
        name = str(given) if usable else f"cell-{index}"
        if name in self.ids:
            name = f"cell-{index}"
        while name in self.ids:
            name += "x"
        self.ids.add(name)
        return name

    def _tags(self, raw: dict[str, Any], index: int) -> frozenset[str]:
        tags = _dict(raw.get("metadata")).get("tags")
        names = {one_line(tag) for tag in tags if isinstance(tag, str)} if isinstance(tags, list) else set()
        if "skip-execution" in names:
            self.warnings.append(f"cell {index + 1} is tagged skip-execution; the tag was ignored")
        return frozenset(names - {"raises-exception", "skip-execution"})

    def _outputs(self, raw: Any) -> tuple[Output, ...]:
        if not isinstance(raw, list):
            return ()
        found: list[Output] = []
        for item in raw[:1000]:
            for output in self._output(_dict(item)):
                previous = found[-1] if found else None
                if previous and output.kind == "stream" == previous.kind:
                    text, cut = _bounded(previous.text + output.text, MAX_TEXT_CHARS)
                    found[-1] = Output("stream", "text/plain", text, truncated=cut or previous.truncated)
                elif len(found) < MAX_OUTPUTS_OF_A_CELL:
                    found.append(output)
        return tuple(found)

    def _output(self, raw: dict[str, Any]) -> Iterable[Output]:
        kind = raw.get("output_type")
        if kind == "stream":
            yield self._text("stream", raw.get("text"))
        elif kind in ("error", "pyerr"):
            trace = raw.get("traceback")
            lines = [line for line in trace if isinstance(line, str)] if isinstance(trace, list) else []
            yield self._text("error", "\n".join(lines) or f"{raw.get('ename')}: {raw.get('evalue')}")
        elif kind in ("display_data", "execute_result", "pyout", "update_display_data"):
            label = "display" if kind == "display_data" else "result"
            data = raw.get("data")
            bundle = data if isinstance(data, dict) else {_OLD_IMAGES.get(key, key): raw[key] for key in raw}
            images = [self._image(label, mime, bundle[mime]) for mime in _IMAGES if mime in bundle]
            if any(images):
                yield from (image for image in images if image)
            else:
                text = bundle.get("text/plain", bundle.get("text"))
                if text:
                    yield self._text(label, text)

    def _text(self, kind: str, value: Any) -> Output:
        text = _joined(value)[0] if isinstance(value, str | list) else ""
        # The first and the last lines of a long training log tell the most.
        text, cut = _bounded(_without_lone_surrogates(text), min(MAX_TEXT_CHARS, max(0, self.evidence_left)))
        self.evidence_left -= len(text)
        return Output(kind, "text/plain", text, truncated=cut)

    def _image(self, kind: str, mime: str, value: Any) -> Output | None:
        text = _joined(value)[0] if isinstance(value, str | list) else ""
        if len(text) * 3 // 4 > min(MAX_IMAGE_BYTES, self.evidence_left):
            return Output(kind, mime, truncated=True)
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            return None
        if not data.startswith(_IMAGES[mime]):
            return None
        self.evidence_left -= len(data)
        return Output(kind, mime, data=data)

    def _attachments(self, raw: dict[str, Any]) -> tuple[Output, ...]:
        found: list[Output] = []
        for bundle in list(_dict(raw.get("attachments")).values())[:MAX_OUTPUTS_OF_A_CELL]:
            images = (self._image("attachment", mime, _dict(bundle).get(mime)) for mime in _IMAGES)
            found.extend(image for image in images if image)
        return tuple(found)


def _count(raw: dict[str, Any]) -> int | None:
    for key in ("execution_count", "prompt_number"):
        if type(raw.get(key)) is int and 0 < raw[key] < 10**9:
            return int(raw[key])
    return None


def _role_and_part(raw: dict[str, Any], tags: frozenset[str]) -> tuple[str | None, str | None]:
    marks = _dict(_dict(raw.get("metadata")).get("hw3"))
    role, part = marks.get("role"), marks.get("part")
    tagged = sorted(tag.removeprefix("hw3-") for tag in tags if tag.startswith("hw3-"))
    return (
        one_line(role) if isinstance(role, str) else (tagged[0] if tagged else None),
        one_line(part) if isinstance(part, str) else None,
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _joined(value: str | list[Any]) -> tuple[str, bool]:
    """The text of a string or a list of lines, and whether anything in the list was no text."""
    if isinstance(value, str):
        return value, False
    lines = [line for line in value if isinstance(line, str)]
    # Hand-made notebooks forget that the lines of a list carry their own line ends.
    bare = len(lines) > 1 and not any("\n" in line or "\r" in line for line in lines)
    return ("\n" if bare else "").join(lines), len(lines) < len(value)


def _without_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON may split a character into a pair of surrogates; a single one is no character.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _bounded(text: str, limit: int) -> tuple[str, bool]:
    if len(text) <= limit:
        return text, False
    half = max(0, limit // 2 - 20)
    left_out = f"\n[... {len(text) - 2 * half} characters ...]\n"
    return f"{text[:half]}{left_out}{text[len(text) - half :]}", True


def _is_blank(source: str) -> bool:
    lines = (line.strip() for line in source.split("\n"))
    return all(not line or line.startswith("#") for line in lines)
