"""What a statement does, off its syntax tree: names read and bound, training, downloads."""

from __future__ import annotations

import ast
import warnings
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from grader.submission.magics import DOWNLOADS, INSTALLS, SHELL

TRAINS = "trains a model"
ASKS = "asks for input"
MOUNTS = "talks to Colab"
LOGS_IN = "talks to a logging service"
LOADS_SAVED = "loads a saved model"
PROVIDED_DATA = "downloads data that the grader provides"
STOPS = "stops the notebook"
# These do no harm where a function does them on its way.
_NOT_PASSED_ON = frozenset({PROVIDED_DATA, STOPS})
MAX_DEPTH = 200
_WORK_PER_NODE = 3
_LEAST_WORK = 300_000
"""What may be looked at for each node of the notebook's trees, and in any case: so the time grows with the size alone."""

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FILLS = frozenset({"append", "extend", "add", "update", "insert", "setdefault", "appendleft"})

# Longest prefix wins; a trailing dot takes in everything below.
_CAUSES = {
    "torchvision.datasets.": DOWNLOADS,
    "torchvision.datasets.FakeData": "",
    "torchvision.datasets.ImageFolder": "",
    "torchvision.datasets.DatasetFolder": "",
    "torchvision.datasets.VisionDataset": "",
    "torchaudio.datasets.": DOWNLOADS,
    "torchtext.datasets.": DOWNLOADS,
    "keras.datasets.": DOWNLOADS,
    "tensorflow.keras.datasets.": DOWNLOADS,
    "urllib.request.urlretrieve": DOWNLOADS,
    "urllib.request.urlopen": DOWNLOADS,
    "requests.": DOWNLOADS,
    "httpx.": DOWNLOADS,
    "wget.": DOWNLOADS,
    "gdown.": DOWNLOADS,
    "kagglehub.": DOWNLOADS,
    "huggingface_hub.": DOWNLOADS,
    "datasets.load_dataset": DOWNLOADS,
    "torch.hub.": DOWNLOADS,
    "torchvision.datasets.utils.": DOWNLOADS,
    "sklearn.datasets.fetch_": DOWNLOADS,
    "nltk.download": PROVIDED_DATA,
    "exit": STOPS,
    "quit": STOPS,
    "sys.exit": STOPS,
    "os._exit": STOPS,
    "os.abort": STOPS,
    "os.kill": STOPS,
    "os.killpg": STOPS,
    "os.exec": STOPS,
    "signal.raise_signal": STOPS,
    "nltk.downloader.": DOWNLOADS,
    "google.colab.": MOUNTS,
    "input": ASKS,
    "getpass.": ASKS,
    "os.system": SHELL,
    "os.popen": SHELL,
    "subprocess.": SHELL,
    "pip.main": INSTALLS,
    "wandb.": LOGS_IN,
    "torch.load": LOADS_SAVED,
    "safetensors.torch.load_file": LOADS_SAVED,
}
_PREFIXES = sorted(_CAUSES, key=len, reverse=True)
_BARE_DATASETS = frozenset(
    {"CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST", "SVHN", "STL10", "EMNIST"}
)
_BARE_CAUSES = {
    "urlretrieve": DOWNLOADS,
    "load_dataset": DOWNLOADS,
    "from_pretrained": DOWNLOADS,
    "do_shutdown": STOPS,
    "ask_exit": STOPS,
}
# What the usual imports call these modules, for notebooks that forgot one.
_USUAL_NAMES = {
    "datasets": "torchvision.datasets",
    "torchvision": "torchvision",
    "urllib": "urllib",
    "requests": "requests",
    "nltk": "nltk",
    "os": "os",
    "sys": "sys",
    "subprocess": "subprocess",
    "gdown": "gdown",
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "plt": "matplotlib.pyplot",
    "drive": "google.colab.drive",
    "files": "google.colab.files",
}


def parse(source: str) -> ast.Module | None:
    """The tree of a cell, which may await at top level; None if it does not parse or is nested too deeply."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            tree = compile(source, "<cell>", "exec", flags=flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None
    return tree if isinstance(tree, ast.Module) and _is_shallow(tree) else None


def syntax_error(source: str) -> str:
    """Why a source does not parse, with the line; empty if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "<cell>", "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            return f"line {error.lineno}: {error.msg}"
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return str(error)[:200] or type(error).__name__
    return ""


