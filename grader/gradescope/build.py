"""Makes the zip that instructors upload, and holds it to its promise before it is handed out.

Same inputs, same bytes: names are sorted, times and modes fixed, nothing is compressed twice.
"""

from __future__ import annotations

import base64
import contextlib
import email
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from grader import assets
from grader.assignment import read_seed
from grader.errors import GraderError, UsageError
from grader.gradescope.trial import HOMEWORK, Trial, fresh
from grader.homework import DEFAULT, Homework, load_homework
from grader.scoring.rubric import load_rubric

FILES = Path(__file__).with_name("files")
CPU_INDEX = "--index-url https://download.pytorch.org/whl/cpu"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODES = {"setup.sh": 0o755, "run_autograder": 0o755, "seed.txt": 0o600}
Say = Callable[[str], None]
SetUp = Callable[[Path, Say], contextlib.AbstractContextManager[Trial]]


@dataclass(frozen=True)
class Options:
    """What an instructor may choose."""

    seed_file: Path | None = None
    public_seed: bool = False
    rubric: Path | None = None
    minutes: float | None = None
    wheel: Path | None = None
    pip_args: str = ""
    torch_args: str = CPU_INDEX
    skip_check: bool = False


@dataclass(frozen=True)
class Built:
    """A zip and what is in it."""

    path: Path
    contents: tuple[tuple[str, int], ...]
    checked: bool

    @property
    def size(self) -> int:
        """Bytes of the zip."""
        return self.path.stat().st_size


def build(out: Path, options: Options, say: Say = lambda line: None, set_up: SetUp = fresh) -> Built:
    """Write the zip to ``out``, unless it would not grade; raises GraderError. ``set_up`` sets a zip up for a trial."""
    if not out.parent.is_dir():
        raise UsageError(f"{out}: the folder does not exist")
    if (options.seed_file is None) == (not options.public_seed):
        raise UsageError(
            "pass --seed-file with a secret seed (openssl rand -hex 32 > seed.txt), so that students cannot "
            "predict the test cases, or pass --public-seed to accept that they can"
        )
    with tempfile.TemporaryDirectory(prefix="hw3-zip-") as folder:
        say("building the wheel")
        wheel = options.wheel or build_wheel(Path(folder))
        members = _members(wheel, options)
        draft = Path(folder) / "autograder.zip"
        write_zip(draft, members)
        if not options.skip_check:
            check(draft, say, set_up)
        # Into the folder of `out`, so that an interrupted copy never passes for a zip.
        part = out.with_name(f".{out.name}.part")
        part.write_bytes(draft.read_bytes())
        part.chmod(0o600)  # the seed is in it
        part.replace(out)
    contents = tuple((name, len(data)) for name, data in sorted(members.items()))
    return Built(out, contents, not options.skip_check)


def build_wheel(folder: Path) -> Path:
    """The grader's own wheel: from its checkout, or from its installed files; raises UsageError where that is impossible."""
    root = Path(assets.__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        return pack_installed(folder)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(root),
    ]
    if importlib.util.find_spec("hatchling") is not None:
        command.insert(4, "--no-build-isolation")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("hw3_grader-*.whl"))
    if done.returncode or len(wheels) != 1:
        raise GraderError(f"the wheel could not be built: {(done.stderr or done.stdout).strip()[-2000:]}")
    return wheels[0]


