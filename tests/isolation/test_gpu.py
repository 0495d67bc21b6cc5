"""Finding GPUs without torch and CUDA, and what a kernel that may use one can reach."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader import doctor
from grader.kernel import confinement, gpu
from grader.kernel.confinement import landlock
from grader.kernel.process import environment
from tests.isolation.conftest import Cell


@pytest.fixture(autouse=True)
def _forget_driver_folders() -> Iterator[None]:
    gpu.driver_folders.cache_clear()
    yield
    gpu.driver_folders.cache_clear()


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


def driver_at(library: Library | None, folder: str = "") -> gpu.Load:
    """Opens a driver's library that lies in a folder, or none."""

    def load(name: str) -> Library:
        if library is None or name != str(Path(folder, "libnvidia-ml.so.1")):
            raise OSError(name)
        return library

    return load


@pytest.fixture
def torch_with(tmp_path: Path) -> Callable[[str], list[str]]:
    """Makes a package torch whose version file has a line on CUDA, and returns its folders."""

    def make(cuda: str) -> list[str]:
        (tmp_path / "version.py").write_text(f"__version__ = '2.9'\ndebug = False\n{cuda}\nhip = None\n")
        return [str(tmp_path)]

    return make


def test_gpus_that_the_driver_counts_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    names = gpu.names(driver_at(Library(2)))
    assert names == ("NVIDIA X1", "NVIDIA X1")
    finding = doctor.gpu_finding(names, torch_knows_cuda=True)
    assert finding.ok and "NVIDIA X1" in finding.detail


def test_doctor_says_that_torch_cannot_use_the_gpu() -> None:
    finding = doctor.gpu_finding(("NVIDIA X1",), torch_knows_cuda=False)
    assert finding.ok is None and "built for the CPU" in finding.detail


def test_a_driver_that_only_the_environment_names_is_found(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu.names(driver_at(Library(1), str(driver))) == ("NVIDIA X1",)


@pytest.mark.parametrize(
    "library", [None, Library(0), Library(1, error=9)], ids=["no driver", "no GPU", "the driver does not start"]
)
def test_no_gpu_is_found(monkeypatch: pytest.MonkeyPatch, library: Library | None) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu.names(driver_at(library)) == ()


@pytest.mark.parametrize("visible", ["", "-1"])
def test_hidden_gpus_do_not_count(monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.names(driver_at(Library(1))) == ()


@pytest.mark.parametrize(
    ("line", "built"),
    [
        ("cuda = '12.8'", True),
        ("cuda: Optional[str] = '12.8'", True),
        ("cuda = None", False),
        ("cuda: Optional[str] = None", False),
    ],
)
def test_torch_is_built_for_cuda_or_not(torch_with: Callable[[str], list[str]], line: str, built: bool) -> None:
    assert gpu.torch_knows_cuda(torch_with(line)) is built


def test_a_kernel_finds_the_driver_and_has_a_name(driver: Path, tmp_path: Path) -> None:
    assert gpu.driver_folders()[0] == str(driver)
    made = environment(tmp_path)
    assert made["LD_LIBRARY_PATH"].split(os.pathsep)[0] == str(driver)
    assert made["USER"] == "student" and made["CUDA_VISIBLE_DEVICES"] == ""


def test_only_a_kernel_that_may_use_a_gpu_reads_the_driver(driver: Path) -> None:
    def rules(*, allowed: bool) -> dict[str, int]:
        found = landlock.rules(7, Path("/own"), landlock.Access(gpu=allowed))
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
    assert cell.run(source, confinement.Access(gpu=True)) == ["done", "done", refused, refused, refused, refused, refused]
    named, devices, *others = cell.run(source)
    assert [named, devices] == [refused, refused] and set(others) == {refused}
