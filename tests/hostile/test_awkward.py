"""Honest code with awkward habits keeps full marks."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from collections.abc import Callable

import pytest

from grader.scoring.result import Result
from tests.conftest import handwritten, lost, notebook, solutions

pytestmark = pytest.mark.long

Graded = Callable[[str], Result]

FIRST = {
    "seeds and random numbers": """
        import random, numpy as np, torch
        random.seed(7); np.random.seed(7); torch.manual_seed(7); torch.cuda.manual_seed_all(7)
        _ = [random.random() for _ in range(1000)], np.random.rand(1000), torch.rand(1000)
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
    """,
    "default dtype is double": "import torch\ntorch.set_default_dtype(torch.float64)",
    "gradients are off": "import torch\ntorch.set_grad_enabled(False)",
    "print is patched": """
        import builtins, functools
        _print = print
        print = functools.partial(_print, flush=True)
        builtins.print = lambda *args, **kwargs: _print("[log]", *args, **kwargs)
    """,
    "a megabyte is printed": "for number in range(10_000):\n    print('x' * 100)",
    "threads": """
        import threading, queue, concurrent.futures
        waiting = queue.Queue()
        threading.Thread(target=waiting.get, daemon=True).start()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
    """,
    "warnings": """
        import warnings
        warnings.simplefilter("always")
        warnings.warn("this may be slow")
        warnings.showwarning = lambda *args, **kwargs: None
    """,
    "plots": """
        import matplotlib, matplotlib.pyplot as plt
        plt.style.use("ggplot"); matplotlib.rcParams["figure.dpi"] = 150
        figure, axes = plt.subplots(2, 2); axes[0, 0].imshow([[1, 2], [3, 4]]); plt.show(); plt.close("all")
    """,
    "arguments and environment": """
        import os, sys, argparse
        options, _ = argparse.ArgumentParser().parse_known_args(sys.argv[1:])
        os.environ["CUDA_LAUNCH_BLOCKING"] = "1"; os.environ["TOKENIZERS_PARALLELISM"] = "false"
        os.environ.pop("TMPDIR", None)
    """,
    "another folder": "import os\nos.makedirs('work/deep', exist_ok=True)\nos.chdir('work/deep')\nopen('notes.txt', 'w').write('x')",
    "builtins used well": """
        list_, id_ = list, id
        def sum(values, start=0):
            total = start
            for value in values: total = total + value
            return total
        max = lambda *values: sorted(values[0] if len(values) == 1 else values)[-1]
        input = lambda prompt="": "y"
        id, type_, dir, filter = 3, type, "./data", None
    """,
    "logging": """
        import logging
        logging.basicConfig(level=logging.DEBUG, force=True)
        logging.getLogger().info("start")
        logging.disable(logging.WARNING)
    """,
    "tqdm": """
        from tqdm import tqdm, trange
        from tqdm.notebook import tqdm as bar
        for _ in tqdm(range(100), desc="load"): pass
        for _ in trange(3): pass
    """,
    "loader": """
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        for batch in DataLoader(TensorDataset(torch.zeros(10, 2)), batch_size=2, shuffle=True, num_workers=0): pass
        try:
            for batch in DataLoader(TensorDataset(torch.zeros(10, 2)), batch_size=2, num_workers=2): pass
        except Exception as error:
            print(error)
    """,
    "settings of torch": """
        import torch, sys, gc
        torch.set_num_threads(2); torch.set_printoptions(precision=2, sci_mode=False)
        torch.autograd.set_detect_anomaly(False)
        sys.setrecursionlimit(5000); gc.disable()
    """,
    "exit hooks and signals": """
        import atexit, signal, faulthandler
        atexit.register(print, "bye"); signal.signal(signal.SIGTERM, lambda *args: None)
    """,
    "asynchronous code": "import asyncio\nawait asyncio.sleep(0)\nasync def go(): return 1\nassert await go() == 1",
}

LAST = {
    "slow first call": """
        import time
        _forward, _slow = AttentionHead.forward, []
        def slow(self, x, attn_mask):
            if not _slow:
                _slow.append(time.sleep(1.5))
            return _forward(self, x, attn_mask)
        AttentionHead.forward = slow
    """,
    "seeds in forward": """
        _forward = DialogueLoss.forward
        def seeded(self, *args, **kwargs):
            torch.manual_seed(0)
            print("loss")
            return _forward(self, *args, **kwargs)
        DialogueLoss.forward = seeded
    """,
    "a subclass": """
        class Better(AttentionHead):
            pass
        AttentionHead = Better
    """,
    "double at the end": "torch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)",
    "a decorated forward": """
        import functools
        def logged(function):
            @functools.wraps(function)
            def run(*args, **kwargs):
                run.count = getattr(run, "count", 0) + 1
                return function(*args, **kwargs)
            return run
        PatchEmbed.forward = logged(PatchEmbed.forward)
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("habit", list(FIRST))
def test_habits_before_the_classes(graded: Graded, habit: str) -> None:
    import textwrap

    result = graded(notebook(textwrap.dedent(FIRST[habit]), *handwritten()))
    assert lost(result) == set(), habit
    assert result.score == 18


@pytest.mark.slow
@pytest.mark.parametrize("habit", list(LAST))
def test_habits_after_the_classes(graded: Graded, habit: str) -> None:
    import textwrap

    result = graded(notebook(*handwritten(), textwrap.dedent(LAST[habit])))
    assert lost(result) == set(), habit
    assert result.score == 18


def test_many_habits_at_once(graded: Graded) -> None:
    import textwrap

    together = [textwrap.dedent(source) for source in FIRST.values()]
    forward = solutions()["attention-head"].replace("def forward(self, x", "def forward(self, x", 1)
    result = graded(
        notebook(*together, *handwritten(attention_head=forward), textwrap.dedent(LAST["seeds in forward"]))
    )
    assert lost(result) == set()
    assert result.score == 18
