"""Right answers keep their points, whatever else in the notebook does not work here."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from grader.assignment import Assignment
from grader.kernel.session import Session
from grader.report.terminal import print_result
from grader.scoring.result import Result
from grader.submission.planning import make_plan
from grader.submission.reading import read_submission
from tests.conftest import handwritten, notebook, points, solutions

pytestmark = pytest.mark.long

FULL = {"2a": 4, "2b": 3, "2c": 3, "3a": 2, "4a": 2, "4c": 2, "4d": 2}
HEAD = "        q, k, v = self.W_Q(x)"
FIELD = Path(__file__).parent / "field"
Graded = Callable[[str], Result]


def keeps_all(result: Result) -> bool:
    """Whether every automatic item has its points; shows what is lost if not."""
    wrong = [c for item in result.items for c in item.criteria if c.status != "passed"]
    assert points(result) == FULL, (wrong[:3], [cell for cell in result.cells if cell.status != "ok"])
    return True


def remarks(result: Result) -> str:
    """All that the result says of the notebook's cells."""
    flags = [f"{flag.kind}: {flag.message}" for flag in result.flags]
    return "\n".join([*flags, *(cell.error or "" for cell in result.cells)])


# -- imports that fail -------------------------------------------------------------------------------------------

IMPORTS = {
    "absent package, first line of the import cell": "from torchmetrics import Accuracy, F1Score",
    "part of a present package that needs an absent one": "from torch.utils.tensorboard import SummaryWriter",
    "relative": "from .helpers import plot_attention, set_seed",
    "moved away long ago": "from IPython.core.display import display, HTML",
    "the course's own": "from hw3_utils.plotting import *\nimport hw3_utils",
    "a newer standard library": "from itertools import batched, chain\nfrom typing import override, TypeAlias",
    "a submodule that is not there": "import torch.nowhere.at_all as nowhere, sys, torch.also.nowhere",
    "names that no longer exist": "from collections import Iterable, OrderedDict",
    "several, among good ones": "import os, pandas_profiling, umap, re\nfrom torchinfo import summary",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_a_failed_import_costs_nothing_but_itself(graded: Graded, text: str) -> None:
    setup, *classes = handwritten()
    result = graded(notebook(f"{text}\n{setup}", *classes))
    assert keeps_all(result)


OPTIONAL = {
    "try": "try:\n    import flash_attn\n    FAST = True\nexcept ImportError:\n    FAST = False",
    "try, from": "try:\n    from flash_attn import func\nexcept ImportError:\n    func = None\nFAST = func is not None",
    "suppress": "from contextlib import suppress\nFAST = False\nwith suppress(ImportError):\n    import flash_attn\n"
    "    FAST = True",
    "find_spec": "from importlib.util import find_spec\nFAST = find_spec('flash_attn') is not None\n"
    "if FAST:\n    import flash_attn",
    "a function": "def has(name):\n    try:\n        __import__(name)\n    except ImportError:\n        return False\n"
    "    return True\nFAST = has('flash_attn')",
}


@pytest.mark.parametrize("text", OPTIONAL.values(), ids=OPTIONAL)
def test_a_package_that_the_code_can_do_without(graded: Graded, text: str) -> None:
    use = f"        if FAST:\n            x = flash_attn.prepared(x)\n{HEAD}"
    setup, *classes = handwritten(attention_head=with_("attention-head", (HEAD, use)))
    assert keeps_all(graded(notebook(f"{setup}\n{text}", *classes)))


def test_imports_and_their_uses_between_classes_in_one_cell(graded: Graded) -> None:
    setup, *classes = handwritten()
    cell = "\n\n".join(
        [
            "from sklearn.manifold import TSNE\nimport seaborn_image as isns",
            setup,
            *classes[:4],
            "isns.set_context('notebook')\nembedded = TSNE(n_components=2).fit_transform(torch.zeros(4, 8))",
            "plotted = embedded[:, 0]\nprint(plotted.mean())",
            *classes[4:],
        ]
    )
    result = graded(notebook(cell))
    assert keeps_all(result)
    assert "sklearn" in remarks(result) and "is not installed" in remarks(result)


def test_good_names_of_an_import_are_kept(graded: Graded) -> None:
    setup, *classes = handwritten()
    uses = "assert list(chain([1], [2])) == [1, 2]\nassert sys.maxsize"
    result = graded(
        notebook("from itertools import batched, chain\nimport umap_not_here, sys", uses, setup, *classes)
    )
    assert keeps_all(result)
    assert [cell.status for cell in result.cells[:2]] == ["rescued", "ok"]


def test_imports_and_definitions_in_blocks(graded: Graded) -> None:
    setup, head, *classes = handwritten()
    block = "".join(f"    {line}\n" for line in setup.split("\n") if not line.startswith("    "))
    block = block[: block.index("    @contextmanager")]
    indented = "".join(f"    {line}\n" for line in head.replace("(nn.Module)", "(zoo.Module)").split("\n"))
    cell = (
        "import warnings\nfrom model_zoo import zoo\n"
        f"with warnings.catch_warnings():\n    from typing import override_all, Any\n{block}    zoo.check()\n    HALF = 0.5\n"
        f"if HALF:\n    assert HALF > 1\n    @zoo.registered('head')\n{indented}    THIRD = 1 / 3\nelse:\n    pass\n"
        "THIRD + HALF\n"
    )
    result = graded(notebook(cell, "assert (HALF, THIRD) == (0.5, 1 / 3)", *classes))
    assert keeps_all(result)
    assert result.cells[1].status == "ok"


def test_a_device_that_could_not_be_chosen_is_the_one_that_is_there(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=with_("attention-head", (HEAD, f"        x = x.to(device)\n{HEAD}"))
    )
    choice = "from course_utils import pick_device\ndevice = pick_device(prefer='cuda')"
    assert keeps_all(graded(notebook(choice, setup, *classes)))


def test_the_use_of_an_absent_package_is_what_costs_points(graded: Graded) -> None:
    head = solutions()["attention-head"].replace("alpha = ", "alpha = fancy.softmax(1) if False else ", 1)
    used = head.replace("def forward(self", "def forward(self", 1).replace(
        "alpha = fancy.softmax(1) if False else ", "fancy.check(x)\n        alpha = "
    )
    assert "fancy.check" in used
    setup, *classes = handwritten(attention_head=used)
    result = graded(notebook(f"import fancy_tensors as fancy\n{setup}", *classes))
    assert points(result) == {**FULL, "2a": 0}
    assert "the package 'fancy_tensors' is not installed" in result.items[6].criteria[0].message
    (flag,) = [flag for flag in result.flags if "fancy_tensors" in flag.message]
    assert flag.cell == 1 and "2a" in flag.message


# -- definitions that need what is not there ---------------------------------------------------------------------


def with_(name: str, *changes: tuple[str, str], before: str = "") -> str:
    """A right cell of the homework with changes in its text, each of which must apply."""
    text = solutions()[name]
    for old, new in changes:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return before + text


def test_framework_bases(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=with_(
            "attention-head",
            ("(nn.Module)", "(pl.LightningModule)"),
            ("super().__init__()", "super().__init__()\n        self.save_hyperparameters()"),
        ),
        dialogue_gpt=with_("dialogue-gpt", ("(nn.Module)", "(nn.Module, PyTorchModelHubMixin)")),
        dialogue_loss=with_("dialogue-loss", ("(nn.Module)", "(BaseLoss)")),
    )
    imports = "import pytorch_lightning as pl\nfrom hf_hub_not_here import PyTorchModelHubMixin\nfrom losses import BaseLoss\n"
    wrapper = "class Lit(pl.LightningModule):\n    def __init__(self, net):\n        super().__init__()\n\n"
    classes[0] = wrapper + classes[0]
    assert keeps_all(graded(notebook(imports + setup, *classes)))


def test_containers_of_an_absent_framework(graded: Graded) -> None:
    """They only hold modules, as torch's own do."""
    setup, *classes = handwritten(
        multi_headed_attention=with_("multi-headed-attention", ("nn.ModuleList(", "fairscale.nn.ModuleList(")),
        transformer=with_("transformer", ("(nn.Module)", "(L.LightningModule)"), ("nn.ModuleList(", "LightningModuleList(")),
    )
    imports = "import lightning as L\nfrom lightning.containers import LightningModuleList\nimport fairscale\n"
    assert keeps_all(graded(notebook(imports + setup, *classes)))


def test_decorators(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=with_(
            "attention-head",
            ("    def forward(", "    @jaxtyped(typechecker=beartype)\n    def forward("),
            ("    def __init__(", "    @typing_more.override\n    def __init__("),
        ),
        patch_embed=with_("patch-embed", before="@registry.register(\n    'patches',\n    exist_ok=True)\n"),
        my_tokenizer=with_("my-tokenizer", ("    def encode(", "    @timed\n    def encode(")),
    )
    imports = "from jaxtyping import jaxtyped\nfrom beartype import beartype\nimport registry, typing_more\n"
    helpers = "import time\nstarted = open('/content/log.txt')\ntimed = make_timer(started)"
    result = graded(notebook(imports + setup, helpers, *classes))
    assert keeps_all(result)
    assert "`@jaxtyped(typechecker=beartype)` was left out" in remarks(result)


def test_annotations(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=with_("attention-head", ("x: Tensor", "x: Tokens")),
        multi_headed_attention=with_("multi-headed-attention", ("x: Tensor", "x: Tensr")),
        transformer=with_("transformer", ("x: Tensor", 'x: Tensor["b t d"]')),
        patch_embed=with_("patch-embed", ("x: Tensor", "x: torch.FloatTensors | None")),
        dialogue_loss=with_("dialogue-loss", ("logits: Tensor", "logits: 'Float[Tensor, \"b t v\"]'")),
    )
    setup += "\nfrom jaxtyping import Float, Int\nTokens = Float[Tensor, 'b t d']\n"
    setup += "from dataclasses import dataclass\n@dataclass\nclass Sizes:\n    dim: Int[Tensor, ''] = 3\n"
    setup += "assert Sizes().dim == 3\n"
    assert keeps_all(graded(notebook(setup, *classes)))


def test_class_attributes_defaults_and_constants(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=with_("attention-head", before="HEADS = config.heads\nSCALE = config['scale'] * 2\n"),
        patch_embed=with_("patch-embed", ("(nn.Module):", "(nn.Module):\n    classes = train_set.classes\n")),
        transformer=with_(
            "transformer", ("(nn.Module):", "(nn.Module):\n    count = len(train_set)\n    table: dict = train_set[0]\n")
        ),
        dialogue_gpt=with_(
            "dialogue-gpt", ("return_attn: bool = False", "return_attn: bool = False, names=len(vocabulary)")
        ),
    )
    failing = (
        "import json\nfrom torchvision.datasets import CIFAR10\n"
        "train_set = CIFAR10('data', train=True, download=True)\n"
        "config = json.load(open('/content/drive/MyDrive/hw3/config.json'))\n"
        "vocabulary = set(open('/content/words.txt').read().split())\n"
    )
    result = graded(notebook(setup, failing, *classes))
    assert keeps_all(result)
    assert "FileNotFoundError" in remarks(result)


def test_a_name_of_a_later_cell_is_waited_for(graded: Graded) -> None:
    """Cells out of order: bases, defaults and constants get their real values, not ones that stand for them."""
    setup, *classes = handwritten(
        attention_head=with_("attention-head", ("(nn.Module):", "(Base):\n    eps = EPS / 2\n"))
        + "\nassert AttentionHead.eps == 0.5\n",
    )
    check = "assert AttentionHead.__mro__[1].__name__ == 'Base' and AttentionHead(2, 2).base_was_made == 1"
    base = (
        "EPS = 1.0\nclass Base(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.base_was_made = 1\n"
    )
    result = graded(notebook(setup, *classes, base, "if True:\n    " + check))
    assert keeps_all(result)


def test_a_class_that_failed_says_why_it_is_not_defined(graded: Graded) -> None:
    setup, *classes = handwritten(
        transformer="class Transformer(nn.Module, metaclass=make_meta()):\n    pass\n"
    )
    result = graded(notebook("def make_meta():\n    raise ValueError('no meta')\n" + setup, *classes))
    item = next(item for item in result.items if item.id == "2c")
    assert item.points == 0
    assert "raised ValueError: no meta" in item.criteria[0].message


# -- habits of hardware and Colab --------------------------------------------------------------------------------

IN_FORWARD = {
    "current device": "x = x.to(torch.cuda.current_device())\n"
    "index = torch.arange(3, device=torch.cuda.current_device())\nself.to(torch.cuda.current_device())",
    "memory statistics": "torch.cuda.reset_peak_memory_stats()\n"
    "used = torch.cuda.max_memory_allocated() / 2**20 + torch.cuda.memory_stats()['allocated_bytes.all.current']\n"
    "free, total = torch.cuda.mem_get_info()\ntorch.cuda.get_device_properties(0).total_memory",
    "timing": "start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)\n"
    "start.record()\nend.record()\ntorch.cuda.synchronize()\nstart.elapsed_time(end)",
    "tensor types": "torch.ones(2).type(torch.cuda.LongTensor)\nx = x.type('torch.cuda.FloatTensor')\n"
    "assert torch.cuda.FloatTensor([1.0]).sum() == 1",
    "Apple's GPU": "x = x.to('mps')\nself.to(torch.device('mps'))\ntorch.mps.synchronize()\ntorch.mps.empty_cache()\n"
    "torch.zeros(2, device='mps:0')",
    "streams and contexts": "with torch.cuda.device(0), torch.cuda.stream(torch.cuda.Stream()):\n    x = x.cuda(0)\n"
    "with torch.autocast('cuda', dtype=torch.float16):\n    x = x + 0\ntorch.cuda.nvtx.range_push('head')",
    "pinned memory, generators and numbers": "x = x.pin_memory().to(torch.device(0), non_blocking=True)\n"
    "g = torch.Generator(device='cuda').manual_seed(1)\nassert isinstance(g, torch.Generator)\n"
    "torch.zeros(2, device=x.get_device())\nassert isinstance(x.device, torch.device)",
    "a compiler": "@torch.compile(mode='max-autotune')\ndef softmax(t):\n    return t.softmax(-1)\n"
    "softmax(x)\ntorch.compile(self.W_Q, dynamic=True)(x)\nself.W_K.compile()",
    "a debugger": "import pdb, IPython.core.debugger\nbreakpoint()\npdb.set_trace()\nIPython.core.debugger.set_trace()",
    "a progress bar": "from tqdm.notebook import tqdm, trange\nfrom tqdm import tqdm_notebook, tnrange\n"
    "for _ in tqdm(range(2)):\n    pass\nfor _ in trange(2):\n    pass\nfor _ in tqdm_notebook([1]):\n    pass",
}


@pytest.mark.parametrize("text", IN_FORWARD.values(), ids=IN_FORWARD)
def test_habits_of_other_machines_in_graded_code(graded: Graded, text: str) -> None:
    lines = "".join(f"        {line}\n" for line in text.split("\n"))
    result = graded(notebook(*handwritten(attention_head=with_("attention-head", (HEAD, lines + HEAD)))))
    assert keeps_all(result)


PLACES = {
    "Colab's folder": "/content",
    "a folder of it": "/content/homework/3",
    "a mounted drive": "/content/drive/MyDrive/hw3",
    "Kaggle": "/kaggle/working",
    "a student's home": "/home/ada-lovelace/courses/hw3",
    "a student's Mac": "/Users/ada/Desktop/hw3",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_files_in_folders_of_other_machines(graded: Graded, place: str) -> None:
    """What the notebook itself writes there can be read again, from graded code as well."""
    start = '        self.start = "<START>"'
    write = (
        "        os.makedirs(PLACE, exist_ok=True)\n        with open(f'{PLACE}/vocabulary.json', 'w') as file:\n"
        "            json.dump(sorted(set(word_tokenize(raw_text))), file)\n"
        "        assert os.path.exists(f'{PLACE}/vocabulary.json') and 'vocabulary.json' in os.listdir(PLACE)\n"
        "        torch.save({'words': 1}, Path(PLACE) / 'weights' / 'words.pt')\n"
        "        torch.load(PLACE + '/weights/words.pt')\n"
    )
    read = ("sorted(set(word_tokenize(raw_text)))]", "json.loads((Path(PLACE) / 'vocabulary.json').read_text())]")
    log = f"        with open(os.path.join(PLACE, 'log.txt'), 'a') as log:\n            print(x.shape, file=log)\n{HEAD}"
    setup, *classes = handwritten(
        attention_head=with_("attention-head", (HEAD, log)),
        my_tokenizer=with_("my-tokenizer", (start, write + start), read),
    )
    setup += f"\nimport json, os\nfrom pathlib import Path\nPLACE = {place!r}\nos.makedirs(PLACE, exist_ok=True)\n"
    change = (
        "os.chdir(PLACE)\nwith open('notes.txt', 'w') as file:\n    file.write('x')\n"
        "assert Path(PLACE, 'notes.txt').is_file()"
    )
    result = graded(notebook(setup, change, *classes))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status != "ok"], result.cells


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_modules_in_folders_of_other_machines(graded: Graded, place: str) -> None:
    imports = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n"
    setup, head, *classes = handwritten()
    path = f"import sys\nsys.path.append('{place}')\nfrom heads import *\n"
    result = graded(notebook(setup, f"%%writefile {place}/heads.py\n{imports}{head}", path, *classes))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status != "ok"], result.cells
    assert "not installed" not in remarks(result)


