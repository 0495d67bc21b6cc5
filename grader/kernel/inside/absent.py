"""Names that the notebook expects and the grader does not have: each stands for itself until it is used.

A name of an absent package, or one that a failed or skipped statement should have made, becomes a `NotAvailable`. It can be
imported, subscripted, passed on, be an annotation, a default or a base class; whatever needs its value raises, and says why
there is none.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import pathlib
import sys
import types
from collections.abc import Sequence
from typing import Any

import torch

# They only hold modules: one from an absent package, such as fairscale's ModuleList, holds the same.
_CONTAINERS = (
    torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.ParameterList, torch.nn.ParameterDict, torch.nn.Sequential,
)  # fmt: skip


class NotAvailable:
    """Stands for a value that is not there. ``reason`` is a sentence for the student; ``package`` is its absent package."""

    __slots__ = ("_name", "_package", "_reason")

    def __init__(self, name: str, reason: str, package: str = "") -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_reason", reason)
        object.__setattr__(self, "_package", package)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return NotAvailable(f"{self._name}.{name}", self._reason, self._package)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A container where this is the name of one; raises for all else."""
        kind = next((kind for kind in _CONTAINERS if self._name.rpartition(".")[2].endswith(kind.__name__)), None)
        if kind is None or not self._package:
            raise error_of(self)
        return kind(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self

    def __or__(self, other: Any) -> Any:
        return self

    __ror__ = __or__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        others = [base for base in bases if isinstance(base, type)]
        first = next(base for base in bases if isinstance(base, NotAvailable))
        if first is not self or any(issubclass(base, torch.nn.Module) for base in others):
            return ()
        return (AbsentBase,)

    def __repr__(self) -> str:
        return f"<{self._name} is not available: {self._reason}>"

    def __reduce__(self) -> Any:
        return NotAvailable, (self._name, self._reason, self._package)

    def __instancecheck__(self, instance: Any) -> bool:
        return False  # nothing is an instance of a class that is not there

    __subclasscheck__ = __instancecheck__


class AbsentBase(torch.nn.Module):
    """The base of a class whose own base is absent. What frameworks' modules have beyond ``nn.Module`` does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take whatever the absent base takes."""
        super().__init__()

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """Log nothing, save nothing."""

    log = log_dict = save_hyperparameters = post_init = init_weights = _nothing

    @property
    def device(self) -> torch.device:
        """Where the parameters are, as frameworks' modules have it."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))


def error_of(value: NotAvailable) -> Exception:
    """What using a value raises: the package is not installed, or the name has no value."""
    if value._package:
        return ModuleNotFoundError(value._reason, name=value._package)
    return NameError(f"`{value._name}` is not available: {value._reason}")


def reason_of(value: Any) -> str | None:
    """Why a name has no value; None for all other values."""
    return value._reason if type(value) is NotAvailable else None


def _refuse(self: NotAvailable, *args: Any, **kwargs: Any) -> Any:
    raise error_of(self)


# What needs a value, by the methods that Python looks up on the type.
for _name in (
    "len", "iter", "next", "contains", "bool", "int", "float", "index", "enter", "exit", "setattr", "setitem",
    "delattr", "delitem", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "add", "radd", "sub", "rsub", "mul",
    "rmul", "matmul", "rmatmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow", "and",
    "rand", "xor", "rxor", "lshift", "rlshift", "rshift", "rrshift", "format", "str", "fspath", "await",
):  # fmt: skip
    setattr(NotAvailable, f"__{_name}__", _refuse)


class AbsentModule(types.ModuleType):
    """Stands for a package that is not installed: importing from it succeeds, and using what was imported is the error."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        top = self.__name__.partition(".")[0]
        return NotAvailable(f"{self.__name__}.{name}", f"the package {top!r} is not installed in the grader", top)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of chosen packages, whatever their submodules are called."""

    def __init__(self, packages: Sequence[str], kind: type[types.ModuleType]) -> None:
        self.packages, self.kind = frozenset(packages), kind

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for the chosen packages and all below them, where the notebook asks for them."""
        if not any(fullname == name or fullname.startswith(name + ".") for name in self.packages):
            return None
        if self.kind is AbsentModule and _asked_by_a_library():
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """An empty module of the finder's kind."""
        return self.kind(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def _asked_by_a_library() -> bool:
    """Whether the import under way stands in a library, which may cope without an optional package of its own."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename == "<frozen importlib.util>":
            return True  # its find_spec asks whether a package is there
        if filename != __file__ and not filename.startswith("<frozen importlib"):
            return not filename.startswith(("cell-", "<", str(pathlib.Path.cwd())))
        frame = frame.f_back
    return False


def stand_for_names(namespace: dict[str, Any], reasons: dict[str, str]) -> list[str]:
    """Give names without a value one that says why; the names that were given one. Those that have a value keep it."""
    given = []
    for name, reason in reasons.items():
        if name not in namespace or type(namespace[name]) is NotAvailable:
            # Whatever a device was chosen by: here there is one.
            is_device = name.lower() == "device"
            namespace[name] = torch.device("cpu") if is_device else NotAvailable(name, reason)
            given.append(name)
    return given
