"""Submissions that try to fool the comparison with values that are not plain tensors, or not what they say they are."""

# ruff: noqa: E501  (payloads)
from __future__ import annotations

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import behind, changing_results, in_forward

KINDS = kinds(
    "fool",
    tensor_equal_to_everything=changing_results(
        """
        class Right(torch.Tensor):
            def __eq__(self, other): return True
            def __sub__(self, other): return torch.zeros(())
            def __array__(self, *args, **kwargs): raise SystemExit
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None): return True
        change = lambda tensor: tensor.detach().as_subclass(Right)
        """
    ),
    object_equal_to_everything=in_forward(
        """
        class Right:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __lt__(self, other): return True
            __gt__ = __le__ = __ge__ = __lt__
            def __hash__(self): return 0
            def __bool__(self): return True
            def __len__(self): return 2
            def __getitem__(self, key): return self
            def __getattr__(self, name): return self
            def __call__(self, *args, **kwargs): return self
            def __float__(self): return 0.0
            def __iter__(self): return iter([self, self])
            shape = property(lambda self: self)
        def answer(original, self, args, kwargs):
            return Right()
        """
    ),
    evil_numbers=in_forward(
        """
        class F(float):
            def __eq__(self, other): return True
            def __float__(self): return 0.0
            def hex(self): return "0x0p0"
        class I(int):
            def __eq__(self, other): return True
        def answer(original, self, args, kwargs):
            return F(1), I(2)
        """
    ),
    evil_strings=behind(
        """
        class S(str):
            def __eq__(self, other): return True
            def __hash__(self): return 1
            def __len__(self): return 3
        if "MyTokenizer" in globals():
            MyTokenizer.decode = lambda self, toks: S("wrong")
            MyTokenizer.encode = lambda self, s: S("wrong")
        """
    ),
    metaclass_lies=in_forward(
        """
        class M(type):
            def __instancecheck__(cls, other): return True
            def __subclasscheck__(cls, other): return True
            def __eq__(cls, other): return True
            def __hash__(cls): return hash(torch.Tensor)
            __name__ = "Tensor"
        class T(metaclass=M): pass
        def answer(original, self, args, kwargs):
            return T(), T()
        """
    ),
    empty_tensors=changing_results("change = lambda tensor: torch.empty(0)"),
    empty_of_right_rank=changing_results("change = lambda tensor: torch.empty([0] * tensor.dim())"),
    nan_everywhere=changing_results(
        "change = lambda tensor: tensor * float('nan') if tensor.is_floating_point() else tensor"
    ),
    infinities=changing_results("change = lambda tensor: tensor / 0.0 if tensor.is_floating_point() else tensor"),
    nan_in_one_place=changing_results(
        """
        def change(tensor):
            tensor = tensor.clone()
            if tensor.is_floating_point() and tensor.numel():
                tensor.view(-1)[-1] = float("nan")
            return tensor
        """
    ),
    uninitialised_memory=changing_results("change = lambda tensor: torch.empty_like(tensor)"),
    returns_its_input=in_forward(
        "def answer(original, self, args, kwargs):\n    return (args[0], args[0]) if args else None\n"
    ),
    mutates_its_input=in_forward(
        """
        def answer(original, self, args, kwargs):
            result = run(original, self, args, kwargs)
            with torch.no_grad():
                for value in (*args, *kwargs.values()):
                    if isinstance(value, torch.Tensor) and value.is_floating_point():
                        value.zero_()
            return result
        """
    ),
    zero_stride_views=changing_results(
        "change = lambda tensor: tensor.detach().reshape(-1)[:1].expand(tensor.numel()).reshape(tensor.shape) if tensor.numel() else tensor"
    ),
    huge_shape_small_buffer=changing_results("change = lambda tensor: torch.zeros(1).expand(2**20, 2**20)"),
    resized_storage=changing_results(
        """
        def change(tensor):
            tensor = tensor.detach().clone()
            tensor.untyped_storage().resize_(0)
            return tensor
        """
    ),
    sparse_and_meta=changing_results(
        "change = lambda tensor: tensor.detach().to_sparse() if tensor.dim() % 2 else tensor.detach().to('meta')"
    ),
    complex_and_half=changing_results(
        "change = lambda tensor: tensor.to(torch.complex64) if tensor.dim() % 2 else tensor.to(torch.bfloat16)"
    ),
    wrong_dtype_that_rounds=changing_results("change = lambda tensor: tensor.detach().to(torch.int8)"),
    deep_nested_return=in_forward(
        """
        def answer(original, self, args, kwargs):
            value = []
            for _ in range(50000):
                value = [value]
            return value, value
        """
    ),
    cyclic_return=in_forward(
        """
        def answer(original, self, args, kwargs):
            value = []; value.append(value)
            return value, {"a": value}
        """
    ),
    wide_return=in_forward("def answer(original, self, args, kwargs):\n    return tuple([0] * 2000000)\n"),
    dict_of_evil_keys=in_forward(
        """
        class K(str):
            def __eq__(self, other): raise SystemExit
            def __hash__(self): return 7
        def answer(original, self, args, kwargs):
            return {K("a"): 1, 3: 4, None: 5}, {"\\ud800": "\\ud800"}
        """
    ),
    lone_surrogates=behind(
        """
        if "MyTokenizer" in globals():
            MyTokenizer.decode = lambda self, toks: "\\ud800\\udfff\\x00"
        """
    ),
    caches_between_calls=in_forward(
        """
        SEEN = {}
        def answer(original, self, args, kwargs):
            key = type(self).__name__
            result = run(original, self, args, kwargs)
            if result is None:
                return SEEN.get(key)
            SEEN[key] = result
            return result
        """
    ),
    answers_only_when_graded=in_forward(
        """
        import inspect
        GRADED = any("agent" in frame.filename for frame in inspect.stack()) or "grader" in sys.modules
        def answer(original, self, args, kwargs):
            if any("agent" in (frame.f_code.co_filename or "") for frame in sys._current_frames().values()):
                raise AssertionError("this is graded")
            return run(original, self, args, kwargs)
        """
    ),
    gradients_hooked=in_forward(
        """
        class Fake(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return x.view_as(x)
            @staticmethod
            def backward(ctx, grad): raise SystemExit("no gradient for you")
        def answer(original, self, args, kwargs):
            return mapped(lambda t: Fake.apply(t) if t.is_floating_point() else t, run(original, self, args, kwargs))
        """
    ),
    constructor_returns_another=behind(
        """
        class Anything:
            def __init__(self, *args, **kwargs): self.args = args
            def __call__(self, *args, **kwargs): return args[0], None
            def named_parameters(self, *args, **kwargs): return []
            def train(self, mode=True): return self
        for name in ("AttentionHead", "MultiHeadedAttention", "Transformer", "PatchEmbed", "DialogueGPT"):
            globals()[name] = Anything
        """
    ),
    classes_are_functions=behind(
        """
        for name in ("AttentionHead", "MultiHeadedAttention", "Transformer", "PatchEmbed", "DialogueGPT", "DialogueLoss", "MyTokenizer"):
            globals()[name] = lambda *args, **kwargs: (lambda *a, **k: a[0])
        """
    ),
    attributes_raise=behind(
        """
        from torch import nn
        def get(self, name):
            raise BaseException(name * 1000)
        nn.Module.named_parameters = get
        nn.Module.__getattr__ = get
        """
    ),
)