def test_a_file_of_another_machine_that_is_not_there_keeps_its_name(graded: Graded) -> None:
    setup, *classes = handwritten()
    result = graded(notebook("text = open('/content/drive/MyDrive/hw3/input.txt').read()", setup, *classes))
    assert keeps_all(result)
    assert "No such file or directory: '/content/drive/MyDrive/hw3/input.txt'" in remarks(result)


def test_habits_of_other_machines_in_the_notebook(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=with_("attention-head", before="@torch.compile\n").replace("(nn.Module)", "(nn.Module)"),
        my_tokenizer=with_(
            "my-tokenizer",
            (
                '        self.start = "<START>"',
                "        nltk.data.path.clear()\n        nltk.download('punkt_tab', raise_on_error=True)\n"
                '        self.start = "<START>"',
            ),
        ),
    )
    cells = [
        "import nltk\nnltk.data.path = ['./nltk_data']\nnltk.download('punkt_tab', download_dir='./nltk_data')",
        setup,
        "torch.set_default_device('cuda')\ntorch.set_default_tensor_type('torch.cuda.FloatTensor')\n"
        "torch.cuda.set_device(0)\ntorch.cuda.manual_seed_all(0)\nassert torch.zeros(2).sum() == 0",
        "device = torch.accelerator.current_accelerator() or 'mps'\ntorch.accelerator.synchronize()",
        *classes,
        "model = nn.DataParallel(AttentionHead(4, 4).cuda(), device_ids=[0])\n"
        "model(torch.zeros(1, 2, 4, device=device), None)",
    ]
    result = graded(notebook(*cells))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status not in ("ok", "skipped")], result.cells


