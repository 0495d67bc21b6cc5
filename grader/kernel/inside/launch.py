"""Entry point of the kernel process: load our files, confine the process, become an IPython kernel.

Run as ``python -I launch.py FD`` for one submission: FD is the control socket, over which the judge first sends the
specification: connection file, working directory, environment, policy of confinement. Run as ``python -I launch.py FD warm``
it imports what notebooks import and then forks such a process for each specification, whose control socket comes along with
it; with DOOR, a socket, as a third argument also for processes that send a socket of their own there. Nothing is reached by a
path. After `confine.apply` the files beside this one cannot be read any more.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pathlib
import random
import select
import signal
import socket
import struct
import sys
import tempfile
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
OURS = (
    "packets",
    "pages",
    "frames",
    "standins",
    "absent",
    "deferred",
    "hardware",
    "shims",
    "places",
    "values",
    "interpreter",
    "stage",
    "rounds",
    "agent",
    "muon",
    "training_run",
    "trainer",
    "confine",
    "loaders",
)
"""The files beside this one. Each must be here, or ``import`` would still find it when the notebook runs."""
PRELOADED = (
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.magics",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "einops",
    "encodings.ascii",
    "faulthandler",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "nltk.huggingface",
    "nltk.tokenize",
    "numpy.random",
    "resource",
    "sqlite3",
    "torch.nn.functional",
    "torch.optim",
    "torch.utils.data",
    "tornado.platform.asyncio",
    "tqdm.auto",
)
OF_USE_TO_SOME = ("matplotlib.pyplot", "matplotlib_inline.backend_inline", "torchvision", "torchvision.transforms")
"""What most notebooks import, and hardly any judged code uses. It is imported only for many kernels."""
DEFERRED = ("matplotlib", "matplotlib.pyplot")
"""What is imported for one kernel only if it is used. matplotlib also lists all fonts of the machine."""

SECONDS_FOR_PAGES = 0.02
"""How long the warm parent makes huge pages after each fork: what pays off only with many kernels is paid for as they come."""


def main() -> None:
    """Serve one submission, or stay and fork a process for each."""
    control = socket.socket(fileno=int(sys.argv[1]))
    warm, door = sys.argv[2:3] == ["warm"], next(iter(sys.argv[3:]), None)
    sys.argv[:] = ["ipykernel_launcher.py"]
    # Nobody attaches a debugger here, and ipykernel loads all of it.
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    if warm:
        fork_on_demand(control, None if door is None else socket.socket(fileno=int(door)))
        return
    ours = load_ours()
    ours["stage"].leave_out_loaded()
    serve(control, json.loads(ours["packets"].receive(control, 1 << 20)[0]), ours)


def serve(
    control: socket.socket, specification: dict[str, Any], ours: dict[str, Any], *, entered: bool = False
) -> None:
    """Become the kernel; say why if that cannot be."""
    try:
        become_kernel(control, specification, ours, entered=entered)
    except BaseException as error:
        # Nothing of the student's has run where this can be reached before "ready": the judge may print it.
        ours["packets"].send(control, json.dumps({"failed": f"{type(error).__name__}: {error}"[:1000]}).encode())
        raise


def fork_on_demand(control: socket.socket, door: socket.socket | None) -> None:
    """Be the warm parent, which holds nothing secret, runs no tensor operation and never has a second thread.

    It serves the process that started it, with which it ends, and processes that introduce themselves at the door. The first
    message says which generation of parents this is, what kernels see of private folders, whether there will be many kernels,
    and whether to import torch's compiler.
    """
    start = json.loads(control.recv(1 << 16))
    # What is imported stays, so collecting would only cost time: a tenth of the start.
    gc.disable()
    ours = load_ours()
    preload(ours, for_many=start["for_many"], with_compiler=start["with_compiler"])
    ours["stage"].leave_out_loaded()
    if start["for_many"]:
        ours["shims"].read_punkt()
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if start["view"] is not None:
        # Once for all kernels, as making a network takes milliseconds.
        ours["confine"].enter_namespaces(start["view"])
    # Where kernels are of the same user, and nothing else is between, they could write into this process: see prctl(2).
    ours["confine"].close_own_memory()
    if door is not None:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    control.send(json.dumps({"warm": os.getpid()}).encode())
    _Forks(control, door, ours, start).serve()


class _Forks:
    """What the warm parent does once it is warm: fork kernels, and take note of their end."""

    def __init__(
        self, control: socket.socket, door: socket.socket | None, ours: dict[str, Any], start: dict[str, Any]
    ) -> None:
        self._control, self._door, self._ours, self._start = control, door, ours, start
        # Kernels go by their pidfds: a PID may be another process's by now.
        self._kernels_of: dict[socket.socket, set[int]] = {control: set()}
        self._kernels: set[int] = set()
        self._huge_pages = ours["pages"].HugePages()
        self._seconds_for_pages = SECONDS_FOR_PAGES if start["for_many"] else 0.0

    def serve(self) -> None:
        """Serve until the process that started this one hangs up."""
        while self._control in self._kernels_of:
            doors = [] if self._door is None else [self._door]
            waiting: list[socket.socket | int] = [*self._kernels_of, *self._kernels, *doors]
            for ready in select.select(waiting, [], [])[0]:
                if isinstance(ready, int):
                    self._collect(ready)
                elif ready is self._door:
                    if (client := _let_in(ready, self._start["generation"])) is not None:
                        self._kernels_of[client] = set()
                else:
                    self._answer(ready)

    def _answer(self, client: socket.socket) -> None:
        """Fork a kernel for a client, or end all of its kernels if it hung up."""
        try:
            specification, descriptors, _, _ = socket.recv_fds(client, 1 << 20, 1)
        except OSError:
            specification = b""
        if not specification:
            for kernel in self._kernels_of.pop(client):
                signal.pidfd_send_signal(kernel, signal.SIGKILL)
            client.close()
            return
        child = os.fork()
        if child == 0:
            self._let_go()
            entered = self._start["view"] is not None
            serve(socket.socket(fileno=descriptors[0]), json.loads(specification), self._ours, entered=entered)
            os._exit(0)
        os.close(descriptors[0])
        kernel = os.pidfd_open(child)
        self._kernels.add(kernel)
        self._kernels_of[client].add(kernel)
        # A client that hung up meanwhile is noticed in the next round.
        with contextlib.suppress(OSError):
            socket.send_fds(client, [json.dumps({"pid": child}).encode()], [kernel])
        self._huge_pages.make(self._seconds_for_pages)

    def _collect(self, kernel: int) -> None:
        """Wait for a kernel that has ended, at once: only then does its user have no process."""
        os.waitid(os.P_PIDFD, kernel, os.WEXITED)
        for known in (self._kernels, *self._kernels_of.values()):
            known.discard(kernel)
        os.close(kernel)

    def _let_go(self) -> None:
        """Close, in a new kernel, what is the parent's."""
        for each in [*self._kernels_of, *([] if self._door is None else [self._door])]:
            each.close()
        for kernel in self._kernels:
            os.close(kernel)


