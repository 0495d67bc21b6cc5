"""A check leaves the process as it was, and stops what takes too long."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from grader.checking.keeping import as_in_a_kernel
from grader.checking.local import LocalKernel
from grader.checking.time_limit import OutOfTime, time_limit
from grader.homework3 import HOMEWORK
from grader.judging.budget import Budget
from grader.judging.engine import Engine
from grader.kernel.limits import Limits
from grader.scoring.verdict import Verdict
from tests.conftest import handwritten

SHAPES = "attention_head.test_shapes"
HEAD = """
import torch
from torch import nn
class AttentionHead(nn.Module):
    def __init__(self, dim, n_hidden):
        super().__init__()
        self.values = nn.Linear(dim, n_hidden)
    def forward(self, x, attn_mask):
        {body}
        alpha = torch.softmax(x @ x.transpose(1, 2), -1)
        return alpha @ self.values(x), alpha
"""


def defined(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(source, namespace)
    return namespace


def judge(namespace: dict[str, Any], *names: str, seconds: float = 20.0) -> dict[str, Verdict]:
    with as_in_a_kernel(namespace):
        kernel = LocalKernel(namespace, Limits(property=seconds, part=60.0))
        with Engine(kernel, b"a seed", homework=HOMEWORK, budget=lambda: Budget(memory=None, alarm=False)) as engine:
            return engine.judge(HOMEWORK.properties[name] for name in names)


def test_everything_is_as_before() -> None:
    namespace = defined("\n".join(handwritten()))
    trained = namespace["Transformer"](8, 4, 8, 2, 2)
    namespace["model"] = trained.train()
    provided = namespace["DialogueGPT"].generate
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    names = dict(namespace)
    torch.set_default_dtype(torch.float64)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    settings = torch.get_num_threads(), torch.device, torch.cuda.current_device, torch.Generator
    signals = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGPROF)
    modules, streams = set(sys.modules), (sys.stdout, sys.stderr)
    try:
        with torch.no_grad():
            verdicts = judge(namespace, SHAPES, "transformer.test_the_mask_reaches_each_block", "dialogue_gpt.test_shapes")
            assert not torch.is_grad_enabled()
        assert {verdict.status for verdict in verdicts.values()} == {"passed"}, verdicts
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])
    assert (torch.get_num_threads(), torch.device, torch.cuda.current_device, torch.Generator) == settings
    assert (signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGPROF)) == signals
    assert (sys.stdout, sys.stderr) == streams
    assert not {"standins", "interpreter", "stage", "rounds"} & (set(sys.modules) - modules)
    assert namespace == names
    assert namespace["DialogueGPT"].generate is provided
    assert trained.training
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_it_is_as_before_also_after_an_interrupt() -> None:
    namespace = defined(HEAD.format(body="raise KeyboardInterrupt"))
    device, names = torch.device, dict(namespace)
    with pytest.raises(KeyboardInterrupt):
        judge(namespace, SHAPES)
    assert torch.device is device
    assert namespace == names


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        """while True:
            try:
                while True: pass
            except: break""",
    ],
    ids=["hangs", "swallows"],
)
def test_a_hang_is_stopped(body: str) -> None:
    started = time.monotonic()
    found = judge(defined(HEAD.format(body=body)), SHAPES, seconds=1.0)
    assert found[SHAPES].status == "failed"
    if body == "while True: pass":
        assert found[SHAPES].message == "no answer within 1 s, so it was stopped"
    assert time.monotonic() - started < 30


def test_a_hang_in_another_thread_is_stopped() -> None:
    ended: list[str] = []

    def hang() -> None:
        try:
            with time_limit(0.3):
                while True:
                    pass
        except OutOfTime:
            ended.append("stopped")

    thread = threading.Thread(target=hang, daemon=True)
    thread.start()
    thread.join(20)
    assert ended == ["stopped"]


def test_a_timer_of_the_notebook_goes_on() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with time_limit(5.0):
            pass
        deadline = time.monotonic() + 10
        while not rung and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung == [signal.SIGALRM]


def test_code_for_a_gpu_is_judged_on_the_cpu() -> None:
    namespace = defined(HEAD.format(body="x = x.cuda().to('cuda:0')"))
    assert judge(namespace, SHAPES)[SHAPES].status == "passed"


def test_places_in_the_notebook_are_named() -> None:
    source = HEAD.format(body="raise ValueError('no')")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "cell of mine", "exec"), namespace)
    with as_in_a_kernel(namespace):
        kernel = LocalKernel(namespace, Limits(), lambda name: "7" if name == "cell of mine" else None)
        with Engine(kernel, b"a seed", homework=HOMEWORK, budget=lambda: Budget(memory=None, alarm=False)) as engine:
            found = engine.judge([HOMEWORK.properties[SHAPES]])[SHAPES]
    assert found.message == "your code raised ValueError: no"
    assert "In [7], line 9, in forward" in (found.counterexample or "")