@pytest.mark.parametrize("name", sorted(path.stem for path in FIELD.glob("*.ipynb")))
def test_samples_from_the_field(graded: Graded, name: str) -> None:
    assert keeps_all(graded((FIELD / f"{name}.ipynb").read_text(encoding="utf-8")))


# -- files that cells write, and newer syntax --------------------------------------------------------------------


def test_modules_that_the_notebook_writes(graded: Graded) -> None:
    setup, head, several, *others = handwritten()
    imports = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n"
    train = "import torch\nfor epoch in range(10**9):\n    loss.backward()\n    optimizer.step()\nRATE = 0.1\n"
    cells = [
        "%%file config.json\n" + '{"heads": 2}',
        setup,
        f"%%writefile models/heads.py\n{imports}\n{head}",
        f"%%writefile -a models/heads.py\n\n{several}",
        f"%%writefile '/content/training.py'\n{train}",
        "from models.heads import *\nimport training\nimport json\nassert training.RATE == 0.1",
        "assert json.load(open('config.json')) == {'heads': 2}",
        "%%writefile rest.py\n" + "\n\n".join(others),
        "%run -i rest.py",
    ]
    result = graded(notebook(*cells))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status != "ok"], result.cells


def test_syntax_of_a_newer_python_is_understood_and_named(graded: Graded) -> None:
    nested = '        f"{"a"} {self.n_hidden!r:>{len("abc")}}"\n'
    head = with_("attention-head", (HEAD, nested + HEAD))
    setup, *classes = handwritten(
        attention_head=head,
        patch_embed=with_("patch-embed", before="type Image = Tensor\n").replace("x: Tensor", "x: Image"),
        my_tokenizer=with_("my-tokenizer", before="def first[T](items: list[T]) -> T:\n    return items[0]\n\n\n"),
    )
    result = graded(notebook(setup, *classes))
    assert keeps_all(result)
    if sys.version_info < (3, 12):
        assert "uses syntax of Python 3.12; the grader runs Python 3.1" in result.cells[1].reason


