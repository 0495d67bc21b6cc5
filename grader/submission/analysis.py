"""Finds out from the syntax trees of a whole notebook which calls train, download or stop it, through its functions too."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from grader.submission.causes import NOT_PASSED_ON, TRAINS, USUAL_NAMES, cause_of, cause_of_last, is_dataset
from grader.submission.magics import DOWNLOADS, SHELL
from grader.submission.syntax import dotted

_WORK_PER_NODE = 3
_LEAST_WORK = 300_000
"""How much work each node of the trees pays for, and the least that is allowed. It keeps the time linear in the size."""

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class _Function:
    """A function of the notebook: whether it trains, takes one step of training, or should not run for another cause."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: str | None
    trains: bool = False
    steps: bool = False
    cause: str = ""


class Notebook:
    """All cells together: what names are imported as, and which functions train or download, directly or through calls."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self.aliases: dict[str, str] = {}
        self.stars: set[str] = set()
        self.functions: dict[str, list[_Function]] = {}
        self.methods: dict[str, list[_Function]] = {}
        self.bases: dict[str, set[str]] = {}
        self.instances: dict[str, str] = {}
        self._outer_names: dict[int, set[str]] = {}
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
        """Find out what each function does through the functions it calls. When one changes, look at its callers again."""
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
                cause = cause or ("" if function.cause in NOT_PASSED_ON else function.cause)
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
                outer = self._names_from_outside(function.node)
                self._work -= 1 + len(outer)
                waiting.extend(outer)
        return found

    def _names_from_outside(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
        if id(node) not in self._outer_names:
            inside = (inner for statement in node.body for inner in ast.walk(statement))
            names = [inner for inner in inside if isinstance(inner, ast.Name)]
            own = {inner.id for inner in names if not isinstance(inner.ctx, ast.Load)}
            own |= {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}
            self._outer_names[id(node)] = {inner.id for inner in names} - own
        return self._outer_names[id(node)]

    def resolve(self, node: ast.AST) -> str:
        """The full dotted name that an expression stands for, imports taken into account."""
        name = dotted(node)
        root, dot, rest = name.partition(".")
        if root in self.functions or root in self.bases:
            return name
        usual = USUAL_NAMES.get(root, root) if dot else root
        if root in self.assigned and usual.startswith("google.colab."):
            usual = root  # such as a list of files
        known = self.aliases.get(root) or usual
        return known + dot + rest

    def _direct_cause(self, call: ast.Call) -> str:
        name = self.resolve(call.func)
        if (known := cause_of(name)) is not None:
            return known
        last = name.rpartition(".")[2] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
        if cause := cause_of_last(last):
            return cause
        if is_dataset(last) and last not in self.bases and last not in self.functions:
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
