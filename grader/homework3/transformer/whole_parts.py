"""Layers of a module that is judged whole, told apart by their parameters.

The module is built with fewer layers: the parameters that the n-th layer adds are its own. A module of one layer that is given
the parameters of layer l is that layer alone, so the composition of all layers can be held as exactly as with stand-ins.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grader.homework3 import strategies
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.calls import Call, ask
from grader.homework3.transformer.cases import PART, SIZES, of_sizes
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

WHOLE = replace(PART, family="transformer_whole")
"""The same part, by its other properties."""
ALONE = "transformer_whole.test_layers_follow_each_other"
WEIGHT_SIZE = 0.4
COMPOSED = 20.0
"""By how much more than a single step a composition of layers may be off: each adds the rounding of its own."""
Weights = dict[str, Array]
layered = strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 3), 2, 5, seed))
five_layers = strategies.seeds.map(lambda seed: of_sizes((5, 3, 7, 1, 5), 3, 4, seed))
one_layer = strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 1), 6, 7, seed))
long = strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 2), 1, 66, seed))


@dataclass(frozen=True)
class Layers:
    """For each layer the names of its parameters, in the order of those of a module of one layer.

    A parameter that holds those of all layers along its first axis belongs to each of them; ``shared`` are such.
    """

    single: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    shared: frozenset[str]

    def alone(self, weights: Mapping[str, Array], layer: int) -> Weights:
        """The weights of one layer, for a module that has no other."""
        own = zip(self.single, self.names[layer], strict=True)
        return {
            name: weights[source][layer : layer + 1] if source in self.shared else weights[source]
            for name, source in own
        }


def layers_of(found: Sequence[Mapping[str, Array]]) -> Layers:
    """Tell apart the parameters of layers by those of modules with one layer, two layers, and so on."""
    single = tuple(found[0])
    expect.require(bool(single), "the module has no parameters")
    shapes = {name: tuple(value.shape) for name, value in found[0].items()}
    shared = frozenset(
        name
        for name in single
        if all(
            name in more and more[name].shape == (count, *shapes[name][1:])
            for count, more in enumerate(found, 1)
        )
        and shapes[name][:1] == (1,)
        and len(found) > 1
    )
    names = [single]
    for count, (fewer, more) in enumerate(itertools.pairwise(found), 1):
        new = iter([name for name in more if name not in fewer])
        own = tuple(name if name in shared else next(new, "") for name in single)
        added = sum(more[name].size for name in more if name not in fewer)
        each = sum(found[0][name].size for name in single if name not in shared)
        why = (
            f"layer {count} (counted from 0) adds {added} numbers to the module's parameters, and layer 0 has {each}:"
            " each layer needs weights of its own"
        )
        alike = all(
            name and (name in shared or more[name].shape == shapes[one])
            for name, one in zip(own, single, strict=True)
        )
        expect.require(alike and next(new, None) is None, why)
        names.append(own)
    return Layers(single, tuple(names), shared)


def with_layers(student: Student, case: MaskedCase, count: int) -> Remote:
    """A module of as many layers."""
    module: Remote = student.Transformer(*(case.sizes[name] for name in SIZES[:4]), count)
    module.mode(False)
    return module


def told_apart(student: Student, case: MaskedCase) -> Generator[Any, Any, tuple[Layers, Weights]]:
    """The layers of the case's module, and new weights for it."""
    modules = [with_layers(student, case, count) for count in range(1, case.num_layers + 1)]
    for module in modules:
        ask(student, module, Call(case.x, None))
    found = yield tuple(module.parameters() for module in modules)
    own = [{name: v for name, v in one.items() if isinstance(v, np.ndarray)} for one in found]
    return layers_of(own), generic(own[-1], case.rng())


def generic(parameters: Mapping[str, Array], rng: np.random.Generator) -> Weights:
    """New weights of ordinary size."""
    return {
        name: (WEIGHT_SIZE * rng.normal(size=value.shape)).astype(np.float32)
        for name, value in parameters.items()
    }


def chained(
    student: Student, case: MaskedCase, layers: Layers, weights: Weights, call: Call
) -> tuple[list[Remote], Remote]:
    """What modules of one layer give, each with the weights of one and the output of the last: replies, and the last output."""
    single = with_layers(student, case, 1)
    single.mode(call.training)
    x: Remote | None = None
    replies = []
    for layer in range(case.num_layers):
        single.load(layers.alone(weights, layer))
        replies.append(ask(student, single, call, x))
        x = replies[-1].tensor_of(call.x.shape)
    assert x is not None
    return replies, x