# -- classes that are missing or defined twice -------------------------------------------------------------------


def criteria(result: Result, item: str) -> set[str]:
    """The different messages of an item's criteria."""
    return {c.message for found in result.items if found.id == item for c in found.criteria}


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_a_class_in_a_cell_that_is_not_code(graded: Graded, kind: str) -> None:
    cells = json.loads(notebook(*handwritten()))
    cells["cells"][1] = {"cell_type": kind, "source": cells["cells"][1]["source"], "metadata": {}, "id": "x"}
    result = graded(json.dumps(cells))
    where = f"the {'raw' if kind == 'raw' else 'Markdown'} cell after code cell 1"
    assert criteria(result, "2a") == {
        f"AttentionHead is not defined in the notebook: it is in {where}, which does not run; change it to a code cell"
    }


def test_a_syntax_error_is_said_with_its_line(graded: Graded) -> None:
    broken = with_("transformer", ("        super().__init__()", "        super().__init__(("))
    result = graded(notebook(*handwritten(transformer=broken)))
    (message,) = criteria(result, "2c")
    line = broken.split("\n").index("        super().__init__((") + 1
    assert f"code cell 5 does not parse (line {line}: '(' was never closed)" in message
    shown = io.StringIO()
    print_result(result, Console(file=shown, width=1000))
    assert shown.getvalue().count(message) == 1, "said once, not once a criterion"
    assert points(result) == {**FULL, "2c": 0}