def preload(ours: dict[str, Any], *, for_many: bool, with_compiler: bool) -> None:
    """Import what notebooks import, as far as it is installed."""
    shims = ours["shims"]
    if not for_many:
        ours["deferred"].defer(DEFERRED)
    with contextlib.nullcontext() if with_compiler else shims.without_compiler():
        if for_many:
            shims.mend_torchvision()
        for name in (*PRELOADED, *(OF_USE_TO_SOME if for_many else ())):
            with contextlib.suppress(ImportError, RuntimeError):
                __import__(name)


def _let_in(door: socket.socket, generation: int) -> socket.socket | None:
    """The socket of a new client, if it belongs to our own user and means this parent rather than an earlier one."""
    descriptors: list[int] = []
    user = -1
    data, ancillary, _, _ = door.recvmsg(1000, socket.CMSG_SPACE(4 * 4) + socket.CMSG_SPACE(12))
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors += [number for (number,) in struct.iter_unpack("i", value[: len(value) // 4 * 4])]
        elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            user = struct.unpack("3i", value[:12])[1]
    if user != os.geteuid() or data != str(generation).encode() or len(descriptors) != 1:
        for number in descriptors:
            os.close(number)
        return None
    client = socket.socket(fileno=descriptors[0])
    with contextlib.suppress(OSError):
        client.send(json.dumps({"warm": os.getpid()}).encode())
    return client


def load_ours() -> dict[str, Any]:
    """Import the files beside this one, then hide them from ``import`` so that no student name collides."""
    sys.path.insert(0, str(HERE))
    modules = {name: __import__(name) for name in OURS}
    sys.path.remove(str(HERE))
    for name in OURS:
        del sys.modules[name]
    return modules


def become_kernel(
    control: socket.socket, specification: dict[str, Any], ours: dict[str, Any], *, entered: bool = False
) -> None:
    """Turn this process into the kernel of one submission; returns when the kernel is shut down."""
    os.chdir(specification["directory"])
    os.environ.clear()
    os.environ.update(specification["environment"])
    sys.path[:] = [path for path in sys.path if path in specification["import_path"]]
    sys.dont_write_bytecode = True
    forget_the_parent(specification["environment"])
    layers = ours["confine"].apply(
        specification["policy"], [control.fileno()], entered=entered
    )

    from ipykernel.ipkernel import IPythonKernel  # noqa: PLC0415
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415

    class JudgedKernel(IPythonKernel):
        """An IPython kernel that hands its main thread to the agent when the judge asks."""

        msg_types = [*IPythonKernel.msg_types, "serve_request"]  # noqa: RUF012

        async def serve_request(self, stream: Any, ident: Any, parent: Any) -> None:
            """Serve the judge until it lets the kernel go on."""
            shell: Any = self.shell
            forget_errors(shell)
            ours["agent"].Agent(control, shell.user_ns, ours["trainer"].serve).serve()

        async def do_shutdown(self, restart: bool) -> dict[str, Any]:
            """Ignore the request: a notebook's idiom for a restart would end the kernel a second later, in another cell."""
            return {"status": "ok", "restart": restart}

    class JudgedApp(IPKernelApp):
        """An application without command line and configuration files. Looking for them takes 10 ms."""

        def parse_command_line(self, argv: Any = None) -> None:
            """Do nothing."""

        def load_config_file(self, *args: Any, **kwargs: Any) -> None:
            """Do nothing."""

    bind_iopub_pipe(specification["directory"])
    shims = ours["shims"]
    shims.pretend_colab()
    ours["loaders"].load_without_workers()
    sys.meta_path[:0] = [shims.Refuser(["grader", "reference"]), shims.TorchvisionMender()]
    shims.stand_for_absent(specification["absent"])
    shims.plain_progress_bars()
    if "nltk" in sys.modules:
        shims.provide_nltk_data(specification["environment"]["NLTK_DATA"])
    else:
        sys.meta_path.insert(0, shims.NltkMender(specification["environment"]["NLTK_DATA"]))
    ours["hardware"].leave_uncompiled()
    if specification["pretend_accelerators"]:
        ours["hardware"].pretend_accelerators()
    ours["places"].keep_other_places(specification["directory"])
    app: Any = JudgedApp.instance(
        connection_file=specification["connection_file"],
        kernel_class=JudgedKernel,
        transport="ipc",
        log_level=50,
    )
    app.capture_fd_output = False
    app.config.HistoryManager.enabled = False
    app.initialize([])
    shell = app.kernel.shell
    shell.compile.get_code_name = lambda raw, code, number: f"cell-{number}"
    shell.ask_exit = lambda: None
    sys.path.insert(0, specification["directory"])  # where a notebook writes modules of its own
    shims.no_debugger()
    for name in ("__file__", "__spec__", "__cached__"):
        sys.modules["__main__"].__dict__.pop(name, None)
    ours["packets"].send(control, json.dumps({"ready": True, "layers": layers}).encode())
    app.start()


def forget_the_parent(environment: dict[str, str]) -> None:
    """Make a forked process like a fresh one, with the same random states."""
    tempfile.tempdir = None
    random.seed(0)
    sys.modules["numpy"].random.seed(0)
    matplotlib: Any = sys.modules.get("matplotlib")
    if matplotlib is not None:
        folder = environment["MPLCONFIGDIR"]
        matplotlib.get_configdir = matplotlib.get_cachedir = lambda: folder
    nltk: Any = sys.modules.get("nltk")
    if nltk is not None:
        nltk.data.path[:] = [environment["NLTK_DATA"]]


def forget_errors(shell: Any) -> None:
    """Forget what cells raised, as its frames hold on to memory that properties may need."""
    if not hasattr(sys, "last_traceback"):
        return
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(name, None)
    shell.InteractiveTB.tb = shell.last_execution_result = None
    gc.collect()


class _NoPipe:
    """Discards what a child of the kernel prints. Connecting would be refused, which takes a second."""

    def send_multipart(self, parts: Any, *args: Any, **kwargs: Any) -> None:
        """Drop it."""

    def close(self) -> None:
        """Nothing to close."""

    def term(self) -> None:
        """Nothing to end."""


def bind_iopub_pipe(directory: str) -> None:
    """Use a Unix socket for the output of a kernel's children, as ipykernel would use TCP; the children themselves use none."""
    import zmq  # noqa: PLC0415
    from ipykernel.iostream import IOPubThread  # noqa: PLC0415
    from zmq.eventloop.zmqstream import ZMQStream  # noqa: PLC0415

    address = f"ipc://{directory}/children"

    def listen(thread: Any) -> None:
        thread._pipe_uuid = os.urandom(16)
        pipe = thread.socket.context.socket(zmq.PULL)
        pipe.linger = 0
        pipe.bind(address)
        thread._pipe_in = ZMQStream(pipe, thread.io_loop)
        thread._pipe_in.on_recv(thread._handle_pipe_msg)

    def connect(thread: Any) -> tuple[Any, Any]:
        return _NoPipe(), _NoPipe()

    thread_class: Any = IOPubThread
    thread_class._setup_pipe_in = listen
    thread_class._setup_pipe_out = connect


if __name__ == "__main__":
    main()