def _is_shallow(tree: ast.AST) -> bool:
    """Whether visitors, which recurse, can go through the tree."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


@dataclass
class Names:
    """Names that a statement reads from outside of it, binds, or fills (a list that it appends to)."""

    reads: dict[str, None] = field(default_factory=dict)
    binds: dict[str, None] = field(default_factory=dict)
    fills: dict[str, None] = field(default_factory=dict)


def names_of(*nodes: ast.AST) -> Names:
    """What the nodes, run in order at top level, read and bind; bodies of functions do not count."""
    found = Names()
    for node in nodes:
        _Names(found).visit(node)
    return found


class _Names(ast.NodeVisitor):
    """Goes through a statement in the order in which it runs, as far as that can be told."""

    def __init__(self, found: Names, local: frozenset[str] = frozenset()) -> None:
        self.found, self.local = found, local

    def _read(self, name: str) -> None:
        if name not in self.local and name not in self.found.binds:
            self.found.reads.setdefault(name)

    def _visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        elif isinstance(node.ctx, ast.Store) and node.id not in self.local:
            self.found.binds.setdefault(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_all([node.value, *node.targets])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all([node.annotation, node.value])
        if node.value is not None:
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._visit_all([node.value, node.target])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._visit_all([node.iter, node.target, *node.body, *node.orelse])

    visit_AsyncFor = visit_For

    def visit_withitem(self, node: ast.withitem) -> None:
        self._visit_all([node.context_expr, node.optional_vars])

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._visit_all([node.type])
        if node.name:
            self.found.binds.setdefault(node.name)
        self._visit_all(node.body)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.found.binds.setdefault(alias.asname or alias.name.partition(".")[0])

    visit_ImportFrom = visit_Import

    def _visit_header(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = node.args
        every = [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ]
        self._visit_all(node.decorator_list)
        self._visit_all([*arguments.defaults, *arguments.kw_defaults])
        self._visit_all([*(argument.annotation for argument in every if argument), node.returns])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_header(node)
        if node.name not in self.local:
            self.found.binds.setdefault(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all([*node.args.defaults, *node.args.kw_defaults])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        inside = Names()
        _Names(inside).visit_body(node.body)
        for name in inside.reads:
            self._read(name)
        if node.name not in self.local:
            self.found.binds.setdefault(node.name)

    def visit_body(self, body: Sequence[ast.stmt]) -> None:
        self._visit_all(body)

    def _visit_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        bound = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        self.visit(node.generators[0].iter)
        inner = _Names(self.found, self.local | bound)
        for place, generator in enumerate(node.generators):
            inner._visit_all([*([generator.iter] if place else []), *generator.ifs])
        inner._visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _visit_comprehension

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self._visit_all([node.pattern])
        if node.name:
            self.found.binds.setdefault(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.found.binds.setdefault(node.name)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if (
            isinstance(function, ast.Attribute)
            and function.attr in _FILLS
            and isinstance(function.value, ast.Name)
        ):
            self.found.fills.setdefault(function.value.id)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            self.found.fills.setdefault(node.value.id)
        self.generic_visit(node)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for such an expression, else an empty string."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


@dataclass
class _Function:
    """A function of the notebook: does it train, does it take one step of training, what does it fetch."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: str | None
    trains: bool = False
    steps: bool = False
    cause: str = ""


