"""Grades hostile notebooks and looks at what they did: to the score, to the outputs, to the host."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jsonschema
from rich.console import Console

from grader import assets
from grader import grade as grading
from grader.assignment import load_assignment
from grader.authoring import notebooks as template
from grader.homework3 import HOMEWORK
from grader.kernel import confinement
from grader.kernel.process import WarmParent, environment
from grader.kernel.session import Limits
from grader.report.terminal import print_result
from grader.scoring.result import Result
from grader.scoring.rubric import AutomaticItem, Criterion
from grader.text.safe_text import clean
from tests.hostile.generator import BREACH, KINDS, SECRET, TRACE, Notebook, hostile
from tests.isolation.lacking import become

LIMITS = Limits(cell=3, cells=24, property=3, part=6, total=45)
UNHURRIED = Limits()
"""For the bases. What they are compared by must not hang on how busy the machine is."""
SECONDS = 100
GROWTH = 3 << 30
BASES = ("wrong", "template", "master")
OWN_SHAPES = {
    "constructor_returns_another": {"2c.shapes"},
    "classes_are_functions": {"2c.shapes"},
    "spare_matrices": {"2b.shapes"},
    "spare_matrices_and_biases": {"2b.shapes"},
    "spare_stacks_of_heads": {"2b.shapes"},
}
"""What kinds earn by classes of their own, which return x as it is: it has the shape that their output should have."""
UNREADABLE = {
    "not_json",
    "empty_file",
    "only_spaces",
    "cut_off",
    "nested_deeply",
    "nested_deeply_within",
    "sources_are_numbers",
    "huge_numbers",
    "too_much_source",
}
"""Malformed kinds of which nothing can be graded."""


def base_notebook(name: str) -> Notebook:
    """The master, the untouched template, or the example with honest mistakes."""
    if name == "master":
        text = template.to_text(template.build_master())
    else:
        path = HOMEWORK.template if name == "template" else HOMEWORK.examples / "honest_mistakes.ipynb"
        text = path.read_text(encoding="utf-8")
    made: Notebook = json.loads(text)
    return made


class Arena:
    """A class's secrets, a warm parent, and the scores of the bases.

    With HOSTILE_COLD in the environment each kernel starts on its own; with HOSTILE_ALL_PROPERTIES all cases are judged; with
    HOSTILE_LACKING, such as "user,seccomp", the arena is an ordinary user's, or on a host that lacks layers.
    """

    def __init__(self, hurried: bool = "HOSTILE_ALL_PROPERTIES" not in os.environ) -> None:
        self.hurried = hurried
        self.bases: dict[str, tuple[Notebook, Result]] = {}
        self.left: list[str] = []

    def __enter__(self) -> Arena:
        self._stack = contextlib.ExitStack()
        self.nonce = secrets.token_hex(4)
        # A name of its own, as the same notebooks may be graded beside this arena.
        self.trace = f"{TRACE}-{secrets.token_hex(4)}"
        secret = f"{SECRET}-{self.nonce}"
        os.environ["HW3_PLANTED"] = secret
        self._stack.callback(os.environ.pop, "HW3_PLANTED", None)
        # Short, as sockets lie beneath it; a folder of its own, so that what is left can be told from a neighbour's.
        self.tmp = Path(tempfile.mkdtemp(prefix="hh-", dir="/tmp"))
        self.tmp.chmod(0o711)
        self._stack.callback(shutil.rmtree, self.tmp, ignore_errors=True)
        before, tempfile.tempdir = tempfile.tempdir, str(self.tmp)
        self._stack.callback(setattr, tempfile, "tempdir", before)
        self.private = self.tmp / "class"
        self.private.mkdir(mode=0o700)
        (self.private / "rubric.yaml").write_bytes(HOMEWORK.rubric.read_bytes())
        for name in ("class.seed", "secret.txt", "earlier.json"):
            (self.private / name).write_text(secret)
        self.assignment = load_assignment(
            self.private / "rubric.yaml", self.private / "class.seed", LIMITS
        )
        if not confinement.meets("strong"):
            self.assignment = dataclasses.replace(self.assignment, least_isolation=confinement.probe().level)
        self.whole = self.assignment
        if self.hurried:
            self._hurry()
        self._watch_endings()
        self.warm: WarmParent | None = None
        if "HOSTILE_COLD" not in os.environ:
            self.warm = self._stack.enter_context(WarmParent(environment(self.tmp / "warm")))
        self.schema = json.loads(
            (Path(assets.__file__).parent / "scoring" / "result.schema.json").read_text(encoding="utf-8")
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _hurry(self) -> None:
        """A property or two of each criterion, few examples and little shrinking: enough to see a score rise."""
        rubric = self.assignment.rubric
        items = tuple(
            item.model_copy(update={"criteria": tuple(self._fewer(each) for each in item.criteria)})
            if isinstance(item, AutomaticItem)
            else item
            for item in rubric.items
        )
        self.assignment = dataclasses.replace(
            self.assignment, rubric=rubric.model_copy(update={"items": items}), most_cases=4, shrink_calls=6
        )

    def _fewer(self, criterion: Criterion) -> Criterion:
        """The criterion with the first of its properties for each way to build the part, and the last of them."""
        properties = self.assignment.homework.properties
        first = {properties[name].when: name for name in reversed(criterion.properties)}
        kept = first if set(first) != {"any"} and "any" not in first else {"any": first["any"]}
        names = dict.fromkeys([*kept.values(), criterion.properties[-1]])
        return criterion.model_copy(update={"properties": tuple(names)})

    def _watch_endings(self) -> None:
        """Note what still runs when a kernel's user is given back."""
        give_back = confinement.Workspace._give_back
        arena = self

        def watched(workspace: confinement.Workspace) -> None:
            arena.left += [f"process {pid} survives" for pid in workspace.mark.pids()]
            arena.left += [f"keeper {pid} survives" for pid in workspace.mark.keepers()]
            give_back(workspace)

        confinement.Workspace._give_back = watched  # type: ignore[method-assign]
        self._stack.callback(setattr, confinement.Workspace, "_give_back", give_back)

    def base(self, name: str) -> tuple[Notebook, Result]:
        """A base notebook and its result."""
        if name not in self.bases:
            notebook = base_notebook(name)
            self.bases[name] = notebook, self.grade(json.dumps(notebook).encode(), UNHURRIED)
        return self.bases[name]

    def grade(self, data: bytes, limits: Limits = LIMITS) -> Result:
        """Grade bytes as a submission."""
        path = self.private / "submission.ipynb"
        path.write_bytes(data)
        return grading.grade(path, dataclasses.replace(self.assignment, limits=limits), warm=self.warm)

    def in_full(self, data: bytes, name: str) -> tuple[Result, Result]:
        """Bytes and a base's notebook, graded with every property and time enough."""
        hurried, self.assignment = self.assignment, self.whole
        try:
            return self.grade(data, UNHURRIED), self.grade(json.dumps(self.base(name)[0]).encode(), UNHURRIED)
        finally:
            self.assignment = hurried

    def changed(self, name: str) -> list[str]:
        """Lines of a base's result that are others than before, when it is graded once more."""
        notebook, before = self.base(name)
        after = self.grade(json.dumps(notebook).encode(), UNHURRIED)
        lines = zip_longest(*(json.dumps(verdicts(each), indent=1).splitlines() for each in (before, after)), fillvalue="")
        return [f"{one.strip()} -> {other.strip()}" for one, other in lines if one != other]

    def problems(self, kind: str, base: str) -> list[str]:
        """What a hostile notebook achieved that it must not; empty if the walls hold."""
        notebook, honest = self.base(base)
        self.left = []
        data = hostile(kind, notebook).replace(TRACE.encode(), self.trace.encode())
        started, memory = time.monotonic(), _memory()
        try:
            result = self.grade(data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return [f"{type(error).__name__} escaped: {str(error)[:300]}"]
        found = [*self.left, *self._traces()]
        if (seconds := time.monotonic() - started) > SECONDS:
            found.append(f"took {seconds:.0f} s")
        if (grown := _memory() - memory) > GROWTH:
            found.append(f"the judge grew by {grown >> 20} MiB")
        gained = inflation(result, honest, kind)
        if self.hurried and risen(result, honest):
            # A criterion may be earned where only a few of its properties are judged.
            gained = inflation(*self.in_full(data, base), kind)
        return found + gained + self.unsafe(result)

    def _traces(self) -> Iterator[str]:
        for folder in (
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/run/lock",
            "/",
            str(Path.home()),
            str(Path.cwd()),
            *sys.path,
        ):
            with contextlib.suppress(OSError):
                yield from (f"left {folder}/{name}" for name in os.listdir(folder) if self.trace in name)  # noqa: PTH208
        yield from (f"left {name}" for name in os.listdir(self.tmp) if name not in ("class", "warm"))  # noqa: PTH208

    def unsafe(self, result: Result) -> list[str]:
        """What is wrong with the outputs: secrets, text that is not harmless, JSON off the schema."""
        text = result.to_json()
        console = Console(file=io.StringIO(), width=100, force_terminal=False)
        print_result(result, console)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        found = [
            f"a secret is in the {where}"
            for where, out in (("JSON", text), ("report", shown))
            if self.nonce in out
        ]
        found += [
            f"a breach is told in the {where}"
            for where, out in (("JSON", text), ("report", shown))
            if BREACH in out
        ]
        if clean(shown, len(shown) + 1) != shown:
            found.append("the report holds characters that are not harmless")
        if len(text) > 8 << 20 or len(shown) > 1 << 20:
            found.append(f"outputs of {len(text)} and {len(shown)} characters")
        try:
            jsonschema.validate(json.loads(text), self.schema)
            text.encode("utf-8")
        except (jsonschema.ValidationError, UnicodeError) as error:
            found.append(f"the JSON is off its schema: {str(error)[:200]}")
        return found


def inflation(result: Result, honest: Result, kind: str) -> list[str]:
    """Points gained in all, points that wait where they were lost, and submissions that went ungraded."""
    found = []
    if result.score > honest.score and set(risen(result, honest)) - OWN_SHAPES.get(kind, set()):
        found.append(f"score rose from {honest.score} to {result.score}: {', '.join(risen(result, honest))}")
    for item in result.items:
        for criterion in item.criteria:
            if criterion.status == "error":
                found.append(f"{criterion.id} waits: {criterion.message[:200]}")
    if (result.error is not None) != (kind in UNREADABLE):
        found.append(f"error is {result.error!r}")
    elif result.error is None and result.pending > honest.pending:
        found.append(f"pending rose from {honest.pending} to {result.pending}")
    return found


def risen(result: Result, honest: Result) -> list[str]:
    """Criteria that give more than before; a property of its own may hold where the part is wrong in another way."""
    earned = {criterion.id: criterion.points for item in honest.items for criterion in item.criteria}
    return [c.id for item in result.items for c in item.criteria if c.points > earned[c.id]]


def _memory() -> int:
    """The judge's resident memory, at its highest since the last call."""
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(peak.split()[1]) * 1024


def main(arguments: list[str]) -> int:
    """Run kinds (all, or those whose category or name is given) on the bases named before ``--``; print what got through."""
    lacking = list(filter(None, os.environ.get("HOSTILE_LACKING", "").split(",")))
    if lacking:
        become([name for name in lacking if name != "user"], user="user" in lacking)
    bases = [name for name in arguments if name in BASES] or ["wrong"]
    wanted = [name for name in arguments if name not in BASES]
    chosen = [name for name, kind in KINDS.items() if not wanted or name in wanted or kind.category in wanted]
    chosen.sort(key=lambda name: wanted.index(KINDS[name].category) if KINDS[name].category in wanted else -1)
    broken = 0
    with Arena() as arena:
        for base in bases:
            _, honest = arena.base(base)
            layers = [layer.layer for layer in honest.isolation if layer.active]
            print(
                f"{base}: {honest.score} of {honest.max_score}; level {confinement.probe().level}; {', '.join(layers)}",
                flush=True,
            )
            for name in chosen:
                started = time.monotonic()
                found: list[Any] = arena.problems(name, base)
                broken += bool(found)
                print(
                    f"{'BAD ' if found else 'ok  '} {base} {name} {time.monotonic() - started:.1f} s {found or ''}",
                    flush=True,
                )
            if changed := arena.changed(base):
                broken += 1
                print(f"BAD  {base}: the submission afterwards is graded otherwise: {changed[:5]}")
    print(f"{broken} of {len(chosen) * len(bases)} got through")
    return min(broken, 1)


def verdicts(result: Result) -> Any:
    """What must be the same before and after: everything but times."""
    return result.model_dump(mode="json", include={"score", "max_score", "pending", "items", "flags", "error"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