def test_a_later_stub_is_explained(graded: Graded) -> None:
    stub = "class AttentionHead(nn.Module):\n    def forward(self, x, attn_mask):\n        raise NotImplementedError"
    result = graded(notebook(*handwritten(), stub))
    (note,) = next(item for item in result.items if item.id == "2a").notes
    assert note == (
        "AttentionHead is defined in code cell 2 and again in code cell 12; the last definition is graded, "
        "and its `forward` is not implemented."
    )
    assert "defined more than once" in remarks(result)


def test_which_definition_ran_last(graded: Graded) -> None:
    wrong = with_("attention-head", ("return attn_output", "return 2 * attn_output"))
    cells = json.loads(notebook(*handwritten(), wrong))
    for number, cell in enumerate(cells["cells"], start=1):
        cell["execution_count"] = number
    cells["cells"][1]["execution_count"] = 57
    result = graded(json.dumps(cells))
    (note,) = next(item for item in result.items if item.id == "2a").notes
    assert note.endswith(
        "By the notebook's execution counts, code cell 2 ran last (In [57], after In [12])."
    )


def test_two_versions_in_order_need_no_word(graded: Graded) -> None:
    wrong = with_("attention-head", ("return attn_output", "return 2 * attn_output"))
    setup, *classes = handwritten()
    result = graded(notebook(setup, wrong, *classes))
    assert keeps_all(result)
    assert not [note for item in result.items for note in item.notes]


