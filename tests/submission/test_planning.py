"""Definitions run; downloads, training and what needs their results do not; no line moves."""

import ast
import textwrap

import nbformat
import pytest
from nbformat import v4

from grader.submission.planning import (
    PlannedCell,
    Template,
    make_plan,
    template_of,
)
from grader.submission.reading import Submission, parse_notebook


def submission(*sources: str, roles: dict[int, str] | None = None) -> Submission:
    cells = []
    for number, source in enumerate(sources, start=1):
        role = (roles or {}).get(number)
        metadata = {"hw3": {"role": role}} if role else {}
        cells.append(v4.new_code_cell(textwrap.dedent(source).strip("\n"), metadata=metadata))
    return parse_notebook(nbformat.writes(v4.new_notebook(cells=cells)).encode(), "hw3.ipynb")


def planned(*sources: str, **roles: dict[int, str]) -> tuple[PlannedCell, ...]:
    return make_plan(submission(*sources, **roles), Template()).cells


def code(source: str) -> str:
    """What is left of a source, without lines that do nothing."""
    idle = ("", "pass", "#", "(None", ")")
    return "\n".join(line.rstrip() for line in source.split("\n") if line.strip() not in idle)


def reasons(cell: PlannedCell) -> list[tuple[int, str]]:
    return [(skip.line, skip.reason) for skip in cell.skipped]


COLAB = (
    """
    !pip install -q einops
    %matplotlib inline
    from google.colab import drive
    drive.mount('/content/drive')
    import math
    import torch, torch.nn as nn, torch.nn.functional as F
    import torchvision
    from torchvision import transforms, datasets as dsets
    from torch.utils.data import DataLoader
    from einops import rearrange
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    """,
    """
    class MultiHeadedAttention(nn.Module):
      def __init__(self, dim, n_hidden, num_heads):
        super().__init__()
        self.heads = nn.ModuleList([AttentionHead(dim, n_hidden) for _ in range(num_heads)])

      def forward(self, x, attn_mask=None):
        return torch.cat([h(x, attn_mask.cuda())[0] for h in self.heads], -1)
    """,
    """
    class AttentionHead(nn.Module):
      def __init__(self, dim, n_hidden):
        super().__init__()
        self.W_Q = nn.Linear(dim, n_hidden)

    head = AttentionHead(8, 4)
    out = head(torch.randn(2, 5, 8), None)
    out.sum().backward()
    assert out.shape == (2, 5, 4)
    """,
    """
    tf = transforms.ToTensor()
    train_set = dsets.CIFAR10('.', train=True, download=True, transform=tf)
    train_loader = DataLoader(train_set, 256)
    model = AttentionHead(8, 4)
    """,
    """
    optimizer = torch.optim.AdamW(model.parameters())
    losses = []
    class EarlyStop:
      pass
    for epoch in range(10):
      for x, y in train_loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        losses.append(loss.item())
      print(epoch, loss)
    def plot(xs):
      plt.plot(xs)
    """,
    """
    import matplotlib.pyplot as plt
    plt.plot(losses)
    plt.show()
    """,
)


def test_a_colab_notebook_without_marks():
    cells = planned(*COLAB)
    assert [(cell.decision, cell.reason) for cell in cells] == [
        ("partly", "installs packages"),
        ("run", ""),
        ("run", ""),
        ("partly", "downloads data"),
        ("partly", "trains a model"),
        ("partly", "plots the results of a skipped cell"),
    ]
    assert code(cells[3].source).split("\n") == ["tf = transforms.ToTensor()", "model = AttentionHead(8, 4)"]
    assert reasons(cells[3])[1] == (3, "uses `train_set`, which only a skipped cell defines")
    assert "class EarlyStop" in cells[4].source
    assert "def plot" in cells[4].source
    assert "backward" not in cells[4].source
    assert "drive.mount" not in cells[0].source


