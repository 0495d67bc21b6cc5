"""Submissions that use up time, memory, disk, descriptors or processes."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import WIRE, behind, changing_results, in_forward, in_front

KINDS = kinds(
    "exhaust",
    memory_in_a_cell=behind("x = bytearray(b'x') * (8 << 30)"),
    memory_by_pieces=behind("x = []\nfor _ in range(160):\n    x.append(bytearray(b'x') * (64 << 20))"),
    memory_in_forward=in_forward(
        """
        def answer(original, self, args, kwargs):
            self.__dict__["hog"] = [bytearray(b"x") * (256 << 20) for _ in range(40)]
            return run(original, self, args, kwargs)
        """
    ),
    shared_memory=behind(
        """
        import mmap, time
        x = mmap.mmap(-1, 7 << 30)
        for i in range(0, 7 << 30, 1 << 24):
            x[i:i + (1 << 24)] = bytes(1 << 24)
        """
    ),
    threads=behind(
        """
        import threading, time
        for _ in range(1500):
            try:
                threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
            except RuntimeError:
                break
        """
    ),
    fork_bomb=behind(
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
    descriptors=behind(
        "opened = []\ntry:\n    while len(opened) < 100000: opened.append(open('/dev/null'))\nexcept OSError: pass"
    ),
    disk_by_one_file=behind(
        """
        with open("big", "wb") as file:
            for _ in range(1400):
                file.write(bytes(1 << 20))
        """
    ),
    disk_by_deleted_files=behind(
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
    disk_by_many_files=behind("for number in range(60000):\n    open(f'f{number}', 'w').close()"),
    output_flood=behind("for _ in range(3000):\n    print('x' * 10000)"),
    output_one_huge_message=behind("print('x' * (200 << 20), flush=True)"),
    output_never_ends=behind(
        """
        import threading, time
        def flood(end=time.time() + 8):
            while time.time() < end:
                print("y" * 2000)
        threading.Thread(target=flood, daemon=True).start()
        """
    ),
    display_flood=behind(
        """
        from IPython.display import display, HTML
        for _ in range(2000):
            display(HTML("<b>x</b>" * 1000), display_id="same")
        """
    ),
    shell_flood=behind(
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
    huge_exception_message=in_forward(
        "def answer(original, self, args, kwargs):\n    raise ValueError('m' * (64 << 20))\n"
    ),
    huge_exception_in_a_cell=behind("raise ValueError('m' * (64 << 20))"),
    huge_repr=in_forward(
        """
        class R:
            def __repr__(self): return "r" * (64 << 20)
            __str__ = __repr__
        def answer(original, self, args, kwargs):
            raise ValueError(R())
        """
    ),
    huge_answer=changing_results("change = lambda tensor: torch.zeros(300 << 20, dtype=torch.uint8)"),
    huge_answer_within_limits=changing_results("change = lambda tensor: torch.zeros(50 << 20, dtype=torch.uint8)"),
    long_class_name=behind("raise type('E' * 1000000, (Exception,), {})('x')"),
    stack_overflow=behind(
        "import sys\nsys.setrecursionlimit(10**9)\ndef down(n):\n    return down(n + 1) + 1\ndown(0)"
    ),
    recursion_in_forward=in_forward(
        "def answer(original, self, args, kwargs):\n    return answer(original, self, args, kwargs)\n"
    ),
)
KINDS |= kinds(
    "exhaust",
    slow=True,
    endless_cell=behind("while True: pass"),
    endless_cell_that_swallows=behind(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ),
    endless_forward=in_forward("def answer(original, self, args, kwargs):\n    while True: pass\n"),
    sleeping_forward=in_forward("import time\ndef answer(original, self, args, kwargs):\n    time.sleep(3600)\n"),
    gil_held_in_c_cell=behind("x = (7 ** (10 ** 8)) ** 3"),
    gil_held_in_c_forward=in_forward(
        """
        import re
        def answer(original, self, args, kwargs):
            return re.match(r"(a+)+$", "a" * 60 + "b")
        """
    ),
    signals_ignored=in_front(
        """
        import signal
        for number in range(1, signal.NSIG):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        while True: pass
        """
    ),
    stops_itself=behind("import os, signal\ngetattr(os, 'kill')(os.getpid(), signal.SIGSTOP)"),
    stops_itself_in_forward=in_forward(
        "import signal\ndef answer(original, self, args, kwargs):\n    os.kill(os.getpid(), signal.SIGSTOP)\n"
    ),
    answers_just_in_time=in_forward(
        "import time\ndef answer(original, self, args, kwargs):\n    time.sleep(0.7)\n    return run(original, self, args, kwargs)\n"
    ),
    trickles_a_reply=in_forward(
        WIRE
        + """
def answer(original, self, args, kwargs):
    for byte in frame([{"values": []}] * 100):
        say(bytes([byte])); time.sleep(0.2)
"""
    ),
)
