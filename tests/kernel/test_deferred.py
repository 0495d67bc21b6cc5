"""Modules that run only when something of them is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grader import assets

INSIDE = assets.PACKAGE / "kernel" / "inside"
PACKAGE = {
    "__init__": "import slow.colors\nfrom slow import colors\nversion, setting = 3, {}\nran = ['slow']\n",
    "colors": "from slow import __name__ as package\nRED = package + ' red'\n",
    "plot": "import slow\nfrom slow.colors import RED\nslow.ran.append('plot')\ndef draw(): return RED\n",
    "broken": "import nowhere\n",
}
DEFERRED = ("slow", "slow.plot", "slow.broken")
USES = {
    "a module of the package": "import slow.plot as plt; unused(); assert plt.draw() == 'slow red'",
    "the package": "import slow; unused(); assert slow.version == 3",
    "the package by its module": "import slow.plot; unused(); slow.setting[1] = 2; assert slow.plot.draw() == 'slow red'",
    "a module from the package": "from slow import plot; unused(); assert plot.draw() == 'slow red'",
    "a name of a module": "from slow.plot import draw; assert draw() == 'slow red'",
    "another module": "import slow.plot; unused(); import slow.colors; assert slow.colors.RED == 'slow red'",
    "another module from the package": "from slow import colors; assert colors.RED == 'slow red'",
    "what is in it": "import slow.plot as plt; unused(); assert 'draw' in dir(plt)",
    "a name that is set stays": "import slow.plot as plt; plt.draw = lambda: 1; assert plt.draw() == 1 and plt.RED",
    "one object": "import slow.plot as plt; plt.RED; import slow.plot; assert sys.modules['slow.plot'] is plt is slow.plot",
    "its file": "import slow.plot as plt; assert plt.__file__.endswith('plot.py'), plt.__file__",
    "no such name": "import slow.plot as plt\ntry: plt.nothing\nexcept AttributeError as error: assert 'nothing' in str(error)",
    "no such module": "import slow.plot\ntry: import slow.nothing\nexcept ModuleNotFoundError: pass\nelse: raise SystemExit(1)",
    "a module that cannot run": (
        "import slow.broken as broken\nfor _ in range(2):\n    try: broken.some\n"
        "    except ModuleNotFoundError as error: assert error.name == 'nowhere'\n    else: raise SystemExit(1)"
    ),
}


@pytest.mark.parametrize("use", USES)
def test_it_runs_when_it_is_used(tmp_path: Path, use: str) -> None:
    (tmp_path / "slow").mkdir()
    for name, source in PACKAGE.items():
        (tmp_path / "slow" / f"{name}.py").write_text(source, encoding="utf-8")
    script = (
        f"import sys; sys.path[:0] = [{str(INSIDE)!r}, {str(tmp_path)!r}]\n"
        f"import deferred; deferred.defer({DEFERRED})\n"
        "def unused(): assert all('ran' not in vars(module) for name, module in sys.modules.items() if name == 'slow')\n"
        f"{USES[use]}\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_an_absent_package_stays_absent() -> None:
    script = (
        f"import sys; sys.path[:0] = [{str(INSIDE)!r}]\nimport deferred; deferred.defer(['absent_package'])\n"
        "try: import absent_package\nexcept ModuleNotFoundError: pass\nelse: raise SystemExit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