@pytest.mark.parametrize(
    "source",
    [
        "torchvision.datasets.MNIST('.', download=True)",
        "from torchvision.datasets import CIFAR10\nx = CIFAR10('.')",
        "from torchvision.datasets import *\nx = CIFAR10('.')",
        "import urllib.request\nurllib.request.urlretrieve('http://x', 'input.txt')",
        "from urllib.request import urlretrieve as get\nget('http://x', 'input.txt')",
        "import requests as r\ntext = r.get('http://x').text",
        "from datasets import load_dataset\nd = load_dataset('x')",
        "import gdown\ngdown.download('x')",
        "model = AutoModel.from_pretrained('x')",
        "torch.hub.load('a', 'b')",
        "def fetch():\n    return torchvision.datasets.MNIST('.')\ndef get(): return fetch()\nd = get()",
        "!wget http://x",
        "!git clone http://x",
    ],
)
def test_downloads_are_left_out(source):
    (cell,) = planned(source)
    assert any(reason == "downloads data" for _, reason in reasons(cell))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("!pip install x", "installs packages"),
        ("%pip install x", "installs packages"),
        ("pip install einops", "installs packages"),
        ("!nvidia-smi", "runs a shell command"),
        ("%%bash\nls\nif [ x ]", "runs a shell command"),
        ("x = input('name')", "asks for input"),
        ("import os\nos.system('ls')", "runs a shell command"),
        ("get_ipython().system('ls')", "runs a shell command"),
        ("import nltk\nnltk.download('punkt')", "downloads data that the grader provides"),
        ("from google.colab import files\nfiles.upload()", "talks to Colab"),
        ("import wandb\nwandb.init()", "talks to a logging service"),
        ("model.load_state_dict(torch.load('x.pt'))", "loads a saved model"),
        ("exit()", "stops the notebook"),
        ("%%html\n<b>hello</b>", "is not Python (%%html)"),
    ],
)
def test_other_things_that_are_left_out(source, reason):
    (cell,) = planned(source)
    assert cell.reason == reason


TRAINING = [
    "for x in data:\n    loss = f(x)\n    loss.backward()",
    "while True:\n    opt.step()",
    "def train(m):\n    for x in data: m(x).backward()\ntrain(model)",
    "def step(m): m.backward()\nfor i in range(9): step(m)",
    "def step(m): m.backward()\ndef epoch(m):\n    for x in data: step(m)\ndef main(): epoch(1)\nmain()",
    "class T:\n    def train(self):\n        for x in data: x.backward()\nt = T()\nt.train()",
    "class T:\n  def all(self): self.loop()\n  def loop(self):\n    for x in d: x.backward()\nT().all()",
    "class B:\n    def go(self):\n        for x in d: x.backward()\nclass T(B): pass\nT().go()",
    "trainer.fit(model, loader)",
    "Trainer(model=m).train()",
    "if __name__ == '__main__':\n    for x in data: x.backward()",
    "with torch.enable_grad():\n    for x in data: x.backward()",
    "try:\n    for x in data: x.backward()\nexcept KeyboardInterrupt:\n    pass",
    "h = [step(x).backward() for x in data]",
    "%time train_all() or [x.backward() for x in data]",
]


@pytest.mark.parametrize("source", TRAINING)
def test_training_is_left_out(source):
    (cell,) = planned(source)
    assert cell.reason == "trains a model"


@pytest.mark.parametrize(
    "source",
    [
        "loss.backward()",
        "model.train()\nmodel.eval()",
        "for i in range(3):\n    print(head(x).shape)",
        "for i in range(3):\n    queue.step()",
        "def train(m):\n    for x in data: m(x).backward()",
        "def step(m): m.backward()\nstep(model)",
        "class T:\n    def train(self):\n        for x in data: x.backward()\nmodel.train()",
        "text = open('input.txt').read()\ntok = MyTokenizer(text)",
        "x = (5\n% 3)",
        's = """\n!pip install x\n%%bash\n"""',
        "x = 5 \\\n% 3",
        "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nmodel?\n?model",
        "%%time\nx = 1",
        "%%capture out\nx = 1",
        "%time x = 1",
        "    x = 1\n    y = 2",
        "x = await y",
        "try:\n    import einops\nexcept ImportError:\n    einops = None",
    ],
)
def test_harmless_statements_run(source):
    (cell,) = planned(source)
    assert (cell.decision, cell.skipped) == ("run", ())
    ast.parse(cell.source.replace("await ", ""))


def test_the_body_of_a_timed_cell_is_kept_in_place():
    (cell,) = planned("%%time\nx = 1")
    assert cell.source == "#\nx = 1"


