"""What a kernel reports about itself earns nothing alone: the stand-ins that were built and called, and what is registered.

Each submission here is wrong in one way that reports show, and reports what a right one would: it has found the agent's own
classes in its process and changed them.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.grade import Request, judge
from grader.kernel.process import WarmParent
from grader.scoring.result import Result
from tests.conftest import handwritten, notebook, solutions

pytestmark = pytest.mark.long

FORGED = textwrap.dedent(
    """
    import inspect
    DUE = []
    def remembering(cls, names):
        build, forward = cls.__init__, cls.forward
        def __init__(self, *args, **kwargs):
            self.__dict__["due"] = dict(zip(list(inspect.signature(build).parameters)[1:], args))
            build(self, *args, **kwargs)
        def called(self, *args, **kwargs):
            bound = inspect.signature(forward).bind(self, *args, **kwargs).arguments
            DUE.append({"module": self, "x": bound.get("x"), "mask": bound.get("attn_mask")})
            try: return forward(self, *args, **kwargs)
            finally: DUE.pop()
        cls.__init__, cls.forward = __init__, called
    remembering(MultiHeadedAttention, ("dim", "n_hidden", "num_heads"))
    remembering(Transformer, ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers"))
    remembering(DialogueGPT, ())
    def of_the_agent(name):
        return [kind for base in (object, nn.Module) for kind in base.__subclasses__() if kind.__name__ == name]
    for kind in of_the_agent("StandIn"):
        def record(self, x, mask=None, real=kind.record):
            due = DUE[-1] if DUE else None
            if due is None: return real(self, x, mask)
            if isinstance(due["module"], DialogueGPT):
                tokens = x.shape[1]
                return real(self, x, torch.ones(x.shape[0], tokens, tokens).tril())
            return real(self, due["x"] if isinstance(due["module"], MultiHeadedAttention) else x, due["mask"])
        kind.record = record
    for kind in of_the_agent("Interpreter"):
        recorder = lambda: kind.op_calls.__globals__["standins"].RECORDER
        kind.op_registered = lambda self, target: [standin.index for standin in recorder().built]
    """
)

WHOLE = textwrap.dedent(
    """
    for kind in [kind for kind in object.__subclasses__() if hasattr(kind, "op_load")]:
        kind.op_standins = lambda self: []
    """
)
"""Reports that no stand-in is built, so that the part is judged whole."""
PARAMETERS = textwrap.dedent(
    """
    from torch import nn
    def everywhere(module, *args, **kwargs):
        seen = set()
        def walk(value, name):
            if id(value) in seen or isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter): return
            seen.add(id(value))
            if isinstance(value, nn.Parameter): yield name, value
            elif isinstance(value, nn.Module):
                for key, part in {**value._parameters, **value._modules, **vars(value)}.items():
                    if key not in ("_parameters", "_modules", "_buffers", "original"): yield from walk(part, f"{name}.{key}")
            elif isinstance(value, (list, tuple)):
                for key, part in enumerate(value): yield from walk(part, f"{name}.{key}")
            elif isinstance(value, dict):
                for key, part in value.items(): yield from walk(part, f"{name}.{key}")
        yield from ((name[1:], value) for name, value in walk(module, ""))
    for kind in [kind for kind in object.__subclasses__() if hasattr(kind, "op_load")]:
        kind.op_load.__globals__["_named_parameters"] = everywhere
    """
)
"""Reports as parameters whatever a module holds."""

WRONG = {
    # cell, what is replaced in the reference, by what, the criterion that is lost
    "heads without the mask": ("multi-headed-attention", "head(x, attn_mask)", "head(x, None)", "2b.mask"),
    "the mask for the first head only": (
        "multi-headed-attention", "head(x, attn_mask) for head in self.heads",
        "head(x, attn_mask if head is self.heads[0] else None) for head in self.heads", "2b.mask",
    ),
    "heads that are not registered": (
        "multi-headed-attention", "nn.ModuleList(AttentionHead(dim, n_hidden) for _ in range(num_heads))",
        "[AttentionHead(dim, n_hidden) for _ in range(num_heads)]", "2b.heads",
    ),
    "heads of something else": ("multi-headed-attention", "head(x, attn_mask)", "head(2 * x, attn_mask)", "2b.heads"),
    "blocks without the mask": ("transformer", "layer(x, attn_mask)", "layer(x, None)", "2c.mask"),
    "the mask for the first block only": (
        "transformer", "layer(x, attn_mask)", "layer(x, attn_mask if layer is self.layers[0] else None)", "2c.mask",
    ),
    "blocks that are not registered": (
        "transformer",
        "nn.ModuleList(\n            AttentionResidual(dim, attn_dim, mlp_dim, num_heads)"
        " for _ in range(num_layers)\n        )",
        "[AttentionResidual(dim, attn_dim, mlp_dim, num_heads) for _ in range(num_layers)]",
        "2c.layers",
    ),
    "no causal mask": (
        "dialogue-gpt", "torch.ones(T, T, device=input_ids.device).tril()",
        "torch.ones(T, T, device=input_ids.device)", "4c.causal",
    ),
}  # fmt: skip


REPORTS = {"due": FORGED, "whole": WHOLE, "parameters": PARAMETERS}
QUICK = {
    ("heads that are not registered", "due"),
    ("heads that are not registered", "parameters"),
    ("the mask for the first head only", "due"),
    ("blocks that are not registered", "due"),
}
CASES = [
    pytest.param(name, report, marks=[] if (name, report) in QUICK else [pytest.mark.slow], id=f"{name}, {report}")
    for name in WRONG
    for report in REPORTS
]


@pytest.fixture
def judged(tmp_path: Path, assignment: Assignment, warm: WarmParent) -> Callable[[str, str], Result]:
    hurried = dataclasses.replace(assignment, shrink_calls=2)

    def run(text: str, item: str) -> Result:
        path = tmp_path / "submission.ipynb"
        path.write_text(text, encoding="utf-8")
        criteria = [each for part in assignment.rubric.automatic for each in part.criteria if each.id.startswith(item)]
        only = {name for each in criteria for name in each.properties}
        return judge(path, hurried, Request(warm=warm, only=only)).result

    return run


def _points(result: Result, item: str) -> float:
    return sum(each.points for part in result.items for each in part.criteria if each.id.startswith(item))


def _lost(result: Result) -> set[str]:
    return {each.id for part in result.items for each in part.criteria if each.status == "failed"}


@pytest.mark.parametrize(("name", "report"), CASES)
def test_what_a_submission_reports_of_itself_gains_nothing(
    name: str, report: str, judged: Callable[[str, str], Result]
) -> None:
    cell, right, wrong, criterion = WRONG[name]
    source, item = solutions()[cell], criterion[:2]
    assert right in source
    cells = handwritten(**{cell.replace("-", "_"): source.replace(right, wrong)})
    honest, forged = judged(notebook(*cells), item), judged(notebook(*cells, REPORTS[report]), item)
    assert criterion in _lost(honest)
    assert _points(forged, item) <= _points(honest, item)
    if "registered" in name:
        assert report == "whole" or criterion in _lost(forged)


UNMASKED = {
    # property: cell, what is replaced in the reference, by what, what the verdict says
    "multi_headed_attention.test_the_mask_reaches_each_head": (
        "multi-headed-attention", "head(x, attn_mask) for head in self.heads",
        "head(x, attn_mask if head is self.heads[0] else None) for head in self.heads",
        "the output changes with token",
    ),
    "multi_headed_attention.test_no_mask_reaches_each_head": (
        "multi-headed-attention", "head(x, attn_mask) for head in self.heads",
        "head(x, torch.ones(x.shape[1], x.shape[1]).tril() if attn_mask is None else attn_mask) for head in self.heads",
        "token changes only some rows",
    ),
    "transformer.test_the_mask_reaches_each_block": (
        "transformer", "layer(x, attn_mask)", "layer(x, attn_mask if layer is self.layers[0] else None)",
        "a token changes other rows of the output",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNMASKED)
def test_the_mask_that_stand_ins_are_said_to_get_has_to_show_in_the_output(
    name: str, tmp_path: Path, assignment: Assignment, warm: WarmParent
) -> None:
    """By this property itself: other properties of the part compare the output with these reports, too."""
    cell, right, wrong, told = UNMASKED[name]
    source, path = solutions()[cell], tmp_path / "submission.ipynb"
    assert right in source
    cells = handwritten(**{cell.replace("-", "_"): source.replace(right, wrong)})
    path.write_text(notebook(*cells, FORGED), encoding="utf-8")
    verdict = judge(path, assignment, Request(warm=warm, only={name})).verdicts[name]
    assert verdict.status == "unreached"
    assert told in verdict.message


@pytest.mark.parametrize("item", ["2b", "2c"])
def test_reports_of_what_is_due_cost_a_right_submission_nothing(
    item: str, judged: Callable[[str, str], Result]
) -> None:
    assert _lost(judged(notebook(*handwritten(), FORGED), item)) == set()
