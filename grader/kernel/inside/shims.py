"""Habits from Colab and notebooks that should cost no points: modules exist, data is provided, no debugger waits."""

from __future__ import annotations

import contextlib
import importlib.abc
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import absent
import torch


class _Nothing(types.ModuleType):
    """A module of which every attribute is a harmless callable that returns None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def pretend_colab() -> None:
    """``from google.colab import drive, files`` works and does nothing."""
    sys.meta_path.append(absent.Finder(["google.colab"], _Nothing))
    if "google" not in sys.modules:
        sys.meta_path.append(absent.Finder(["google"], _Nothing))


def stand_for_absent(packages: Sequence[str]) -> None:
    """Importing one of these packages succeeds; using it names what is missing."""
    sys.meta_path.append(absent.Finder(packages, absent.AbsentModule))


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


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """While this is active, torchvision is imported without torch's compiler, which takes as long to import as torch.

    torchvision uses one function of the compiler; calling that function imports it. Other code imports it as usual.
    """
    if "torch._dynamo" in sys.modules:
        yield
        return

    def is_compile_supported(device_type: str) -> bool:
        supported: bool = importlib.import_module("torch._dynamo.utils").is_compile_supported(device_type)
        return supported

    package, utils = types.ModuleType("torch._dynamo"), types.ModuleType("torch._dynamo.utils")
    package.__dict__["__path__"] = []
    utils.__dict__["is_compile_supported"] = is_compile_supported
    offered = {module.__name__: module for module in (package, utils)}
    sys.modules.update(offered)
    try:
        yield
    finally:
        for name, module in offered.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class TorchvisionMender(importlib.abc.MetaPathFinder):
    """Mends torchvision at its first import, so that who does not import it does not wait for it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Find nothing; the regular finders come next."""
        if fullname == "torchvision" and self in sys.meta_path:
            sys.meta_path.remove(self)
            with without_compiler():
                mend_torchvision()


def no_debugger() -> None:
    """``breakpoint()`` and ``set_trace()`` do nothing: nobody would answer them."""
    import pdb  # noqa: PLC0415

    import IPython.core.debugger  # noqa: PLC0415

    def go_on(*args: Any, **kwargs: Any) -> None:
        """Stop nowhere."""

    sys.breakpointhook = go_on
    for module in (pdb, IPython.core.debugger):
        module.set_trace = module.post_mortem = go_on  # type: ignore[attr-defined]


def plain_progress_bars() -> None:
    """``tqdm.notebook`` draws no widgets, which are not installed here."""
    try:
        from tqdm import std  # noqa: PLC0415
    except ImportError:
        return
    module = types.ModuleType("tqdm.notebook")
    names = {"tqdm": std.tqdm, "trange": std.trange, "tqdm_notebook": std.tqdm, "tnrange": std.trange}
    vars(module).update(names)
    sys.modules["tqdm.notebook"] = module
    vars(sys.modules["tqdm"])["notebook"] = module


class NltkMender(importlib.abc.MetaPathFinder):
    """Lets nltk find the data that the grader provides, wherever a notebook tells it to look; see `provide_nltk_data`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Find nothing, but mend nltk after its first import."""
        if fullname == "nltk" and self in sys.meta_path:
            sys.meta_path.remove(self)
            try:
                import nltk  # noqa: F401, PLC0415
            except ImportError:
                return
            provide_nltk_data(self.folder)


def read_data_of_any_mode(nltk: Any) -> None:
    """Let nltk read what a group may write to, as all files are where the umask is 002; from 3.10 on it refuses them.

    Here is nothing to guard: the data come from the grader, and the notebook's own are the notebook's.
    """
    pathsec = getattr(nltk, "pathsec", None)
    if pathsec is not None:
        pathsec.ENFORCE = False


def match_without_clock(nltk: Any) -> None:
    """Let nltk match without a limit of time: kernels have their own, and it asks the system for the time at each match."""
    redos = getattr(nltk, "redos", None)
    if redos is not None:
        redos.DEFAULT_TIMEOUT = None


def read_punkt() -> None:
    """Read Punkt's data from the folder in ``NLTK_DATA``. nltk keeps them; reading them in each kernel would take 40 ms."""
    nltk: Any = sys.modules.get("nltk")
    if nltk is not None:
        read_data_of_any_mode(nltk)
        with contextlib.suppress(Exception):  # a kernel that needs them raises it again
            nltk.word_tokenize("Read the data.")


def provide_nltk_data(folder: str) -> None:
    """Look in ``folder`` last, whatever becomes of ``nltk.data.path``; downloads succeed, as the data is there."""
    nltk: Any = sys.modules["nltk"]
    read_data_of_any_mode(nltk)
    match_without_clock(nltk)
    find = nltk.data.find

    def find_also_here(resource_name: str, paths: Any = None) -> Any:
        try:
            return find(resource_name, paths)
        except LookupError:
            try:
                return find(resource_name, [folder])
            except LookupError:
                pass
            raise

    nltk.data.find = find_also_here
    for owner in (nltk, nltk.downloader, nltk.downloader.Downloader):
        owner.download = lambda *args, **kwargs: True