def test_statements_that_read_a_skipped_name_are_skipped():
    cells = planned(
        "lines = !ls\nn = len(lines)",
        "def f(k=n, *, m: n = 2): return k\nclass C(f()): pass",
        "n = 4\nm = n + 1\nmodel = f()",
        "model = Trainer().train()\nmodel(m)",
        "[lines for lines in range(3)]\nq = lambda: lines\ndef g(): return lines",
        "g()",
    )
    assert cells[0].decision == "skip"
    assert code(cells[1].source) == "def f(k=n, *, m: n = 2): return k\nclass C(f()): pass"
    why = "line 2 of code cell 1, which makes it, was not run (uses `lines`, which only a skipped cell defines)"
    assert cells[1].needs == (("n", why),)
    assert cells[2].decision == "run"
    assert code(cells[3].source) == "model(m)"
    assert cells[4].decision == "run"
    assert cells[5].reason == "uses `lines`, which only a skipped cell defines"


def test_blocks_are_split_where_that_is_safe():
    (cell,) = planned(
        """
        if not ready(
        ):
            nltk.download('punkt'); x = 1
        elif input('?'):
            class InElse: pass
        for i in range(3):
            loss.backward()

            @wraps(f)
            class InLoop:
                pass
        else:
            print(i)
        with open('input.txt') as file: text = file.read()
        """
    )
    assert code(cell.source).split("\n") == [
        "if not ready(",
        "):",
        "    pass; x = 1",
        "elif True:",
        "    class InElse: pass",
        "if True:",
        "    @wraps(f)",
        "    class InLoop:",
        "else:",
        "with open('input.txt') as file: text = file.read()",
    ]


def test_cells_with_some_roles_keep_only_definitions_and_constants():
    (cell,) = planned(
        """
        import time
        epochs = 3
        class Added: pass
        with until_done():
            vit = VisionTransformer(epochs)
            go(vit)
        """,
        roles={1: "train"},
    )
    assert code(cell.source).split("\n") == [
        "import time",
        "epochs = 3",
        "class Added: pass",
        "with until_done():",
    ]
    assert cell.reason == "same as the template's training cell"


def test_cells_like_the_template_s_share_its_roles():
    train = "for epoch in range(epochs):\n    for batch in loader:\n        one_step(model, batch, {})\n"
    train += "print('accuracy', run(model, val))"
    template = template_of(submission(train, "x = 1", roles={1: "train", 2: "test"}))
    cell = make_plan(submission("# mine\n" + train.replace("'accuracy'", "'acc'")), template).cells[0]
    assert cell.decision == "skip"
    assert cell.reason == "same as the template's training cell"


def test_blocks_that_parse_in_a_broken_cell_are_kept():
    (cell,) = planned(
        '''
        import torch
        class Broken:
            def f(self:
                pass
        @dec
        class Fine:
            pass
        print "old"
        x = 3
        def g():
            return (1
        def h(): return 2
        class Long:
            """
        class of text at the margin
            """
        train()
        '''
    )
    assert cell.decision == "run"
    assert code(cell.rescue).split("\n") == [
        "import torch",
        "@dec",
        "class Fine:",
        "x = 3",
        "def h(): return 2",
        "class Long:",
        '    """',
        "class of text at the margin",
        '    """',
    ]
    assert cell.rescue.split("\n")[5] == "class Fine:"


def test_the_rescue_holds_definitions_and_constants():
    (cell,) = planned(
        """
        '''about'''
        from __future__ import annotations
        device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        head = AttentionHead(3, 4); n = 3
        assert head(
            x)
        if n > 2:
            print(n)
            class Inner: pass
        try:
            import einops
        except ImportError:
            einops = None
        class A: pass
        """
    )
    kept = code(cell.rescue)
    compile(cell.rescue, "rescue", "exec")
    assert "AttentionHead(" not in kept
    assert "print" not in kept
    for expected in ("device =", "n = 3", "class Inner", "import einops", "class A"):
        assert expected in kept


def test_a_list_called_files_is_not_colabs_module():
    (cell,) = planned("import os\nfiles = sorted(os.listdir('.'))\nfiles.append('x')\ndrive = [1]\ndrive.append(2)")
    assert cell.decision == "run"
    (cell,) = planned("files.upload()")
    assert "Colab" in cell.reason
