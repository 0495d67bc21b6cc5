"""GPUs are found without torch and CUDA; what a kernel that may use one can reach beyond others, and what it cannot."""

from __future__ import annotations

import ctypes
import importlib.machinery
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader import doctor
from grader.kernel import gpu
from grader.kernel.confinement import landlock
from grader.kernel.process import environment
from tests.isolation.conftest import Cell


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    gpu.driver_folders.cache_clear()
    gpu.is_present.cache_clear()
    yield
    gpu.driver_folders.cache_clear()
    gpu.is_present.cache_clear()


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that only LD_LIBRARY_PATH names, where a driver's library lies."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "libcuda.so.1").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path / 'empty'}{os.pathsep}{folder}")
    return folder


class Library:
    """Stands for NVML: how many GPUs it counts, or the error that it starts with."""

    def __init__(self, count: int, error: int = 0) -> None:
        self.count, self.error = count, error

    def nvmlInit_v2(self) -> int:
        return self.error

    def nvmlDeviceGetCount_v2(self, place: Any) -> int:
        place._obj.value = self.count
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, place: Any) -> int:
        return 0

    def nvmlDeviceGetName(self, device: Any, name: Any, size: int) -> int:
        name.value = b"NVIDIA X1"
        return 0

    def nvmlShutdown(self) -> int:
        return 0


Machine = Callable[..., None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Pretend a driver that counts GPUs, and a torch that is built for CUDA or not."""

    def make(library: Library | None, cuda: str = "cuda: Optional[str] = '12.8'", at: str = "") -> None:
        def opened(name: str) -> Library:
            if library is None or name != str(Path(at, "libnvidia-ml.so.1")):
                raise OSError(name)
            return library

        torch = tmp_path / "torch"
        torch.mkdir(exist_ok=True)
        (torch / "version.py").write_text(f"__version__ = '2.9'\ndebug = False\n{cuda}\nhip = None\n")
        spec = importlib.machinery.ModuleSpec("torch", None, is_package=True)
        spec.submodule_search_locations = [str(torch)]
        monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: spec)
        monkeypatch.setattr(ctypes, "CDLL", opened)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return make


def test_a_gpu_that_the_driver_counts_is_present(machine: Machine) -> None:
    machine(Library(2))
    assert gpu.is_present() and gpu.names() == ("NVIDIA X1", "NVIDIA X1")
    assert doctor._gpu().ok and "NVIDIA X1" in doctor._gpu().detail


def test_a_torch_that_cannot_use_it_is_found(machine: Machine) -> None:
    machine(Library(1), "cuda = None")
    finding = doctor._gpu()
    assert not gpu.is_present() and finding.ok is None and "built for the CPU" in finding.detail


def test_the_driver_is_found_where_only_the_environment_names_it(machine: Machine, driver: Path) -> None:
    machine(Library(1), at=str(driver))
    assert gpu.is_present()


@pytest.mark.parametrize(
    ("library", "cuda", "visible"),
    [
        (None, "cuda = '12.8'", None),
        (Library(0), "cuda = '12.8'", None),
        (Library(1, error=9), "cuda = '12.8'", None),
        (Library(1), "cuda = None", None),
        (Library(1), "cuda: Optional[str] = None", None),
        (Library(1), "cuda = '12.8'", ""),
        (Library(1), "cuda = '12.8'", "-1"),
    ],
    ids=["no driver", "no GPU", "no start", "torch for the CPU", "typed", "hidden", "hidden by number"],
)
def test_what_is_no_gpu(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, library: Library | None, cuda: str, visible: str | None
) -> None:
    machine(library, cuda)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert not gpu.is_present()


def test_a_kernel_finds_the_driver_and_has_a_name(driver: Path, tmp_path: Path) -> None:
    assert gpu.driver_folders()[0] == str(driver)
    made = environment(tmp_path)
    assert made["LD_LIBRARY_PATH"].split(os.pathsep)[0] == str(driver)
    assert made["USER"] == "student" and made["CUDA_VISIBLE_DEVICES"] == ""


def test_only_a_kernel_that_may_use_a_gpu_reads_the_driver(driver: Path) -> None:
    def rules(*, allowed: bool) -> dict[str, int]:
        found = landlock.rules(7, Path("/own"), [], [], programs=False, gpu=allowed, shared_memory=False)
        return dict(found["rules"])

    assert str(driver) in rules(allowed=True) and str(driver) not in rules(allowed=False)


def test_a_kernel_that_may_use_a_gpu_names_its_threads_and_sees_no_other_process(cell: Cell) -> None:
    source = f"""
        import os

        def named():
            # As CUDA does it: opened for writing, cut to nothing.
            with open(f"/proc/self/task/{{os.getpid()}}/comm", "w") as file:
                file.write("cuda00001400006")

        print(json.dumps([
            attempt(named),
            attempt(lambda: open("/proc/devices").read()),
            attempt(lambda: open("/proc/{os.getpid()}/cmdline").read()),
            attempt(lambda: open("/proc/{os.getpid()}/environ").read()),
            attempt(lambda: open("/proc/{os.getpid()}/comm", "w")),
            attempt(lambda: os.listdir("/proc")),
            attempt(lambda: open("/proc/sys/vm/overcommit_memory", "w")),
        ]))
    """
    refused = "PermissionError"
    assert cell.run(source, gpu=True) == ["done", "done", refused, refused, refused, refused, refused]
    named, devices, *others = cell.run(source)
    assert [named, devices] == [refused, refused] and set(others) == {refused}
