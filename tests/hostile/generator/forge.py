"""Submissions that try to forge a verdict: they answer for the kernel, or change what the comparison runs on."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import WIRE, WRAP, behind, in_forward, in_front

_IN_FORWARD = """
def answer(original, self, args, kwargs):
    for data in DATA:
        say(data)
    return run(original, self, args, kwargs)
"""
KINDS = kinds(
    "forge",
    control_answers_ahead=behind(
        WIRE
        + """
for _ in range(50):
    say(json.dumps({"pid": 1, "status": 0, "ready": True, "layers": ["forged"], "passed": True}).encode())
"""
    ),
    control_garbage=behind(
        WIRE + "\nfor data in (b'[' * 60000, b'1', b'null', b'\\xff' * 100, b'{}'):\n    say(data)\n"
    ),
    reply_one_trial_of_many=in_forward(WIRE + "\nDATA = [frame([{'values': [['n']]}])]\n" + _IN_FORWARD),
    reply_errors_of_odd_types=in_forward(
        WIRE
        + """
DATA = [frame([{"error": {"type": "E", "message": "m", "frames": [[float("inf"), 1, "f", "t"]]}}]).replace(b"Infinity", b"1e999"),
        frame([{"error": {"type": ["E"], "message": {}, "frames": {}}}]), frame([{"error": 3}])]
"""
        + _IN_FORWARD
    ),
    reply_of_wrong_shapes=in_forward(
        WIRE
        + """
DATA = [frame([{"values": [["a", "float32", [10**9, 10**9], 0]]}], [b"abcd"]),
        frame([{"values": [["a", "float32", [-1, -4], 0]]}], [b"abcd"]), frame([]), frame({}), frame([None] * 1000)]
"""
        + _IN_FORWARD
    ),
    reply_prefix_of_gigabytes=in_forward(
        WIRE
        + '\nDATA = [struct.pack("<4sIIQ", b"hw3\\x01", 2**32 - 1, 2**32 - 1, 2**64 - 1), b"hw3\\x01" * 1000]\n'
        + _IN_FORWARD
    ),
    reply_deeply_nested=in_forward(
        WIRE
        + """
text = b"[" * 200000 + b"]" * 200000
DATA = [struct.pack("<4sIIQ", b"hw3\\x01", len(text), 0, 0) + text,
        frame([{"values": [__import__("functools").reduce(lambda inner, _: ["l", [inner]], range(400), ["n"])]}])]
"""
        + _IN_FORWARD
    ),
    agent_answers_passed=in_front(
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
    agent_found_by_frames=in_front(
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
    trace_rewrites_returns=behind(
        """
        import sys, threading
        def trace(frame, event, arg):
            if event == "return" and frame.f_code.co_name in ("serve_property", "run", "describe", "check"):
                frame.f_locals["replies"] = [{"values": [["b", True]]}]
            return trace
        sys.settrace(trace); threading.settrace(trace)
        """
    ),
    encoder_patched=behind(
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
    standin_records_forged=behind(
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
    module_call_patched=behind(
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
    torch_functions_patched=behind(
        """
        import torch
        for name in ("matmul", "softmax", "exp", "sum", "einsum", "bmm"):
            setattr(torch, name, lambda *args, **kwargs: args[0])
        torch.Tensor.__eq__ = lambda self, other: True
        torch.Tensor.detach = lambda self: torch.zeros(1)
        torch.autograd.grad = lambda *args, **kwargs: [torch.zeros(1)]
        """
    ),
    forged_jupyter_messages=in_front(
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
    execute_reply_replaced=in_front(
        """
        kernel = get_ipython().kernel
        async def execute(*args, **kwargs):
            return {"status": ["ok"], "execution_count": {"a": 1}, "ename": [1] * 10, "evalue": {}, "traceback": {"a": "b"}}
        kernel.do_execute = execute
        """
    ),
    prints_full_marks=behind(
        """
        import json
        print(json.dumps({"schema_version": 1, "score": 18, "max_score": 18, "pending": 0}))
        print("2a passed 2b passed 18 / 18")
        raise SystemExit(0)
        """
    ),
    classes_named_like_properties=behind(
        WRAP
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
