"""Looks at a host and says what grading will have there and what it will lack, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence

from grader.errors import GraderError
from grader.homework import load_homework
from grader.kernel import confinement, gpu
from grader.memory import free_memory
from grader.report.finding import Finding
from grader.text.safe_text import one_line
from grader.tokenizer_data import tokenizer_data_hash

_GIB = 1 << 30
_ENOUGH_MEMORY = 4 * _GIB
_ENOUGH_DISK = 2 * _GIB


_ESSENTIAL = frozenset(
    {
        *("Python", "torch", "numpy", "nltk", "ipykernel", "nbclient", "jupyter_client", "hypothesis"),
        *("nltk data", "rubric", "reference", "template", "kernel"),
    }
)


def essentials_missing(findings: Sequence[Finding]) -> list[Finding]:
    """What of these keeps the grader from grading at all."""
    return [finding for finding in findings if finding.name in _ESSENTIAL and finding.ok is False]


def start_a_kernel() -> Finding:
    """Start one kernel as for a submission, run a cell in it, and say which layers were active."""
    started = time.perf_counter()
    try:
        from grader.kernel.session import Session  # noqa: PLC0415 - slow, and what it needs may be missing
        from grader.submission.planning import Plan, PlannedCell  # noqa: PLC0415
        from grader.submission.reading import CodeCell  # noqa: PLC0415

        source = "import torch; assert float(torch.ones(2, 2).sum()) == 4"
        cell = PlannedCell(CodeCell(0, 1, "doctor", source), source, "run", "", (), "")
        with Session(Plan((cell,), {}, False, ()), isolation_level=None) as session:
            (outcome,) = session.run_cells()
        layers = ", ".join(session.layers)
    except Exception as error:  # whatever keeps a kernel from starting is the finding
        detail = one_line(f"does not start: {type(error).__name__}: {error}")
        return Finding("kernel", False, detail, "fix the problems listed above; if there are none, report this as a bug")
    if outcome.status != "ok":
        return Finding("kernel", False, f"a cell with torch fails: {outcome.error}", "reinstall torch")
    seconds = time.perf_counter() - started
    return Finding("kernel", True, f"started and ran a cell with torch in {seconds:.1f} s, under: {layers}")


def examine() -> list[Finding]:
    """All findings, the worst possible surprises first; starts no kernel and changes nothing."""
    return [_python(), *_isolation(confinement.probe()), *_packages(), _gpu(), *_data(), _memory(), _disk()]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = (3, 10) <= sys.version_info[:2] < (3, 14)
    detail = f"{version}, {sys.executable}"
    return Finding("Python", good, detail, "" if good else "use Python 3.10 to 3.13")


# -- layers ------------------------------------------------------------------------------------------------


def _isolation(host: confinement.Host) -> list[Finding]:
    level = host.level
    findings = [
        Finding(
            "isolation",
            level in ("full", "strong"),
            f"level {level}",
            "" if level in ("full", "strong") else "grade in a container on Linux 5.13 or later, as root",
        )
    ]
    if not host.linux:
        return findings
    if not host.proc:
        lacks = "not mounted: processes that a submission leaves behind are not seen"
        findings.append(Finding("/proc", False, lacks, "mount -t proc proc /proc"))
    return [*findings, _landlock(host), _seccomp(host), _user(host)]


def _landlock(host: confinement.Host) -> Finding:
    if not host.landlock:
        return Finding(
            "Landlock",
            False,
            "missing: a submission can read every file its user can read, including the grader's code",
            "boot Linux 5.13 or later with lsm=landlock,... and allow Landlock in the container's seccomp profile",
        )
    missing = [
        what
        for abi, what in (
            (3, "truncation of files that cannot be read"),
            (4, "TCP, which seccomp forbids as well"),
            (6, "signals to other processes of the same user, and abstract sockets"),
        )
        if host.landlock < abi
    ]
    detail = f"ABI {host.landlock}" + (f"; does not cover {'; '.join(missing)}" if missing else "")
    good = host.landlock >= 6 or host.identity != "shared"
    return Finding("Landlock", good, detail, "" if good else "use Linux 6.12 or later, or grade as root")


def _seccomp(host: confinement.Host) -> Finding:
    if host.seccomp:
        return Finding("seccomp", True, "filters can be loaded")
    return Finding(
        "seccomp",
        False,
        "missing: a submission can open network connections",
        "use a Linux kernel with CONFIG_SECCOMP_FILTER, or disconnect the machine from the network",
    )


def _user(host: confinement.Host) -> Finding:
    name = "separate user"
    if host.identity == "own":
        first, last = confinement.FIRST_UID, confinement.KEEPER_UID - 1
        return Finding(name, True, f"kernels run as one of the users {first} to {last}")
    if host.identity == "reading":
        return Finding(
            name,
            True,
            f"with the right to read all files, limited by Landlock: {host.why_shared}",
            "install Python and the environment outside a private home directory, so that this right is not needed",
        )
    detail = f"missing: {host.why_shared}; kernels run as the grader's user"
    if host.root:
        return Finding(name, None, detail, "install Python and the environment where other users can read them")
    return Finding(name, None, detail, "grade as root, best in a container")


# -- what has to be installed ------------------------------------------------------------------------------


def _packages() -> list[Finding]:
    findings = []
    for module, distribution in (
        ("torch", "torch"),
        ("torchvision", "torchvision"),
        ("numpy", "numpy"),
        ("nltk", "nltk"),
        ("ipykernel.kernelapp", "ipykernel"),
        ("nbclient", "nbclient"),
        ("jupyter_client", "jupyter_client"),
        ("hypothesis", "hypothesis"),
    ):
        findings.append(_import(distribution, module))
    return findings


def _import(distribution: str, module: str) -> Finding:
    # Whatever a broken installation raises is the finding: a missing library is an OSError, a wrong pair of
    # torch and torchvision a RuntimeError.
    try:
        if distribution == "torchvision":
            from grader.torchvision_compat import import_torchvision  # noqa: PLC0415 - imports torch

            import_torchvision()
        else:
            importlib.import_module(module)
        return Finding(distribution, True, importlib.metadata.version(distribution))
    except Exception as error:
        reason = str(error).strip().splitlines() or [""]
        detail = f"{type(error).__name__}: {reason[0]}"
        return Finding(distribution, False, detail, f"pip install --force-reinstall {distribution}")


def _gpu() -> Finding:
    return gpu_finding(gpu.names(), torch_knows_cuda=gpu.torch_knows_cuda())


def gpu_finding(names: Sequence[str], *, torch_knows_cuda: bool) -> Finding:
    """What the GPUs that the driver names mean for training."""
    found = ", ".join(names)
    if not found:
        return Finding("GPU", None, "none; training runs on the CPU, as properties always do")
    if not torch_knows_cuda:
        remedy = "pip install --force-reinstall torch torchvision"
        return Finding("GPU", None, f"{found}, but torch is built for the CPU", remedy)
    return Finding("GPU", True, found)


def _data() -> list[Finding]:
    try:
        punkt = Finding("nltk data", True, f"Punkt, SHA-256 {tokenizer_data_hash()[:12]}")
    except GraderError as error:
        punkt = Finding("nltk data", False, str(error), "reinstall the grader")
    return [punkt, _reference(), _template(), *_rubric(), *_training_data()]


def _reference() -> Finding:
    there = load_homework().reference.is_dir()
    return Finding("reference", there, str(load_homework().reference), "" if there else "reinstall the grader")


def _template() -> Finding:
    """Whether the notebook can be read and is what the reference makes."""
    if not load_homework().template.is_file():
        return Finding("template", False, f"{load_homework().template} is missing", "grader template build")
    try:
        from grader.authoring import notebooks as template  # noqa: PLC0415 - each check survives what another lacks

        differences = template.check()
    except Exception as error:
        return Finding("template", False, f"cannot be checked: {type(error).__name__}: {error}", "reinstall the grader")
    if differences:
        return Finding("template", False, _counted(differences), "grader template build")
    return Finding("template", True, str(load_homework().template))


def _rubric() -> list[Finding]:
    """The rubric as `grader grade` reads it, and whether it fits the notebook and the model answers."""
    fix = f"edit {load_homework().rubric}"
    try:
        from grader.authoring import consistency  # noqa: PLC0415
        from grader.scoring.rubric import load_rubric  # noqa: PLC0415

        rubric = load_rubric(load_homework().rubric, known_properties=load_homework().properties)
        faults = [*consistency.rubric_faults(rubric), *consistency.training_faults(rubric)]
    except GraderError as error:
        return [Finding("rubric", False, _counted(str(error).splitlines()), fix)]
    except Exception as error:  # a property module that cannot be imported
        return [Finding("rubric", False, f"cannot be checked: {type(error).__name__}: {error}", "fix the problems above")]
    number = sum(len(item.criteria) for item in rubric.automatic)
    agreement = f"quotes of {number} criteria, model answers and training settings"
    return [
        Finding("rubric", True, str(load_homework().rubric)),
        Finding("agreement", False, _counted(faults), "grader template check shows all")
        if faults
        else Finding("agreement", True, f"{agreement} agree with the template"),
    ]


def _counted(lines: Sequence[str]) -> str:
    more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
    return lines[0] + more


def _training_data() -> list[Finding]:
    """Only training needs these data, so that they are missing is no fault."""
    check = load_homework().training
    if check is None:
        return [Finding("training", None, "this homework trains no models")]
    try:
        return [Finding(check.data_name, True, check.prepare(None, lambda stage, done, total: None))]
    except GraderError as error:
        return [Finding(check.data_name, None, f"{error}; training items wait without it", "grader data fetch")]


# -- room --------------------------------------------------------------------------------------------------


def _memory() -> Finding:
    free = free_memory()
    if free is None:
        return Finding("memory", None, "unknown")
    remedy = "" if free >= _ENOUGH_MEMORY else "close other programs, or use a smaller --jobs"
    return Finding("memory", free >= _ENOUGH_MEMORY, f"{free / _GIB:.1f} GiB free", remedy)


def _disk() -> Finding:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Finding("disk", False, f"{folder} cannot be written to", "set TMPDIR")
    good = free >= _ENOUGH_DISK
    return Finding("disk", good, f"{free / _GIB:.1f} GiB free in {folder}", "" if good else "set TMPDIR")