class Notebook:
    """All cells together: what names import, and which functions train or download, through calls too."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self.aliases: dict[str, str] = {}
        self.stars: set[str] = set()
        self.functions: dict[str, list[_Function]] = {}
        self.methods: dict[str, list[_Function]] = {}
        self.bases: dict[str, set[str]] = {}
        self.instances: dict[str, str] = {}
        self.free: dict[int, set[str]] = {}
        trees = list(trees)
        nodes = sum(1 for tree in trees for _ in ast.walk(tree))
        self._work = _LEAST_WORK + _WORK_PER_NODE * nodes
        self.assigned = {
            node.id
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        for tree in trees:
            self._collect(tree)
        for tree in trees:
            self._collect_instances(tree)
        self._settle()

    def _collect(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self.aliases[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.add(node.module)
                    else:
                        self.aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.ClassDef):
                self.bases.setdefault(node.name, set()).update(dotted(base) for base in node.bases)
                for item in node.body:
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                        self.methods.setdefault(item.name, []).append(_Function(item, node.name))
        owned = {id(function.node) for group in self.methods.values() for function in group}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and id(node) not in owned:
                self.functions.setdefault(node.name, []).append(_Function(node, None))

    def _collect_instances(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)
            ):
                made = self._class_made(node.value)
                if made:
                    self.instances[node.targets[0].id] = made

    def _class_made(self, node: ast.AST) -> str:
        """The class of the notebook that an expression builds, as in ``Model(...).to(device)``."""
        while isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in self.bases:
                return name
            node = node.func.value if isinstance(node.func, ast.Attribute) else ast.Constant(None)
        return ""

    def _settle(self) -> None:
        """Find out what each function does by those that it calls: whenever one changes, its callers are looked at again."""
        everything = [f for group in (*self.functions.values(), *self.methods.values()) for f in group]
        calls = {id(f): self._calls_in(f.node.body) for f in everything}
        callers: dict[int, list[_Function]] = {}
        for function in everything:
            for call, _ in calls[id(function)]:
                for called in self._called(call, function.owner):
                    callers.setdefault(id(called), []).append(function)
        waiting, queued = deque(everything), {id(function) for function in everything}
        while waiting and self._work > 0:
            function = waiting.popleft()
            queued.discard(id(function))
            trains, steps, cause = self._effects(calls[id(function)], function.owner)
            new = (function.trains or trains, function.steps or steps, function.cause or cause)
            if new == (function.trains, function.steps, function.cause):
                continue
            function.trains, function.steps, function.cause = new
            for caller in callers.get(id(function), []):
                if id(caller) not in queued:
                    queued.add(id(caller))
                    waiting.append(caller)

    def _calls_in(self, nodes: Iterable[ast.AST]) -> list[tuple[ast.Call, bool]]:
        """All calls that run with ``nodes``, each with whether a loop repeats it."""
        found: list[tuple[ast.Call, bool]] = []
        waiting: list[tuple[ast.AST, bool]] = [(node, False) for node in nodes]
        while waiting:
            node, looped = waiting.pop()
            if isinstance(node, ast.Call):
                found.append((node, looped))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner: list[ast.AST] = [*node.decorator_list, *node.args.defaults]
                waiting.extend((child, looped) for child in inner)
                continue
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.For | ast.AsyncFor):
                waiting.append((node.iter, looped))
                waiting.extend((child, True) for child in (*node.body, *node.orelse))
                continue
            again = looped or isinstance(node, (ast.While, *_COMPREHENSIONS))
            waiting.extend((child, again) for child in ast.iter_child_nodes(node))
        return found

    def _effects(self, calls: Iterable[tuple[ast.Call, bool]], owner: str | None) -> tuple[bool, bool, str]:
        trains, steps, cause = False, False, ""
        for call, looped in calls:
            self._work -= 1
            one_step = _is_step(call)
            cause = cause or self._direct_cause(call)
            for function in self._called(call, owner):
                trains = trains or function.trains
                one_step = one_step or function.steps
                cause = cause or ("" if function.cause in _NOT_PASSED_ON else function.cause)
            trains = trains or _fits(call) or (one_step and looped)
            steps = steps or one_step
        return trains, steps, cause

    def why_skip(self, *nodes: ast.AST) -> str:
        """Why these nodes should not run at top level, judged by what they call; empty if they may."""
        trains, _, cause = self._effects(self._calls_in(nodes), None)
        return TRAINS if trains else cause

    def reads_through(self, names: Iterable[str]) -> dict[str, None]:
        """The names, and those that functions of the notebook among them read from outside when called.

        Once all the work that a notebook of its size may cause is done, the names alone.
        """
        found: dict[str, None] = {}
        waiting = list(names)[::-1]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found[name] = None
            if self._work <= 0:
                continue
            for function in self.functions.get(name, []):
                free = self._free(function.node)
                self._work -= 1 + len(free)
                waiting.extend(free)
        return found

    def _free(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
        if id(node) not in self.free:
            inside = (inner for statement in node.body for inner in ast.walk(statement))
            names = [inner for inner in inside if isinstance(inner, ast.Name)]
            own = {inner.id for inner in names if not isinstance(inner.ctx, ast.Load)}
            own |= {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}
            self.free[id(node)] = {inner.id for inner in names} - own
        return self.free[id(node)]

    def resolve(self, node: ast.AST) -> str:
        """The full dotted name that an expression stands for, imports taken into account."""
        name = dotted(node)
        root, dot, rest = name.partition(".")
        if root in self.functions or root in self.bases:
            return name
        usual = _USUAL_NAMES.get(root, root) if dot else root
        if root in self.assigned and usual.startswith("google.colab."):
            usual = root  # such as a list of files
        known = self.aliases.get(root) or usual
        return known + dot + rest

    def _direct_cause(self, call: ast.Call) -> str:
        name = self.resolve(call.func)
        for prefix in _PREFIXES:
            if name == prefix or (name.startswith(prefix) and prefix.endswith((".", "_", ".exec"))):
                return _CAUSES[prefix]
        last = name.rpartition(".")[2] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
        if last in _BARE_CAUSES:
            return _BARE_CAUSES[last]
        if last in _BARE_DATASETS and last not in self.bases and last not in self.functions:
            return DOWNLOADS
        if last in ("system", "getoutput") and "get_ipython" in ast.unparse(call.func):
            return SHELL
        return ""

    def _called(self, call: ast.Call, owner: str | None) -> list[_Function]:
        """The functions of the notebook that a call may mean."""
        if self._work <= 0:
            return []
        found = self._meant(call, owner)
        self._work -= len(found)
        return found

    def _meant(self, call: ast.Call, owner: str | None) -> list[_Function]:
        function = call.func
        if isinstance(function, ast.Name):
            if function.id in self.bases:
                return self._methods_of(function.id, "__init__")
            return self.functions.get(function.id, [])
        if not isinstance(function, ast.Attribute) or function.attr not in self.methods:
            return []
        receiver = function.value
        made = self._class_made(receiver)
        if isinstance(receiver, ast.Name):
            made = owner or "" if receiver.id in ("self", "cls") else self.instances.get(receiver.id, made)
            if receiver.id in self.bases:
                made = receiver.id
        if made:
            return self._methods_of(made, function.attr)
        # nn.Module has a method `train` of its own, which only switches the mode.
        if function.attr in ("train", "step", "forward", "eval") and not call.args and not call.keywords:
            return []
        return self.methods[function.attr]

    def _methods_of(self, owner: str, name: str) -> list[_Function]:
        waiting, seen = [owner], {owner}
        named = self.methods.get(name, [])
        while waiting and self._work > 0:
            current = waiting.pop()
            self._work -= 1 + len(named)
            own = [function for function in named if function.owner == current]
            if own:
                return own
            for base in self.bases.get(current, ()):
                if base in self.bases and base not in seen:
                    seen.add(base)
                    waiting.append(base)
        return []


def _is_step(call: ast.Call) -> bool:
    """A call that changes weights or makes gradients: ``loss.backward()``, ``optimizer.step()``."""
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr == "backward":
        return True
    receiver = dotted(call.func.value).lower()
    return call.func.attr == "step" and any(word in receiver for word in ("opt", "scaler", "adam", "sgd"))


def _fits(call: ast.Call) -> bool:
    """A call of a library's training loop, as in ``trainer.fit(model)`` or ``Trainer(...).train()``."""
    if not isinstance(call.func, ast.Attribute):
        return False
    receiver = call.func.value
    named = dotted(receiver.func) if isinstance(receiver, ast.Call) else dotted(receiver)
    trainer = "trainer" in named.lower()
    return call.func.attr in ("fit", "fit_one_cycle") or (call.func.attr == "train" and trainer)