# -- kernels that end --------------------------------------------------------------------------------------------


def test_idioms_for_a_restart_do_nothing(graded: Graded) -> None:
    setup, *classes = handwritten()
    idioms = [
        "import IPython\napp = IPython.Application.instance()\napp.kernel.do_shutdown(True)",
        "def restart():\n    get_ipython().kernel.do_shutdown(restart=True)\nrestart()",
        "getattr(app.kernel, 'do_' + 'shutdown')(True)\nget_ipython().ask_exit()\nexit",
        "import time\ntime.sleep(1.5)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    ]
    result = graded(notebook(*idioms, setup, *classes))
    assert keeps_all(result)
    assert {cell.status for cell in result.cells} <= {"ok", "skipped"}, result.cells
    assert not [warning for warning in result.warnings if "kernel" in warning]


def test_what_ends_the_kernel_later_costs_no_definition(graded: Graded) -> None:
    setup, *classes = handwritten()
    bomb = "import os, threading\nthreading.Timer(0.6, lambda: os._exit(0)).start()\n"
    wait = "import time\ntime.sleep(0.5)\n"
    result = graded(notebook(bomb + setup, *(wait + cell for cell in classes)))
    assert keeps_all(result)


def test_a_cell_that_ends_the_kernel_itself_costs_only_itself(graded: Graded) -> None:
    setup, *classes = handwritten()
    crash = "import ctypes\nclass Late:\n    pass\nctypes.string_at(0)"
    result = graded(notebook(setup, crash, *classes))
    assert keeps_all(result)
    assert [cell.status for cell in result.cells[:3]] == ["ok", "died", "ok"]


# -- messages ----------------------------------------------------------------------------------------------------


def test_nltk_habits_in_a_kernel_that_starts_cold(tmp_path: Path, assignment: Assignment) -> None:
    path = tmp_path / "s.ipynb"
    habit = "from nltk import download\nimport nltk\nnltk.data.path = ['./nltk_data']\n"
    use = "def words():\n    download('punkt_tab', raise_on_error=True)\n    return nltk.word_tokenize('Speak, speak!')\n"
    path.write_text(notebook(habit + use + "assert len(words()) == 4"), encoding="utf-8")
    with Session(make_plan(read_submission(path), assignment.template)) as session:
        (outcome,) = session.run_cells()
    assert outcome.status == "ok", outcome


def test_one_tensor_for_two_is_called_a_tensor(graded: Graded) -> None:
    alone = with_("attention-head", ("return attn_output, alpha", "return attn_output"))
    result = graded(notebook(*handwritten(attention_head=alone)))
    texts = " ".join(criteria(result, "2a"))
    assert "one tensor of shape" in texts and "ndarray" not in texts


FORMATS = {
    "a head's output alone": ("2a", "attention-head", "return attn_output, alpha", "return attn_output"),
    "a head's scores as well": ("2a", "attention-head", "return attn_output, alpha", "return attn_output, alpha, alpha"),
    "several heads' output alone": (
        "2b",
        "multi-headed-attention",
        "return attn_output, torch.stack(alphas, dim=1)",
        "return attn_output",
    ),
    "a list of alphas": (
        "2b",
        "multi-headed-attention",
        "return attn_output, torch.stack(alphas, dim=1)",
        "return attn_output, list(alphas)",
    ),
    "a Transformer's output alone": (
        "2c",
        "transformer",
        "return x, torch.stack(collected, dim=1) if return_attn else None",
        "return x",
    ),
    "a Transformer's output and two values": (
        "2c",
        "transformer",
        "return x, torch.stack(collected, dim=1) if return_attn else None",
        "return x, torch.stack(collected, dim=1) if return_attn else None, len(collected)",
    ),
    "a Transformer's values in another order": (
        "2c",
        "transformer",
        "return x, torch.stack(collected, dim=1) if return_attn else None",
        "return torch.stack(collected, dim=1) if return_attn else None, x",
    ),
    "logits alone": ("4c", "dialogue-gpt", "return self.head(x), alphas", "return self.head(x)"),
}


@pytest.mark.parametrize("case", FORMATS)
def test_a_wrong_format_costs_its_own_item_alone(graded: Graded, case: str) -> None:
    item, cell, old, new = FORMATS[case]
    result = graded(notebook(*handwritten(**{cell.replace("-", "_"): with_(cell, (old, new))})))
    found = points(result)
    assert found[item] < FULL[item]
    assert {**found, item: 0} == {**FULL, item: 0}


def test_a_model_in_half_precision_is_called_so(graded: Graded) -> None:
    half = with_(
        "attention-head", ("self.n_hidden = n_hidden", "self.n_hidden = n_hidden\n        self.to(torch.bfloat16)")
    ).replace("self.W_Q(x), self.W_K(x), self.W_V(x)", "(W(x.bfloat16()) for W in (self.W_Q, self.W_K, self.W_V))")
    result = graded(notebook(*handwritten(attention_head=half)))
    texts = " ".join(criteria(result, "2a"))
    assert "cannot be compared (torch.bfloat16 tensor on cpu); keep them in float32" in texts
    assert "could learn" not in texts


def test_what_provided_code_raises_is_placed_there(graded: Graded) -> None:
    gpt = with_("dialogue-gpt", ("return self.head(x), alphas", "return (self.head(x), alphas, None)[0]"))
    result = graded(notebook(*handwritten(dialogue_gpt=gpt)))
    shown = [c for item in result.items for c in item.criteria if "the provided `generate`" in c.message]
    assert shown and "provided code, in generate" in (shown[0].counterexample or "")
