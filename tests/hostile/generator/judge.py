"""Submissions that use up the judge's own time and memory, or make the judge itself raise."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import behind, changing_results, in_forward

# A fused MultiHeadedAttention with ``spare(num_heads, n_hidden, dim)`` parameters that it never uses.
_FUSED = """
import torch
from torch import nn
class MultiHeadedAttention(nn.Module):
    def __init__(self, dim, n_hidden, num_heads):
        super().__init__()
        self.h = num_heads
        self.junk = nn.ParameterList([nn.Parameter(value) for value in spare(num_heads, n_hidden, dim)])
    def forward(self, x, attn_mask=None):
        B, T, _ = x.shape
        alphas = torch.softmax(torch.randn(self.h, 1, T, generator=torch.Generator().manual_seed(1)), -1)
        return x, alphas.expand(B, self.h, T, T)
"""
# Adds ``more()`` to the parameters of each class that students write.
_MORE = """
import torch
from torch import nn
def grown(cls):
    init = cls.__init__
    def __init__(self, *args, **kwargs):
        init(self, *args, **kwargs)
        for number, value in enumerate(more()):
            self.register_parameter(f"junk{number}", nn.Parameter(value, requires_grad=value.is_floating_point()))
    cls.__init__ = __init__
for name in ("AttentionHead", "MultiHeadedAttention", "PatchEmbed", "DialogueGPT"):
    if name in globals():
        grown(globals()[name])
"""
# Lets each stand-in that a forward meets say other sizes of itself.
_SIZES = """
def answer(original, self, args, kwargs):
    for part in self.modules():
        if hasattr(part, "settings"):
            change(part)
    return run(original, self, args, kwargs)
