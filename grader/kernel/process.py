"""Starts a kernel process, cold or by a fork of a warm parent, and keeps the control socket to its agent."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from grader import assets
from grader.errors import KernelError, host_error
from grader.kernel import confinement, gpu
from grader.kernel.confinement.view import make_view
from grader.kernel.inside import packets

LAUNCHER = Path(__file__).resolve().parent / "inside" / "launch.py"
MAX_ANSWER = 1 << 16


def environment(directory: Path) -> dict[str, str]:
    """The kernel's whole environment: nothing of the judge's, one thread, no GPU, private folders."""
    home, tmp = str(directory / "home"), str(directory / "tmp")
    # Read when the process starts, so too late for a kernel that is given a GPU later.
    driver = {"LD_LIBRARY_PATH": os.pathsep.join(gpu.driver_folders())} if gpu.driver_folders() else {}
    return {
        **driver,
        "HOME": home,
        "TMPDIR": tmp,
        # The kernel's user has no account, and libraries ask for a name.
        "USER": "student",
        "LOGNAME": "student",
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # Training's threads wait for each other every few microseconds. If they sleep at once, training takes half as long
        # again; if they spin for long, they slow down other processes.
        "GOMP_SPINCOUNT": "10000",
        "CUDA_VISIBLE_DEVICES": "",
        # Asking whether there is a GPU must not start CUDA, which could not start again where training is given one.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        "NLTK_DATA": str(assets.DATA / "nltk"),
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": tmp,
        "IPYTHONDIR": tmp,
        "JUPYTER_RUNTIME_DIR": tmp,
        "JUPYTER_CONFIG_DIR": tmp,
        "TORCH_HOME": tmp,
        "XDG_CACHE_HOME": tmp,
        "TERM": "dumb",
    }


class KernelProcess:
    """A kernel process and the control socket to its agent. Subclasses differ in how it is started."""

    pid: int
    control: socket.socket

    def wait_until_ready(self, seconds: float) -> list[str]:
        """Layers of isolation that are active in the process, once its sockets are bound."""
        answer = self.receive(seconds, "while it started")
        if "layers" not in answer:
            raise KernelError(
                f"the kernel process could not start ({answer.get('failed')}); try `grader doctor`"
            )
        return [str(layer) for layer in answer["layers"]]

    def receive(self, seconds: float, when: str) -> dict[str, Any]:
        """One answer from the agent; raises `KernelError` if the process ended, is silent or breaks the protocol."""
        return _receive(self.control, seconds, when)

    def ask(self, request: dict[str, Any], seconds: float, fds: list[int] | None = None) -> dict[str, Any]:
        """Send a request to the agent, with file descriptors if given, and wait for its answer."""
        self.control.settimeout(seconds)
        try:
            self.send(json.dumps(request).encode(), fds or [])
        except OSError as error:
            if (scarce := host_error(error)) is not None:
                raise scarce from None
            raise KernelError(f"the kernel process no longer listens ({error})") from None
        return self.receive(seconds, f"when asked for {request['op']}")

    def send(self, data: bytes, fds: list[int]) -> None:
        """Send one message with file descriptors; raises OSError."""
        packets.send(self.control, data, fds)

    def tell(self, request: dict[str, Any]) -> None:
        """Send a request that has no answer."""
        self.control.settimeout(1.0)
        packets.send(self.control, json.dumps(request).encode())

    def poll(self) -> int | None:
        """Exit status (0 where it is not known), or None while the process runs."""
        raise NotImplementedError

    def signal(self, number: int) -> None:
        """Signal the process."""
        raise NotImplementedError

    def kill(self) -> None:
        """End the process and hang up."""
        raise NotImplementedError


class ColdProcess(KernelProcess):
    """A kernel process that was started for one submission: an interpreter of its own, then the launcher."""

    def __init__(self, specification: dict[str, Any]) -> None:
        self._popen, self.control = _launch(specification["environment"])
        self.pid = self._popen.pid
        packets.send(self.control, json.dumps(specification).encode())

    def poll(self) -> int | None:
        """Exit status, or None while the process runs."""
        return self._popen.poll()

    def signal(self, number: int) -> None:
        """Signal the process."""
        if self._popen.poll() is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """End the process and its session, and hang up."""
        _end(self._popen)
        self.control.close()


class WarmProcess(KernelProcess):
    """A kernel process that a `WarmParent` forked, known by its pidfd, as its PID may be another process's by now."""

    def __init__(self, pid: int, handle: int, control: socket.socket) -> None:
        self.pid, self._handle, self.control = pid, handle, control

    def poll(self) -> int | None:
        """0 once the process has ended; only the parent knows its real status."""
        if self._handle < 0:
            return 0
        return 0 if select.select([self._handle], [], [], 0)[0] else None

    def signal(self, number: int) -> None:
        """Signal the process."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """End the process, wait for that, and hang up."""
        self.signal(signal.SIGKILL)
        if self._handle >= 0:
            select.select([self._handle], [], [], 5)
            os.close(self._handle)
            self._handle = -1
        self.control.close()


class WarmLink:
    """A connection to a warm parent, which forks kernels for it. They end when the connection does."""

    pid: int
    """The warm parent's; the kernels die with it."""
    _control: socket.socket

    def start(self, specification: dict[str, Any]) -> WarmProcess:
        """Fork a kernel process; raises `KernelError` when the parent is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._control.settimeout(30)
                socket.send_fds(self._control, [json.dumps(specification).encode()], [theirs.fileno()])
                data, fds, _, _ = socket.recv_fds(self._control, MAX_ANSWER, 1)
            except OSError as error:
                if (scarce := host_error(error)) is not None:
                    raise scarce from None
                raise KernelError(f"the warm parent of the kernels is gone ({error})") from None
        if not data:
            raise KernelError("the warm parent of the kernels is gone")
        return WarmProcess(json.loads(data)["pid"], fds[0], ours)

    def is_alive(self) -> bool:
        """Whether the parent still listens."""
        return not select.select([self._control], [], [], 0)[0]

    def close(self) -> None:
        """Hang up; kernels that were forked through this connection are killed."""
        self._control.close()


class WarmParent(WarmLink):
    """A process that has imported what notebooks import, and forks a kernel from that for each submission.

    It is launched at once; use as a context manager, which waits until it is warm. With ``door``, one end of a pair of
    sockets, processes that have the other end can connect to it (`WarmClient`), as long as they mean this ``generation``.
    ``for_one`` kernel it is ready sooner: it skips what pays off only with many, and torch's compiler unless the kernel
    ``trains``, as optimizers import that.
    """

    def __init__(
        self,
        environment: dict[str, str],
        seconds: float = 120.0,
        door: socket.socket | None = None,
        generation: int = 0,
        *,
        for_one: bool = False,
        trains: bool = False,
    ) -> None:
        self._popen, self._control = _launch(environment, "warm", door=door)
        host = confinement.probe()
        view = make_view() if host.namespaces and host.identity == "own" else None
        with contextlib.suppress(OSError):
            start = {
                "generation": generation,
                "view": view,
                "for_many": not for_one,
                "with_compiler": trains or not for_one,
            }
            self._control.send(json.dumps(start).encode())
        self.pid = self._popen.pid
        self._seconds, self._is_warm = seconds, False

    def __enter__(self) -> WarmParent:
        """Wait until it is warm; raises `KernelError`, and ends it, when it does not become so."""
        if not self._is_warm:
            try:
                _receive(self._control, self._seconds, "while the warm parent started")
            except BaseException:
                self.__exit__()
                raise
            self._is_warm = True
        return self

    def __exit__(self, *exception: object) -> None:
        """End the parent; kernels that are left die with it."""
        self.close()
        _end(self._popen)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._popen.poll() is None


class WarmClient(WarmLink):
    """A connection to another process' `WarmParent`, asked for through its door; raises `KernelError` without an answer."""

    def __init__(self, door: socket.socket, generation: int, seconds: float = 10.0) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        try:
            with theirs:
                socket.send_fds(door, [str(generation).encode()], [theirs.fileno()], socket.MSG_DONTWAIT)
            self.pid = int(_receive(self._control, seconds, "when it was asked for kernels")["warm"])
        except (OSError, KernelError) as error:
            self._control.close()
            raise KernelError(f"the warm parent of the kernels does not answer ({error})") from None


