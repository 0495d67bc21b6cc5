"""Definitions run; downloads, training and what needs their results do not; no line moves."""

import ast
import dataclasses
import textwrap
import time

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v4

from grader.homework3 import HOMEWORK
from grader.submission.magics import without_magics
from grader.submission.planning import (
    Altered,
    PlannedCell,
    Template,
    altered_provided,
    load_template,
    make_plan,
    template_of,
)
from grader.submission.reading import Submission, parse_notebook, read_submission


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
def test_the_rest_runs(source):
    (cell,) = planned(source)
    assert (cell.decision, cell.skipped) == ("run", ())
    ast.parse(cell.source.replace("await ", ""))


def test_the_body_of_a_timed_cell_is_kept_in_place():
    (cell,) = planned("%%time\nx = 1")
    assert cell.source == "#\nx = 1"


def test_names_come_and_go_with_the_statements_that_make_them():
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


def test_roles_leave_out_all_but_definitions_and_constants():
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


def test_a_broken_cell_keeps_its_sound_blocks():
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


def test_imports_cuda_and_ready_made_attention():
    plan = make_plan(
        submission(
            """
            import einops.layers, numpy as np
            from google.colab import drive
            from torch import nn
            from torch.nn import MultiheadAttention as MHA
            import torch.nn.functional as F
            try:
                import flash_attn
            except ImportError:
                pass
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
            """,
            """
            class Transformer(nn.Module):
                def __init__(self):
                    self.layers = nn.TransformerEncoderLayer(8, 2)
                    self.a = MHA(8, 2)
                def forward(self, x):
                    return F.scaled_dot_product_attention(x, x, x)
            Transformer()
            """,
        ),
        Template(),
    )
    assert plan.imports == ("einops", "numpy", "torch")
    assert not plan.mentions_accelerator
    assert [(use.name, use.number, use.line, use.scope) for use in plan.from_scratch_flags] == [
        ("torch.nn.MultiheadAttention", 1, 4, ""),
        ("torch.nn.TransformerEncoderLayer", 2, 3, "Transformer"),
        ("torch.nn.MultiheadAttention", 2, 4, "Transformer"),
        ("torch.nn.functional.scaled_dot_product_attention", 2, 6, "Transformer"),
    ]
    assert make_plan(submission("x = y.cuda()"), Template()).mentions_accelerator
    assert make_plan(submission("x = y.to('cuda:0')"), Template()).mentions_accelerator
    assert make_plan(submission("x = y.cuda(\n)\nclass A"), Template()).mentions_accelerator


def test_provided_classes_may_differ_in_words_only():
    provided = """
    class FFN(nn.Module):
        '''Doc.'''
        def f(self, x: int) -> int:
            y: int = x
            return y
    """
    same = """
    class FFN(nn.Module):
      def f(self, x):
        '''Other.'''
        y = x  # why
        return y
    class Mine: x = 1
    """
    template = template_of(submission(provided, "class Mine: pass", roles={1: "provided", 2: "solution"}))
    assert altered_provided(submission(same), template) == ()
    other = submission(provided, provided.replace("return y", "return -y"))
    assert altered_provided(other, template) == (Altered("FFN", 2),)


@pytest.mark.skipif(not HOMEWORK.template.exists(), reason="the template is not built")
def test_the_template_plans_alike_with_and_without_its_marks():
    template, whole = load_template(HOMEWORK.template), read_submission(HOMEWORK.template)
    bare_cells = tuple(
        dataclasses.replace(cell, role=None, part=None, tags=frozenset()) for cell in whole.cells
    )
    bare = dataclasses.replace(whole, cells=bare_cells)
    plan, bare_plan = make_plan(whole, template), make_plan(bare, template)
    assert [cell.source for cell in plan.cells] == [cell.source for cell in bare_plan.cells]
    for cell in plan.cells:
        if cell.cell.role in ("train", "visualize"):
            assert cell.decision == "skip"
        elif cell.cell.role != "download":
            assert cell.decision == "run"
    assert altered_provided(whole, template) == ()
    assert plan.from_scratch_flags == ()


# --- whatever the statements, no line moves and what compiled compiles

ATOMS = st.sampled_from(
    [
        "x = 1", "train()", "loss.backward()", "y = input(\n  'é'\n)", "é = [\n 1,\n] ; z = losses", "pass",
        "print(h, '''\n!ls\n''')", "losses.append(1)", "import torch", "assert x", "h = losses", "del q",
        "x = '%s' \\\n% 3", "d = CIFAR10(\n'.') # é", "[i for i in h]",
    ]
)  # fmt: skip
HEADERS = ["if h:", "for i in h:", "with a(\n) as b:", "while input():", "class C(h):", "def f(q=h):"]
HEADERS += ["try:", "@h\nclass D:"]


def _block(inner):
    def build(parts):
        header, body, tail = parts
        text = header + "\n" + textwrap.indent("\n".join(body), "  ", lambda line: True)
        if header == "try:":
            text += "\nexcept E as e:\n  " + tail + "\n"
        elif tail and header[:2] in ("if", "fo", "wh"):
            text += "\nelse:\n  " + ("pass" if "\n" in tail else tail)
        return text

    tails = st.sampled_from(["pass", "train()", "y = h", "input()"])
    return st.tuples(st.sampled_from(HEADERS), st.lists(inner, min_size=1, max_size=3), tails).map(build)