def pack_installed(folder: Path, name: str = "hw3-grader") -> Path:
    """The wheel that an installed distribution came from, made of its files as they are now; raises UsageError."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise UsageError("this grader is neither installed nor a checkout; pass --wheel") from None
    members: dict[str, bytes] = {}
    for file in distribution.files or ():
        parts = file.parts
        made_by_pip = parts[0].endswith(".dist-info") and parts[-1] in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
        if ".." in parts or "__pycache__" in parts or made_by_pip:
            continue
        try:
            members[file.as_posix()] = Path(str(file.locate())).read_bytes()
        except OSError as error:
            raise UsageError(f"the installation is incomplete ({error}); reinstall the grader, or pass --wheel") from None
    information = next((path.partition("/")[0] for path in members if ".dist-info/" in path), None)
    if information is None or "grader/__init__.py" not in members:
        raise UsageError("the installation does not list its files; run in a checkout, or pass --wheel")
    rows = [f"{path},sha256={_record_hash(data)},{len(data)}" for path, data in sorted(members.items())]
    members[f"{information}/RECORD"] = "\n".join([*rows, f"{information}/RECORD,,", ""]).encode()
    wheel = folder / f"{name.replace('-', '_')}-{distribution.version}-py3-none-any.whl"
    write_zip(wheel, members)
    return wheel


def _record_hash(data: bytes) -> str:
    """A digest as wheels write it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _members(wheel: Path, options: Options) -> dict[str, bytes]:
    """The zip's files by name."""
    homework = load_homework()
    rubric_path = options.rubric or homework.rubric
    rubric = load_rubric(rubric_path)
    required = requirements(wheel)
    settings = {
        "minutes": options.minutes or rubric.gradescope.minutes,
        "seed": "public" if options.public_seed else "secret",
    }
    texts = {
        "constraints.txt": "\n".join(pinned(required)),
        "requirements.txt": "\n".join(map(str, required)),
        "python-version.txt": ".".join(platform.python_version_tuple()[:2]),
        "pip-args.txt": options.pip_args,
        "torch-args.txt": options.torch_args,
        "settings.json": json.dumps(settings, sort_keys=True),
    }
    members = {name: f"{text}\n".encode() for name, text in texts.items()}
    for name in ("setup.sh", "run_autograder"):
        members[name] = (FILES / name).read_bytes().replace(b"\r\n", b"\n")
    members["rubric.yaml"] = rubric_path.read_bytes()
    members |= files_of(homework)
    members[wheel.name] = wheel.read_bytes()
    if options.seed_file is not None:
        members["seed.txt"] = read_seed(options.seed_file) + b"\n"
    return members


def files_of(homework: Homework) -> dict[str, bytes]:
    """The files of a homework that does not ship with the grader, by their names in the zip. Raises `UsageError`."""
    if homework.source == DEFAULT:
        return {}
    folder = Path(homework.source)
    if not folder.is_dir():
        raise UsageError(f"{homework.source}: is a module; give the homework's folder with --homework to build a zip")
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    relative = ((path, path.relative_to(folder)) for path in found)
    return {
        f"{HOMEWORK}/{name.as_posix()}": path.read_bytes()
        for path, name in relative
        if not any(part == "__pycache__" or part.startswith(".") for part in name.parts)
    }


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    """A zip whose bytes follow from its members alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = (0o100000 | _MODES.get(name, 0o644)) << 16
            archive.writestr(info, data)


# -- exact versions --------------------------------------------------------------------------------------------


def requirements(wheel: Path) -> list[Requirement]:
    """What a wheel asks for, without its extras."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            metadata = email.message_from_bytes(archive.read(name))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{wheel} is not a wheel: {error}") from None
    found = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    return sorted((each for each in found if "extra" not in str(each.marker)), key=str)


def pinned(required: Iterable[Requirement]) -> list[str]:
    """``name==version`` of what is installed here, for these requirements and all that they need in turn."""
    versions: dict[str, str] = {}
    pending = [(each, "") for each in required]
    seen: set[tuple[str, str]] = set()
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            raise UsageError(
                f"{requirement.name} is not installed here, so setup.sh cannot pin its version"
            ) from None
        # A local label (2.9.1+cpu) names a build, and each index has its own.
        versions[name] = Version(distribution.version).public
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                pending += [(Requirement(text), wanted) for text in distribution.requires or []]
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


# -- the promise -----------------------------------------------------------------------------------------------


def check(path: Path, say: Say = lambda line: None, set_up: SetUp = fresh) -> None:
    """Set the zip up and grade with it; raises GraderError unless the master gets all points and the template none."""
    with set_up(path, say) as trial:
        wanted = _automatic_points(trial)
        for notebook, points, what in (
            (trial.master(), wanted, "the master notebook"),
            (trial.template(), 0.0, "the untouched template"),
        ):
            results = trial.run(notebook)
            tests = results.get("tests") or []
            possible = sum(test.get("max_score", 0) for test in tests)
            say(f"{what}: {results.get('score'):g} of {possible:g}")
            if results.get("score") != points or possible != wanted:
                lost = [
                    f"{test['number']}: {' '.join(test['output'].split())[:300]}"
                    for test in tests
                    if test["score"] != (test["max_score"] if points else 0)
                ]
                raise GraderError(
                    f"no zip was written: {what} gets {results.get('score')} of {possible:g} points with it, "
                    f"not {points:g} of {wanted:g}. "
                    + "; ".join([str(results.get("output", "")), *lost, f"log: {trial.log[-1500:]}"])
                )


def _automatic_points(trial: Trial) -> float:
    return sum(item.points for item in load_rubric(trial.source / "rubric.yaml").automatic)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
