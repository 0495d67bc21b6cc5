"""IPython's own syntax, taken out of a cell without moving a line.

Lines are judged only where a statement can begin, so a ``%`` within parentheses or a ``!pip`` within a string
stays what it is.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

INSTALLS = "installs packages"
DOWNLOADS = "downloads data"
SHELL = "runs a shell command"
NO_MAGIC = "uses notebook magic"

# The bodies of these cells are Python that shares the notebook's names.
_PYTHON_CELLS = frozenset({"time", "timeit", "capture", "prun", "debug", "memit", "mprun", "lprun"})
# Dropping these changes nothing that is judged, so nobody needs to hear of it.
_QUIET = frozenset(
    ("matplotlib", "pylab", "load_ext", "reload_ext", "autoreload", "aimport", "config", "precision",
     "time", "timeit", "capture", "memit", "who", "whos", "pdb", "xmode", "colors", "history", "tensorboard",
     "prun", "pwd", "cd", "env", "set_env", "reset", "reset_selective", "alias", "debug", "rehashx")
)  # fmt: skip
_ASSIGNED = re.compile(r"^(\s*)([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*=\s*([!%])(?!=)\s*(.*)$")
_HELP = re.compile(r"^\s*(\?{1,2}\s*[\w.*]+|[%\w.*\[\]'\"]+\s*\?{1,2})\s*;?\s*$")
_BARE_COMMAND = re.compile(r"^\s*(pip3?|conda|apt(-get)?|wget|git|nvidia-smi|curl)(\s+[\w\-]|\s*$)")
_SCRIPT = re.compile(r"(?:-\w\s+)*(?:'([^']+\.py)'|\"([^\"]+\.py)\"|([^\s'\"]+\.py))(?:\s|$)")
_STRING_START = re.compile(r"([A-Za-z]{0,3})('''|\"\"\"|'|\")")


@dataclass(frozen=True)
class Dropped:
    """Lines that are no Python. ``names`` are those they would have assigned; quiet ones need no mention."""

    line: int
    end_line: int
    reason: str
    names: tuple[str, ...] = ()
    quiet: bool = False


@functools.lru_cache(maxsize=32)
def without_magics(source: str, bare_commands: bool = False) -> tuple[str, tuple[Dropped, ...]]:
    """The Python of a cell, line for line, and what was dropped.

    With ``bare_commands``, lines such as ``pip install einops`` count as commands too; they look like Python
    until it fails to parse.
    """
    lines = source.split("\n")
    kept: list[str] = []
    dropped: list[Dropped] = []
    position = 0
    first = next(
        (i for i, line in enumerate(lines) if line.strip() and not line.strip().startswith("#")), None
    )
    scanner = _Scanner()
    while position < len(lines):
        line = lines[position]
        if not scanner.fresh or not line.strip():
            scanner.feed(line)
            kept.append(line)
            position += 1
            continue
        if position == first and line.startswith("%%"):
            name = re.split(r"\s", line[2:].strip() + " ", maxsplit=1)[0]
            if name not in _PYTHON_CELLS:
                dropped.append(Dropped(position + 1, len(lines), _why_cell_magic(name)))
                return "\n".join(kept + [""] * (len(lines) - position)), tuple(dropped)
            dropped.append(Dropped(position + 1, position + 1, NO_MAGIC, quiet=True))
            kept.append("")
            position += 1
            continue
        found = _command(line, bare_commands)
        if found is None:
            scanner.feed(line)
            kept.append(line)
            position += 1
            continue
        end = position
        while lines[end].endswith("\\") and end + 1 < len(lines):
            end += 1
        dropped.append(Dropped(position + 1, end + 1, found.reason, found.names, found.quiet))
        kept.append(found.text)
        scanner.feed(found.text)
        kept.extend([""] * (end - position))
        position = end + 1
    return "\n".join(kept), tuple(dropped)


@dataclass(frozen=True)
class _Command:
    text: str
    reason: str
    names: tuple[str, ...] = ()
    quiet: bool = False


def _command(line: str, bare_commands: bool) -> _Command | None:
    body = line.lstrip()
    indent = line[: len(line) - len(body)]
    instead = f"{indent}pass" if indent else ""
    if assigned := _ASSIGNED.match(line):
        names = tuple(name.strip() for name in assigned[2].split(","))
        reason = _why_shell(assigned[4]) if assigned[3] == "!" else NO_MAGIC
        return _Command(instead, reason, names)
    if body.startswith("!"):
        return _Command(instead, _why_shell(body.lstrip("!")))
    if bare_commands and _BARE_COMMAND.match(line):
        return _Command(instead, _why_shell(body))
    if body.startswith("%"):
        magic, _, rest = body.lstrip("%").strip().partition(" ")
        if magic == "time" and rest.strip():
            return _Command(indent + rest.strip(), NO_MAGIC, quiet=True)
        if magic == "run" and (script := _SCRIPT.match(rest.strip())):
            path = script[1] or script[2] or script[3]
            return _Command(f"{indent}exec(compile(open({path!r}).read(), {path!r}, 'exec'))", NO_MAGIC, quiet=True)
        return _Command(instead, _why_magic(magic, rest), quiet=magic in _QUIET)
    asks_for_help = not body.startswith("#") and _HELP.match(line)
    return _Command(instead, NO_MAGIC, quiet=True) if asks_for_help else None


def _why_shell(command: str) -> str:
    words = command.split()
    program = words[0].rpartition("/")[2] if words else ""
    if "install" in words and re.match(r"pip|conda|mamba|apt|python|uv|sudo", program):
        return INSTALLS
    if program in ("wget", "curl", "gdown", "git", "kaggle", "unzip", "tar", "axel", "aria2c"):
        return DOWNLOADS
    return SHELL


def _why_magic(name: str, rest: str) -> str:
    if name in ("pip", "conda", "mamba", "uv"):
        return INSTALLS
    if name in ("sx", "system", "sc", "shell"):
        return _why_shell(rest)
    return NO_MAGIC


def _why_cell_magic(name: str) -> str:
    if name in ("bash", "sh", "script", "shell", "system", "sx", "cmd", "!"):
        return SHELL
    return f"is not Python (%%{name[:30]})"


class _Scanner:
    """Tells after each line whether the next one can begin a statement."""

    def __init__(self) -> None:
        self.quote = ""
        self.depth = 0
        self.continued = False

    @property
    def fresh(self) -> bool:
        return not self.quote and self.depth == 0 and not self.continued

    def feed(self, line: str) -> None:
        position = 0
        self.continued = False
        while position < len(line):
            if self.quote:
                position = self._string_end(line, position)
                continue
            char = line[position]
            if char == "#":
                break
            if char == "\\" and position == len(line) - 1:
                self.continued = True
            started = _STRING_START.match(line, position) if char.isalpha() or char in "'\"" else None
            if started:
                self.quote = started[2]
                position = started.end()
                continue
            if char.isidentifier():
                while position < len(line) and (line[position].isalnum() or line[position] == "_"):
                    position += 1
                continue
            if char in "([{":
                self.depth += 1
            elif char in ")]}":
                self.depth = max(0, self.depth - 1)
            position += 1
        if len(self.quote) == 1 and not line.endswith("\\"):
            self.quote = ""  # an unclosed string ends with its line

    def _string_end(self, line: str, position: int) -> int:
        while position < len(line):
            if line[position] == "\\":
                position += 2
            elif line.startswith(self.quote, position):
                position += len(self.quote)
                self.quote = ""
                return position
            else:
                position += 1
        return position
