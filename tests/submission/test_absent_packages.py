"""What a notebook imports and this machine does not have costs only the code that needs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grader.scoring.result import Result
from tests.conftest import FULL, changed, handwritten, keeps_all, notebook, points, remarks, solutions

pytestmark = pytest.mark.long

HEAD = "        q, k, v = self.W_Q(x)"
Graded = Callable[[str], Result]


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
    setup, *classes = handwritten(attention_head=changed("attention-head", (HEAD, use)))
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
        attention_head=changed("attention-head", (HEAD, f"        x = x.to(device)\n{HEAD}"))
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


def test_framework_bases(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=changed(
            "attention-head",
            ("(nn.Module)", "(pl.LightningModule)"),
            ("super().__init__()", "super().__init__()\n        self.save_hyperparameters()"),
        ),
        dialogue_gpt=changed("dialogue-gpt", ("(nn.Module)", "(nn.Module, PyTorchModelHubMixin)")),
        dialogue_loss=changed("dialogue-loss", ("(nn.Module)", "(BaseLoss)")),
    )
    imports = "import pytorch_lightning as pl\nfrom hf_hub_not_here import PyTorchModelHubMixin\nfrom losses import BaseLoss\n"
    wrapper = "class Lit(pl.LightningModule):\n    def __init__(self, net):\n        super().__init__()\n\n"
    classes[0] = wrapper + classes[0]
    assert keeps_all(graded(notebook(imports + setup, *classes)))


def test_containers_of_an_absent_framework(graded: Graded) -> None:
    """They only hold modules, as torch's own do."""
    setup, *classes = handwritten(
        multi_headed_attention=changed("multi-headed-attention", ("nn.ModuleList(", "fairscale.nn.ModuleList(")),
        transformer=changed("transformer", ("(nn.Module)", "(L.LightningModule)"), ("nn.ModuleList(", "LightningModuleList(")),
    )
    imports = "import lightning as L\nfrom lightning.containers import LightningModuleList\nimport fairscale\n"
    assert keeps_all(graded(notebook(imports + setup, *classes)))


def test_decorators(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=changed(
            "attention-head",
            ("    def forward(", "    @jaxtyped(typechecker=beartype)\n    def forward("),
            ("    def __init__(", "    @typing_more.override\n    def __init__("),
        ),
        patch_embed=changed("patch-embed", before="@registry.register(\n    'patches',\n    exist_ok=True)\n"),
        my_tokenizer=changed("my-tokenizer", ("    def encode(", "    @timed\n    def encode(")),
    )
    imports = "from jaxtyping import jaxtyped\nfrom beartype import beartype\nimport registry, typing_more\n"
    helpers = "import time\nstarted = open('/content/log.txt')\ntimed = make_timer(started)"
    result = graded(notebook(imports + setup, helpers, *classes))
    assert keeps_all(result)
    assert "`@jaxtyped(typechecker=beartype)` was left out" in remarks(result)


def test_annotations(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=changed("attention-head", ("x: Tensor", "x: Tokens")),
        multi_headed_attention=changed("multi-headed-attention", ("x: Tensor", "x: Tensr")),
        transformer=changed("transformer", ("x: Tensor", 'x: Tensor["b t d"]')),
        patch_embed=changed("patch-embed", ("x: Tensor", "x: torch.FloatTensors | None")),
        dialogue_loss=changed("dialogue-loss", ("logits: Tensor", "logits: 'Float[Tensor, \"b t v\"]'")),
    )
    setup += "\nfrom jaxtyping import Float, Int\nTokens = Float[Tensor, 'b t d']\n"
    setup += "from dataclasses import dataclass\n@dataclass\nclass Sizes:\n    dim: Int[Tensor, ''] = 3\n"
    setup += "assert Sizes().dim == 3\n"
    assert keeps_all(graded(notebook(setup, *classes)))


def test_class_attributes_defaults_and_constants(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=changed("attention-head", before="HEADS = config.heads\nSCALE = config['scale'] * 2\n"),
        patch_embed=changed("patch-embed", ("(nn.Module):", "(nn.Module):\n    classes = train_set.classes\n")),
        transformer=changed(
            "transformer", ("(nn.Module):", "(nn.Module):\n    count = len(train_set)\n    table: dict = train_set[0]\n")
        ),
        dialogue_gpt=changed(
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
        attention_head=changed("attention-head", ("(nn.Module):", "(Base):\n    eps = EPS / 2\n"))
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
