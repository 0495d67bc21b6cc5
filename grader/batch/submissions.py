"""Finds the submissions of a class and names them, in the layouts that Gradescope and Canvas export or in none.

Gradescope: ``submission_12345/homework.ipynb`` for each, with ``submission_metadata.yml`` beside the folders.
Canvas: ``lastnamefirst_LATE_123_456_homework.ipynb``, where LATE may be absent and 123 is the student's id.
Anything else: each notebook is a submission, named after its file, or after its folder where all files are called alike.

Students' files lie beneath what the instructor gave, so a layout is recognized at its root alone: a metadata file or a
file name deeper down is part of a hand-in, and names nobody else's work.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import yaml

from grader.errors import UsageError
from grader.report.safe_text import one_line
from grader.submission.reading import MAX_FILE_BYTES
from grader.training import checkpoint

METADATA = "submission_metadata.yml"
MAX_METADATA_BYTES = 64 << 20
MAX_TEXT = 300
"""Characters of a name, an id or an address in the metadata."""
MAX_MEMBERS = 50_000
MAX_ARCHIVE_BYTES = 20 << 30
_CANVAS = re.compile(
    r"(?P<name>[^_]+)_(?:(?P<late>late)_)?(?P<user>\d+)_(?P<submission>\d+)_(?P<file>.+)", re.I | re.S
)
_GRADESCOPE = re.compile(r"submission_(\d+)")
_EXPORT = re.compile(r"assignment_\d+_export")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_JUNK = ("__MACOSX", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Entry:
    """A submission of the class: whose it is and where it lies.

    ``key`` is unique in the class and fit for a file's name; ``digest`` is the SHA-256 of the content in hex, empty where
    it cannot be read, which ``problem`` then explains.
    """

    key: str
    name: str
    id: str
    path: Path
    digest: str = ""
    late: bool = False
    email: str = ""
    problem: str | None = None
    notes: tuple[str, ...] = ()
    checkpoint: Path | None = None
    """The weights of the Vision Transformer, where some were handed in with it."""
    weights: str = ""
    """What tells these weights from others; empty where there are none."""


def find_submissions(sources: Sequence[Path], extracted: Path) -> list[Entry]:
    """The submissions in folders, files and archives, sorted by key; archives are unpacked beneath ``extracted``.

    Raises `UsageError` for a source that does not exist or holds no submission.
    """
    opened = [_opened(source, extracted) for source in sources]
    exports = [_export(place) if place.is_dir() else None for place in opened]
    # A folder of hand-ins may be given as `class/*`. Whoever puts metadata into one must not be read as an export.
    trusted = None not in exports
    found: list[Entry] = []
    for source, place, export in zip(sources, opened, exports, strict=True):
        if export is not None and trusted:
            entries = list(_of_gradescope(export))
        else:
            entries = [_noted(entry, place) for entry in (_of_folder if place.is_dir() else _of_file)(place)]
        if not entries:
            raise UsageError(f"{one_line(str(source))}: holds no notebook (.ipynb)")
        found += entries
    # One file named twice, as itself and within its folder, is one submission.
    once = {entry.path.absolute(): entry for entry in found}
    return sorted(_unique(once.values()), key=lambda entry: entry.key)


def _opened(source: Path, extracted: Path) -> Path:
    """The folder or the file that a source stands for; an archive is unpacked."""
    try:
        is_folder = source.is_dir()
        if not is_folder and not source.is_file() and not source.is_symlink():
            raise UsageError(f"{one_line(str(source))}: there is no such file or folder")
    except OSError as error:
        raise UsageError(f"{one_line(str(source))}: {error.strerror or error}") from None
    is_archive = not is_folder and source.name.lower().endswith(_ARCHIVES)
    return _unpack(source, extracted) if is_archive else source


def _export(folder: Path) -> Path | None:
    """The root of a Gradescope export: metadata beside ``submission_N`` folders.

    It is the folder itself or the one folder in it, as a downloaded export has.
    """
    inside = [path for path in _listed(folder) if path.name not in _JUNK and not path.name.startswith(".")]
    candidates = [folder]
    if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink():
        candidates += inside
    for root in candidates:
        metadata = root / METADATA
        beside = any(_GRADESCOPE.fullmatch(path.name) and path.is_dir() for path in _listed(root))
        if metadata.is_file() and not metadata.is_symlink() and (beside or root is folder):
            return root
    return None
def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _noted(entry: Entry, source: Path) -> Entry:
    """The entry, which says that metadata handed in with it has no effect."""
    above = [entry.path.parent, *entry.path.parent.parents] if source.is_dir() else []
    within = above[: above.index(source) + 1] if source in above else []
    if not any((folder / METADATA).is_file() for folder in within):
        return entry
    note = (
        f"the {METADATA} beside or above this notebook has no effect, because it is not at the root of a Gradescope "
        "export; to use an export's metadata, pass that export alone"
    )
    return replace(entry, notes=(*entry.notes, note))


def _of_file(source: Path) -> Iterator[Entry]:
    if (canvas := _CANVAS.fullmatch(source.name)) and source.suffix == ".ipynb":
        yield _canvas_entry(canvas, [source])
    else:
        yield _entry(source.stem, source.stem, source)


def _of_folder(folder: Path) -> Iterator[Entry]:
    notebooks = sorted(_notebooks(folder))
    names = [path.name for path in notebooks]
    if notebooks and all(_CANVAS.fullmatch(name) for name in names):
        by_student = _by_student(notebooks)
        weights = _by_student(sorted(notebooks[0].parent.glob("*.safetensors")))
        for user, paths in by_student.items():
            entry = _canvas_entry(_canvas(paths[0]), paths)
            yield entry if entry.checkpoint else _with_weights(entry, weights.get(user, []))
        return
    grouped = [path.relative_to(folder).parts[0] for path in notebooks]
    if len(notebooks) > 1 and all(_GRADESCOPE.fullmatch(part) for part in grouped):
        for name in dict.fromkeys(grouped):
            yield _one_of(name, name.partition("_")[2], list(_notebooks(folder / name)))
        return
    alike = len(notebooks) > 1 and len(set(names)) == 1
    for path in notebooks:
        place = path.relative_to(folder)
        name = str(place.parent) if alike else str(place.with_suffix(""))
        yield _entry(name, name, path)


def _notebooks(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _JUNK and not name.startswith("."))
        for name in (*files, *(name for name in folders if name.endswith(".ipynb"))):
            if name.endswith(".ipynb") and not name.startswith("."):
                yield Path(parent, name)


def _of_gradescope(folder: Path) -> Iterator[Entry]:
    known = _read_metadata(folder / METADATA)
    folders = {path.name for path in folder.iterdir() if path.is_dir() and _GRADESCOPE.fullmatch(path.name)}
    for name in sorted({*folders, *known}):
        entry = _one_of(
            name, name.partition("_")[2], list(_notebooks(folder / name)) if name in folders else []
        )
        facts = known.get(name, {})
        people = [person for person in _list(facts, "submitters") if isinstance(person, dict)]
        yield replace(
            entry,
            name=", ".join(filter(None, (_text(person, "name") for person in people))) or entry.name,
            id=", ".join(filter(None, (_text(person, "sid") for person in people))) or entry.id,
            email=", ".join(filter(None, (_text(person, "email") for person in people))),
            late=bool(_value(facts, "late") or _value(facts, "lateness")),
        )
    # What lies beside the submissions is somebody's work too.
    for path in _listed(folder):
        if path.name in folders or path.name in _JUNK or path.name.startswith("."):
            continue
        if path.is_dir() and not path.name.endswith(".ipynb"):
            yield _noted(_one_of(path.name, path.name, list(_notebooks(path))), path)
        elif path.suffix == ".ipynb":
            yield _entry(path.stem, path.stem, path)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads Gradescope's file, whose tags name classes of its own program: they are passed over."""