def _launch(
    environment: dict[str, str], *arguments: str, door: socket.socket | None = None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the launcher with a control socket, and the parent's end of the door if there is one."""
    handed = [] if door is None else [door.fileno()]
    ours, theirs = packets.pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with theirs, Path(os.devnull).open("r+b") as null:
        popen = subprocess.Popen(
            [sys.executable, "-I", "-B", str(LAUNCHER), str(theirs.fileno()), *arguments, *map(str, handed)],
            stdin=null,
            stdout=null,
            stderr=null,
            cwd="/",
            env=environment,
            pass_fds=[theirs.fileno(), *handed],
            start_new_session=True,
        )
    return popen, ours


def _end(popen: subprocess.Popen[bytes]) -> None:
    for target in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            target(popen.pid, signal.SIGKILL)
    popen.wait()


def _receive(control: socket.socket, seconds: float, when: str) -> dict[str, Any]:
    control.settimeout(max(seconds, 0.001))
    try:
        data, _ = packets.receive(control, MAX_ANSWER)
    except TimeoutError:
        raise KernelError(f"the kernel process gave no answer {when} within {seconds:.0f} s") from None
    except OSError as error:
        if (scarce := host_error(error)) is not None:
            raise scarce from None
        raise KernelError(f"the kernel process cut the connection {when} ({error})") from None
    if not data:
        raise KernelError(f"the kernel process ended {when}")
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if type(answer) is not dict:
        raise KernelError(f"the kernel process broke the protocol {when}")
    return answer
