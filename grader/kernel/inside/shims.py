"""Habits from Colab and from GPUs that should cost no points: CUDA means CPU here, google.colab and absent packages exist."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_CUDA_CALLS = {torch.Tensor.cuda}


class CudaIsCpu(TorchFunctionMode):
    """Turns every request for a CUDA device into one for the CPU."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace devices among the arguments of any torch function."""
        if func in _CUDA_CALLS:
            return args[0]
        if any(_is_cuda(value) for value in args):
            args = tuple("cpu" if _is_cuda(value) else value for value in args)
        if kwargs:
            kwargs = {
                key: "cpu" if _is_cuda(value) else value
                for key, value in kwargs.items()
                if key != "pin_memory"
            }
        return func(*args, **(kwargs or {}))


def _is_cuda(value: Any) -> bool:
    if type(value) is str:
        return value == "cuda" or value.startswith("cuda:")
    return type(value) is torch.device and value.type == "cuda"


def pretend_cuda() -> None:
    """Let ``.cuda()`` and ``device="cuda"`` work on a host without a GPU, for the rest of the process."""
    mode: Any = CudaIsCpu()
    mode.__enter__()
    _PRETENDING.append((mode, torch.cuda.synchronize, torch.cuda.empty_cache, torch.cuda.get_device_name))
    torch.cuda.synchronize = lambda device=None: None
    torch.cuda.empty_cache = lambda: None
    torch.cuda.get_device_name = lambda device=None: "CPU (CUDA is hidden while grading)"


def stop_pretending_cuda() -> bool:
    """Give CUDA its meaning back, in a process that has been given a GPU; whether it had another."""
    pretended = bool(_PRETENDING)
    for mode, *functions in reversed(_PRETENDING):
        mode.__exit__(None, None, None)
        torch.cuda.synchronize, torch.cuda.empty_cache, torch.cuda.get_device_name = functions
    _PRETENDING.clear()
    return pretended


_PRETENDING: list[tuple[Any, ...]] = []


class _Nothing(types.ModuleType):
    """A module of which every attribute is a harmless callable that returns None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


class _Absent(types.ModuleType):
    """Stands for a package that is not installed; using it, not importing it, is the error."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        top = self.__name__.partition(".")[0]
        raise ModuleNotFoundError(f"the package {top!r} is not installed in the grader", name=top)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of chosen packages, whatever their submodules are called."""

    def __init__(self, packages: Sequence[str], kind: type[types.ModuleType]) -> None:
        self.packages, self.kind = frozenset(packages), kind

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for the chosen packages and all below them."""
        if not any(fullname == name or fullname.startswith(name + ".") for name in self.packages):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """An empty module of the finder's kind."""
        return self.kind(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def pretend_colab() -> None:
    """``from google.colab import drive, files`` works and does nothing."""
    sys.meta_path.append(_Finder(["google.colab"], _Nothing))
    if "google" not in sys.modules:
        sys.meta_path.append(_Finder(["google"], _Nothing))


def stand_for_absent(packages: Sequence[str]) -> None:
    """Importing one of these packages succeeds; using it names what is missing."""
    sys.meta_path.append(_Finder(packages, _Absent))


class Refuser(importlib.abc.MetaPathFinder):
    """Refuses packages by name: their files cannot be read here, yet a folder of theirs would make an empty namespace."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Raise for the refused packages; leave the others to the finders that come next."""
        if fullname.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def mend_torchvision() -> None:
    """Define the operators without which a CUDA build of torchvision cannot be imported beside a CPU torch."""
    try:
        import torchvision  # noqa: F401, PLC0415
    except ImportError:
        return
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            return
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)


_KEPT: list[Any] = []


class TorchvisionMender(importlib.abc.MetaPathFinder):
    """Mends torchvision at its first import, so that who does not import it does not wait for it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Find nothing; the regular finders come next."""
        if fullname == "torchvision" and self in sys.meta_path:
            sys.meta_path.remove(self)
            mend_torchvision()