def _untagged(loader: Any, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("", _untagged)


def _read_metadata(path: Path) -> dict[str, dict[Any, Any]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_METADATA_BYTES)
        # A few hundred bytes of aliases stand for a list of any length.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Loader)):
            raise ValueError("YAML aliases are not supported")
        data = yaml.load(text, _Loader)  # a safe loader
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{one_line(str(path))}: cannot be read: {one_line(str(error))}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{one_line(str(path))}: is no list of Gradescope submissions")
    return {
        str(key): value
        for key, value in data.items()
        if isinstance(value, dict) and _GRADESCOPE.fullmatch(str(key))
    }


def _value(facts: dict[Any, Any], name: str) -> Any:
    """A field whose key may be written as a Ruby symbol."""
    return facts.get(f":{name}", facts.get(name))


def _list(facts: dict[Any, Any], name: str) -> list[Any]:
    value = _value(facts, name)
    return value if isinstance(value, list) else []


def _text(facts: dict[Any, Any], name: str) -> str:
    value = _value(facts, name)
    return one_line(str(value)[:MAX_TEXT]) if isinstance(value, str | int | float) else ""


def _by_student(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Files that Canvas exported, by the student's id."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        if match := _CANVAS.fullmatch(path.name):
            found.setdefault(match["user"], []).append(path)
    return found


def _canvas(path: Path) -> re.Match[str]:
    match = _CANVAS.fullmatch(path.name)
    assert match is not None
    return match


def _canvas_entry(match: re.Match[str], paths: list[Path]) -> Entry:
    entry = _one_of(f"{match['name']}_{match['user']}", match["user"], paths)
    return replace(entry, name=one_line(match["name"]), late=match["late"] is not None)


def _one_of(key: str, id: str, paths: list[Path]) -> Entry:
    """An entry whose notebook is the largest of several, which it says."""
    if not paths:
        return Entry(_slug(key), key, id, Path(key), problem="no notebook (.ipynb) was handed in")
    paths.sort(key=lambda path: (-_size(path), path.name))
    entry = _entry(key, id, paths[0])
    if len(paths) > 1:
        note = f"{len(paths)} notebooks were handed in; the largest, {one_line(paths[0].name)}, is graded"
        entry = replace(entry, notes=(note,))
    return entry


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _entry(key: str, id: str, path: Path) -> Entry:
    digest, problem = digest_of(path)
    entry = Entry(_slug(key), one_line(key), one_line(id), path, digest, problem=problem)
    found = checkpoint.find(path) if problem is None else None
    return _with_weights(entry, [found] if found else [])


def _with_weights(entry: Entry, paths: Iterable[Path]) -> Entry:
    """The entry with the first of these checkpoints that is a file."""
    path = next(filter(checkpoint.is_file, paths), None)
    return entry if path is None else replace(entry, checkpoint=path, weights=checkpoint.digest_of(path))


def digest_of(path: Path) -> tuple[str, str | None]:
    """The SHA-256 of a file in hex, or why it cannot be read."""
    name = one_line(path.name)
    try:
        if not path.is_file():
            reason = "is a folder" if path.is_dir() else "is no regular file"
            return "", f"{name}: {reason}"
        if path.stat().st_size > MAX_FILE_BYTES:
            return "", f"{name}: is larger than {MAX_FILE_BYTES >> 20} MB"
        return hashlib.sha256(path.read_bytes()).hexdigest(), None
    except OSError as error:
        return "", f"{name}: cannot be read ({error.strerror or error})"


def _slug(text: str) -> str:
    """A name for files: letters and digits of any script, and ``-._``; at most 80 characters."""
    slug = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    while len(slug.encode()) > 120 or len(slug) > 80:
        slug = slug[:-1]
    return slug or "submission"


def _unique(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Numbers keys that are the same (also where a file system does not tell case apart)."""
    seen: set[str] = set()
    for entry in sorted(entries, key=lambda entry: (entry.key, str(entry.path))):
        key, number = entry.key, 1
        while key.casefold() in seen:
            number += 1
            key = f"{entry.key}-{number}"
        seen.add(key.casefold())
        yield replace(entry, key=key)


# -- archives ----------------------------------------------------------------------------------------------------


def _unpack(archive: Path, extracted: Path) -> Path:
    """Unpack an archive's notebooks, checkpoints and metadata once; gives the folder. Its names cannot lead out of it."""
    try:
        with archive.open("rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        folder = extracted / digest.hexdigest()[:20]
        if folder.is_dir():
            return folder
        partial = extracted / f".{folder.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                infos = [info for info in zipped.infolist() if not info.is_dir()]
                _write_members(((i.filename, i.file_size, _opener(zipped.open, i)) for i in infos), partial)
        else:
            with tarfile.open(archive) as tar:
                members = (member for member in tar if member.isfile())
                _write_members(((m.name, m.size, _opener(tar.extractfile, m)) for m in members), partial)
        # Only a whole folder gets its name, so an interrupted run unpacks again.
        partial.rename(folder)
    except (
        OSError,
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"{one_line(str(archive))}: cannot be unpacked: {one_line(str(reason))}") from None
    return folder


def _opener(function: Callable[[Any], IO[bytes] | None], member: Any) -> Callable[[], IO[bytes] | None]:
    return lambda: function(member)


def _write_members(members: Iterable[tuple[str, int, Callable[[], IO[bytes] | None]]], folder: Path) -> None:
    total = 0
    for number, (name, size, open_member) in enumerate(members):
        place = PurePosixPath(name.replace("\\", "/"))
        wanted = place.suffix in (".ipynb", ".safetensors") or place.name == METADATA
        inside = not place.is_absolute() and ".." not in place.parts
        if not inside or not place.parts or any(part in _JUNK for part in place.parts):
            continue
        if not wanted:
            # `_export` asks whether a folder is alone in the archive, so whatever else lies there leaves an empty folder.
            with contextlib.suppress(OSError):
                folder.joinpath(place.parts[0]).mkdir(exist_ok=True)
            continue
        total += size
        if number > MAX_MEMBERS or total > MAX_ARCHIVE_BYTES:
            raise RuntimeError("it holds too much")
        limit = MAX_METADATA_BYTES if place.name == METADATA else MAX_FILE_BYTES + 1
        source = open_member()
        if source is None:
            continue
        path = folder.joinpath(*place.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("wb") as target:
            shutil.copyfileobj(_Limited(source, limit), target)


class _Limited:
    """A file that ends after so many bytes, whatever its header says."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self._source, self._left = source, limit

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, and no more than are left."""
        data = self._source.read(min(size if size >= 0 else self._left, self._left))
        self._left -= len(data)
        return data
