"""What a worker must have in common with the coordinator, and how the seed travels."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from grader.assignment import Assignment
from grader.cluster import offer as offers
from grader.cluster.offer import Offer, assignment_of, differences, fingerprint_of, offer_of, with_seed
from grader.errors import RubricError, UsageError
from grader.homework3 import HOMEWORK

SEED = b"a secret seed of some length"


@pytest.fixture
def secret(assignment: Assignment) -> Assignment:
    return replace(assignment, seed=SEED)


@pytest.fixture
def offer(secret: Assignment) -> Offer:
    return offer_of(secret, HOMEWORK.rubric.read_bytes())


def test_the_same_grader_agrees(offer: Offer, secret: Assignment) -> None:
    made = assignment_of(offer, SEED)
    assert differences(offer["expected"], fingerprint_of(made)) == []
    assert (made.seed, made.limits, made.rubric.digest) == (SEED, secret.limits, secret.rubric.digest)


def test_each_difference_is_named(
    offer: Offer, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "__version__", "0.0.1")
    monkeypatch.setattr(offers, "code_of_homework", lambda assignment: b"another")
    monkeypatch.setattr(offers, "version", lambda name: "1.0" if name == "torch" else "other")
    another = replace(assignment, seed=b"another secret of some length")
    found = differences(offer["expected"], fingerprint_of(another))
    names = [line.split()[0] for line in found]
    assert {"grader", "homework", "torch", "seed"} <= set(names)
    assert "rubric" not in names and "Python" not in names
    assert found[names.index("torch")].startswith("torch 1.0 (here: 2")


def test_a_changed_source_file_is_another_grader(
    offer: Offer, secret: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "code_of_grader", lambda: b"one byte more")
    (line,) = differences(offer["expected"], fingerprint_of(secret))
    assert line.startswith("grader ")


@pytest.mark.parametrize(
    ("addresses", "travels"),
    [
        (("tls://a:1", "tls://b:2"), True),
        (("tcp://a:1", "tcp://b:2"), False),
        (("tls://a:1", "tcp://b:2"), False),
        (("tcp://a:1", "tls://b:2"), False),
    ],
)
def test_the_seed_travels_encrypted_or_not_at_all(
    offer: Offer, addresses: tuple[str, str], travels: bool
) -> None:
    sent = pickle.dumps(with_seed(offer, SEED, *addresses))
    assert (SEED in sent) == travels


def test_without_tls_a_worker_needs_the_seed_file(offer: Offer, assignment: Assignment) -> None:
    with pytest.raises(UsageError, match="--seed-file"):
        assignment_of(offer, None)
    made = assignment_of(offer, b"the wrong secret, by mistake")
    (line,) = differences(offer["expected"], fingerprint_of(made))
    assert line.startswith("seed secret ")
    public = offer_of(assignment, HOMEWORK.rubric.read_bytes())
    assert assignment_of(public, SEED).seed_kind == "public", "a seed of another class does not count"


def test_a_rubric_for_another_homework(offer: Offer) -> None:
    text = HOMEWORK.rubric.read_bytes()
    name = next(iter(HOMEWORK.properties)).encode()
    assert name in text
    with pytest.raises(RubricError):
        assignment_of({**offer, "rubric": text.replace(name, b"no.such.property")}, SEED)