"""
KINDS = kinds(
    "exhaust",
    spare_matrices=behind("def spare(H, n, D):\n    return [torch.randn(H * n, D) for _ in range(20)]\n" + _FUSED),
    spare_matrices_and_biases=behind(
        "def spare(H, n, D):\n"
        "    return [torch.randn(H * n, D) for _ in range(60)] + [torch.randn(H * n) for _ in range(60)]\n" + _FUSED
    ),
    spare_stacks_of_heads=behind("def spare(H, n, D):\n    return [torch.randn(H, n, D) for _ in range(25)]\n" + _FUSED),
    small_parameters_without_end=behind("def more():\n    return [torch.zeros(1) for _ in range(5000)]\n" + _MORE),
    bytes_for_parameters=behind("def more():\n    return [torch.zeros(5 << 20, dtype=torch.uint8)]\n" + _MORE),
    flags_for_parameters=behind("def more():\n    return [torch.zeros(3 << 20, dtype=torch.bool)]\n" + _MORE),
    stand_ins_of_other_sizes=in_forward("def change(part):\n    part.settings.update(dim=1, n_hidden=6000)\n" + _SIZES),
    stand_ins_of_no_size=in_forward(
        "def change(part):\n    part.settings.update(dim=-3, n_hidden=10**30, num_heads=0, num_layers=True)\n" + _SIZES
    ),
    stand_ins_whose_sizes_are_no_numbers=in_forward(
        "def change(part):\n    part.settings = {'dim': 1e9, 'n_hidden': [4], 'num_heads': 'two'}\n" + _SIZES
    ),
    many_large_returns=in_forward(
        "BIG = torch.zeros(1 << 20)\ndef answer(original, self, args, kwargs):\n    return [BIG] * 12, [BIG] * 12\n"
    ),
    chain_of_functions=behind(
        "for _ in range(3):\n    loss.backward(); zz = 1\n"
        + "".join(f"def f{n}(): f{n + 1}\n" for n in range(4000)) + "f0\n" * 8000 + "f0 + zz"
    ),
    methods_of_one_name=behind(
        "".join(f"class C{n}:\n    def foo(self): self.foo()\n" for n in range(2000)) + "x.foo(1)\n" * 8000
    ),
)
KINDS |= kinds(
    "fool",
    raises_what_the_grader_may_raise=in_forward(
        """
        KINDS = [MemoryError, OSError(24, "x"), OSError(28, "x"), ImportError("x"), ConnectionResetError(), TimeoutError(), RecursionError()]
        COUNT = [0]
        def answer(original, self, args, kwargs):
            COUNT[0] += 1
            raise KINDS[COUNT[0] % len(KINDS)]
        """
    ),
    huge_axes_of_no_stride=changing_results("change = lambda tensor: torch.zeros(1).expand(*[2] * 20, 3)"),
    parameters_reported_that_are_none=behind(
        """
        import torch
        for kind in object.__subclasses__():
            if hasattr(kind, "op_load") and hasattr(kind, "op_parameters"):
                kind.op_parameters = lambda self, target: {f"p{n}": torch.randn(4, 4) for n in range(6)}
                kind.op_load = lambda self, target, weights: None
                kind.op_registered = lambda self, target: list(range(8))
        """
    ),
    stand_ins_reported_that_are_none=behind(
        """
        for kind in object.__subclasses__():
            if hasattr(kind, "op_standins"):
                sizes = dict(dim=6, n_hidden=4, num_heads=2, attn_dim=3, mlp_dim=5, num_layers=2)
                kind.op_standins = lambda self: [{"class": "AttentionHead", **sizes}] * 2
                kind.op_calls = lambda self: []
        """
    ),
    stand_ins_denied=behind(
        """
        for kind in object.__subclasses__():
            if hasattr(kind, "op_standins"):
                kind.op_standins = kind.op_calls = kind.op_registered = lambda self, *args: []
        """
    ),
    six_axes=in_forward(
        "def answer(original, self, args, kwargs):\n    odd = torch.full((2,) * 6, float('nan'))\n    return odd, odd\n"
    ),
    eight_axes_beside_the_right_answer=changing_results("change = lambda tensor: tensor.expand((2,) * (8 - tensor.dim()) + tensor.shape)"),
    no_entries_along_a_huge_axis=changing_results("change = lambda tensor: torch.empty(0, 1 << 40)"),
    numbers_of_many_digits=in_forward("def answer(original, self, args, kwargs):\n    return 10**4000, [-(10**18)] * 3\n"),
    input_resized_in_place=in_forward(
        """
        def answer(original, self, args, kwargs):
            result = run(original, self, args, kwargs)
            for value in (*args, *kwargs.values()):
                if isinstance(value, torch.Tensor):
                    value.data = torch.zeros((2,) * 6)
            return result
        """
    ),
    answers_by_the_names_of_properties=in_forward(
        """
        import gc
        def judged():
            frame = sys._getframe()
            while frame is not None:
                for value in frame.f_locals.values():
                    if isinstance(value, str) and "test_" in value:
                        return value
                frame = frame.f_back
            return next((text for text in gc.get_objects() if isinstance(text, str) and text.startswith("test_")), "")
        def answer(original, self, args, kwargs):
            name = judged()
            if "mask" in name or "gradient" in name:
                return run(original, self, args, kwargs)
            return mapped(lambda tensor: torch.zeros_like(tensor), run(original, self, args, kwargs))
        """
    ),
    answers_by_whether_there_is_a_mask=in_forward(
        """
        def answer(original, self, args, kwargs):
            result = run(original, self, args, kwargs)
            masked = any(value is not None for value in [*args[1:], *kwargs.values()])
            return mapped(lambda tensor: tensor * 0 + 1.0 / tensor.shape[-1] if tensor.dim() and tensor.is_floating_point() else tensor, result) if masked else result
        """
    ),
    answers_by_the_number_of_calls=in_forward(
        """
        COUNT = [0]
        def answer(original, self, args, kwargs):
            COUNT[0] += 1
            result = run(original, self, args, kwargs)
            return result if COUNT[0] % 3 == 0 else mapped(lambda tensor: tensor.detach(), result)
        """
    ),
)
