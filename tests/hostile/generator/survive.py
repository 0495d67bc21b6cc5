"""Submissions that try to outlive their grading, or end the kernel within it."""


from __future__ import annotations

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import behind, in_forward

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
KINDS = kinds(
    "survive",
    daemon_from_a_cell=behind(_DAEMON + "daemon()\n"),
    daemon_from_forward=in_forward(
        _DAEMON
        + "\ndef answer(original, self, args, kwargs):\n    daemon(); return run(original, self, args, kwargs)\n"
    ),
    atexit_hangs=behind(
        "import atexit, time\natexit.register(time.sleep, 25)\natexit.register(lambda: print('x' * 100000))"
    ),
    thread_that_restarts_it=behind(
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
    forks_that_hop=behind(
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
    exits_in_a_cell=behind("import os\nos._exit(0)"),
    exits_in_forward=in_forward("def answer(original, self, args, kwargs):\n    os._exit(0)\n"),
    segfaults_in_a_cell=behind("import ctypes\nctypes.string_at(0)"),
    aborts_in_forward=in_forward("def answer(original, self, args, kwargs):\n    os.abort()\n"),
    forks_in_forward_and_both_answer=in_forward(
        """
        def answer(original, self, args, kwargs):
            os.fork()
            return run(original, self, args, kwargs)
        """
    ),
    quits_by_exception=in_forward("def answer(original, self, args, kwargs):\n    raise SystemExit(0)\n"),
    interrupts_by_exception=in_forward(
        "def answer(original, self, args, kwargs):\n    raise KeyboardInterrupt\n"
    ),
)
