"""Connects jupyter_client to a kernel process that already runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, cast

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from grader.errors import KernelError
from grader.kernel.process import KernelProcess

MAX_MESSAGE = 16 << 20
MAX_WAITING = 100


class _Provisioner(KernelProvisionerBase):
    """Hands a process that already exists to jupyter_client."""

    process: Any = None

    @property
    def has_process(self) -> bool:
        return self.process is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        return {"cmd": [], **kwargs}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        manager: Any = self.parent
        return cast("KernelConnectionInfo", manager.get_connection_info())

    async def poll(self) -> int | None:
        return self.process.poll() if self.process else 0

    async def wait(self) -> int | None:
        while (status := await self.poll()) is None:
            await asyncio.sleep(0.01)
        return status

    async def send_signal(self, signum: int) -> None:
        self.process.signal(signum)

    async def kill(self, restart: bool = False) -> None:
        self.process.kill()

    async def terminate(self, restart: bool = False) -> None:
        self.process.kill()

    async def cleanup(self, restart: bool = False) -> None:
        return None


class _Client(AsyncKernelClient):
    """A client that is ready as soon as the first message of each channel is through."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        # What waits in the judge's memory is bounded, whatever the kernel sends; and a kernel that breaks its connection
        # leaves nobody to send to, which without a limit takes for ever.
        self.context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        self.context.setsockopt(zmq.RCVHWM, MAX_WAITING)
        self.context.setsockopt(zmq.SNDTIMEO, 2000)

    def start_channels(
        self,
        shell: bool = True,
        iopub: bool = True,
        stdin: bool = True,
        hb: bool = True,
        control: bool = True,
    ) -> None:
        """Open all channels but the heartbeat: whether the process lives is asked of the system, not of the process."""
        super().start_channels(shell=shell, iopub=iopub, stdin=stdin, hb=False, control=control)

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Ask for the kernel's information until shell and IOPub both answer; raises `KernelError` after ``timeout`` s."""
        deadline = time.monotonic() + (timeout or 60)
        while time.monotonic() < deadline:
            wanted = self.kernel_info()
            try:
                while (await self.shell_channel.get_msg(timeout=2))["parent_header"].get("msg_id") != wanted:
                    pass
                while True:
                    message = await self.iopub_channel.get_msg(timeout=0.5)
                    if message["parent_header"].get("msg_id") == wanted and (
                        message["content"].get("execution_state") == "idle"
                    ):
                        return
            except Exception as error:  # queue.Empty, or a message of a kernel that is broken
                if not await self.is_alive():
                    raise KernelError("the kernel process ended while it started") from error
        raise KernelError("the kernel process did not become ready")


class Manager(AsyncKernelManager):
    """A jupyter_client manager for one process of ours, over Unix sockets in ``directory``."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            transport="ipc", ip=str(directory / "k"), connection_file=str(directory / "connection.json")
        )
        self.client_factory = _Client
        self._kernel_spec = KernelSpec(argv=[], language="python", display_name="judged")
        self.cache_ports = False
        self.kernel_id = "judged"
        self.provisioner = _Provisioner(kernel_id="judged", kernel_spec=self._kernel_spec, parent=self)
        self.write_connection_file()

    def cleanup_connection_file(self) -> None:
        """Leave the file to the workspace: this is also called when a manager is collected, long after the next kernel of the
        same folder has its file there.
        """

    def adopt(self, process: KernelProcess) -> None:
        """Take a running process as the kernel."""
        provisioner: Any = self.provisioner
        provisioner.process = process
