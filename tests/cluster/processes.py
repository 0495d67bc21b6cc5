"""A Dask scheduler and `grader worker`s as processes of their own, for tests and scripts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.batch.conftest import ROOT


class Machines:
    """Processes that write to files in a folder, and end with the `with` block. Each command can be prefixed."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(environment or {})}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *exception: object) -> None:
        for name in reversed(list(self.processes)):
            self.stop(name)

    def start(
        self,
        name: str,
        *command: object,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `python -m COMMAND`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", *map(str, command)],
                env={**self.environment, **(environment or {})},
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self.processes[name] = process
        return process

    def scheduler(
        self, port: int, protocol: str = "tcp", host: str = "127.0.0.1", name: str = "scheduler"
    ) -> str:
        """Start a scheduler, and wait until it listens; its address."""
        self.start(
            name, "distributed.cli.dask_scheduler", "--host", host, "--port", port, "--protocol", protocol, "--no-dashboard"
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                return f"{protocol}://{host}:{port}"
            time.sleep(0.1)
        raise TimeoutError(self.log(name))

    def worker(self, address: str, name: str, *options: object, prefix: Sequence[str] = ()) -> None:
        """Start a worker that takes one submission at a time."""
        self.start(name, "grader", "worker", address, "--name", name, "--jobs", 1, *options, prefix=prefix)

    def wait_for_workers(self, *names: str) -> None:
        """Wait until they have joined."""
        deadline = time.monotonic() + 300
        for name in names:
            while "working for" not in self.log(name):
                if time.monotonic() > deadline:
                    raise TimeoutError(self.log(name))
                time.sleep(0.2)

    def batch(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """`grader batch`, waited for."""
        return subprocess.run(
            [sys.executable, "-m", "grader", "batch", *map(str, arguments)],
            env=self.environment, capture_output=True, text=True, timeout=3600, check=False,
        )  # fmt: skip

    def stop(self, name: str) -> None:
        """End a process and wait for it."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def dask_worker_of(process: subprocess.Popen[bytes]) -> int | None:
    """The process that a `grader worker` watches: the one that Dask calls the worker."""
    return next((pid for pid in _children(process.pid) if _is_spawned(pid)), None)


def kill_dask_worker(process: subprocess.Popen[bytes]) -> bool:
    """SIGKILL to it; whether there was one."""
    pid = dask_worker_of(process)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())


def _is_spawned(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def write_certificate(folder: Path) -> dict[str, str]:
    """A certificate for all machines of a test, and the environment that has Dask use it."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=grader", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    found = {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate),
    }
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        found[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(certificate)
        found[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(key)
    return found