STATEMENTS = st.recursive(ATOMS, _block, max_leaves=8)
MAGICS = ["!pip install x", "%time x = 2", "h = !ls", "%matplotlib inline", "", "  # note", "h?"]
LINES = STATEMENTS | st.sampled_from(MAGICS)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(LINES, min_size=1, max_size=5).map("\n".join), min_size=1, max_size=3), st.booleans()
)
def test_planning_moves_no_line_and_breaks_no_cell(sources, train):
    cells = [
        v4.new_code_cell(source, metadata={"hw3": {"role": "train"}} if train else {}) for source in sources
    ]
    cells.append(v4.new_code_cell("def train():\n  for a in b: a.backward()"))
    read = parse_notebook(nbformat.writes(v4.new_notebook(cells=cells)).encode(), "a")
    for cell in make_plan(read, Template()).cells:
        lines = cell.cell.source.count("\n")
        assert cell.source.count("\n") == lines
        assert not cell.rescue or cell.rescue.count("\n") == lines
        plain, _ = without_magics(cell.cell.source)
        try:
            compile(plain, "cell", "exec")
        except SyntaxError:
            continue
        compile(cell.source, "planned", "exec")
        compile(cell.rescue, "rescue", "exec")
        if cell.skipped and not cell.cell.source.count("!"):
            kept = cell.source.split("\n")
            whole_lines = [skip.line for skip in cell.skipped if skip.reason == "asks for input"]
            assert all("input(" not in kept[line - 1].split("#")[0] for line in whole_lines)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abc=()[]{}'\"\\#%!?:;@ \n\té", max_size=60) | st.text(max_size=40))
def test_any_text_can_be_planned(text):
    source = text.replace("\r", "")
    cells = [v4.new_code_cell("x = 1"), v4.new_code_cell(source)]
    data = nbformat.writes(v4.new_notebook(cells=cells))
    for cell in make_plan(parse_notebook(data.encode(errors="replace"), "a"), Template()).cells:
        assert cell.source.count("\n") == cell.cell.source.count("\n")


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 90 + "1" + ")" * 90,
        "x = " + "+".join("1" * 3000),
        "x = " + "-" * 5000 + "1",
        "a" + ".b" * 3000,
        "a" + "()" * 3000,
        "\n".join("  " * depth + "if x:" for depth in range(99)) + "\n" + "  " * 99 + "pass",
        "x = 'a\0b'",
        "if x: pass\n" + "elif x: pass\n" * 400,
    ],
)
def test_deep_and_odd_code_is_left_to_the_kernel(source):
    (cell,) = planned(source)
    assert cell.decision == "run"


def _chain(functions: int, uses: int) -> str:
    head = "for _ in range(3):\n    loss.backward(); zz = 1\n"
    chain = "".join(f"def f{n}(): f{n + 1}\n" for n in range(functions))
    return head + chain + "f0\n" * uses + "f0 + zz"


def _callers_first(functions: int, uses: int) -> str:
    chain = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(functions))
    return chain + f"def f{functions}():\n    loss.backward(); opt.step()\n" + "f0()\n" * uses


def _one_name(functions: int, uses: int) -> str:
    classes = "".join(f"class C{n}:\n    def foo(self): self.foo()\n" for n in range(functions))
    return classes + "x.foo(1)\n" * uses


@pytest.mark.parametrize("make", [_chain, _callers_first, _one_name])
def test_the_time_of_planning_grows_with_the_size_alone(make):
    given = submission(make(3000, 6000))
    started = time.process_time()
    make_plan(given, Template())
    assert time.process_time() - started < 6


def test_what_functions_do_is_found_through_long_chains_of_calls():
    source = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(300))
    training, plain = planned(source + "def f300():\n    for _ in x:\n        loss.backward()\nf0()", "1 + 1")
    assert training.decision == "partly" and "trains" in training.reason
    assert plain.decision == "run"


def test_provided_code_comes_with_the_imports_that_it_uses():
    template = load_template(HOMEWORK.template, HOMEWORK.provided_classes)
    sources = dict(template.classes)
    dataset = template.with_imports(sources["DialogueDataset"])
    assert "from torch.utils.data import Dataset" in dataset and "from torch import Tensor" in dataset
    assert "matplotlib" not in dataset and dataset.endswith(sources["DialogueDataset"])
    for source in sources.values():
        ast.parse(template.with_imports(source))
    aliased = template_of(submission("import a.b as c, d.e\nfrom f import g as h\nfrom i import *"))
    assert aliased.with_imports("c, d, h") == "import a.b as c\nimport d.e\nfrom f import g as h\nc, d, h"


def test_a_list_of_files_is_not_colabs():
    (cell,) = planned("import os\nfiles = sorted(os.listdir('.'))\nfiles.append('x')\ndrive = [1]\ndrive.append(2)")
    assert cell.decision == "run"
    (cell,) = planned("files.upload()")
    assert "Colab" in cell.reason
