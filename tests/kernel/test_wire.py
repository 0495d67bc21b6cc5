"""Arbitrary bytes and JSON on the wire end in the documented errors, and arbitrary answers in a verdict."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.errors import KernelError
from grader.homework3 import HOMEWORK
from grader.judging.budget import Budget
from grader.judging.cases import cases_for
from grader.judging.children import SharedChild
from grader.judging.expect import StoodBack, Violation
from grader.judging.trial import Trial
from grader.kernel import remote, wire
from grader.kernel.inside import frames
from grader.kernel.process import _receive
from grader.kernel.remote import (
    Connection,
    NoReply,
    PropertyChannel,
    Recording,
    SocketConnection,
    Student,
    StudentError,
)
from grader.kernel.stage import Stage

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
TAGS = st.sampled_from(["n", "b", "i", "f", "s", "t", "l", "d", "a", "o", "r", ""])
TAGGED = st.recursive(
    st.tuples(TAGS, JSON).map(list) | st.tuples(TAGS, JSON, JSON, JSON).map(list),
    lambda inner: st.tuples(TAGS, st.lists(inner, max_size=3)).map(list),
    max_leaves=10,
)
ARRAYS = st.tuples(
    st.just("a"),
    st.sampled_from([*wire.DTYPES, "object", "U8", "datetime64", ">f4", "V4"]),
    st.lists(st.integers(-2, 5) | st.just(10**30), max_size=10),
    st.integers(-2, 2),
).map(list)
BUFFERS = st.lists(st.binary(max_size=64), max_size=2)
SETTINGS = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(TAGGED | ARRAYS | JSON, BUFFERS)
def test_decode(item: Any, buffers: list[bytes]) -> None:
    try:
        value = wire.decode(item, buffers)
    except wire.WireError:
        return
    assert type(value) in (type(None), bool, int, float, str, tuple, list, dict, np.ndarray, wire.Other)


def test_decode_of_what_is_nested_deeply() -> None:
    item: Any = ["n"]
    for _ in range(100_000):
        item = ["l", [item]]
    with pytest.raises(wire.WireError):
        wire.decode(item, [])


@SETTINGS
@given(st.binary(max_size=200) | st.builds(
    lambda magic, text, count, payload, rest: struct.pack("<4sIIQ", magic, text, count, payload) + rest,
    st.sampled_from([b"hw3\x01", b"hw3\x02"]),
    st.integers(0, 2**32 - 1) | st.integers(0, 60),
    st.integers(0, 2**32 - 1) | st.integers(0, 3),
    st.integers(0, 2**64 - 1) | st.integers(0, 60),
    st.binary(max_size=100),
) | st.builds(
    lambda header, buffers: _frame(json.dumps(header).encode(), buffers), st.lists(JSON, max_size=3), BUFFERS
))  # fmt: skip
def test_receive_frame(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.close()
        with contextlib.suppress(frames.FrameError):
            frames.receive_frame(ours, time.monotonic() + 1)


def _frame(text: bytes, buffers: list[bytes]) -> bytes:
    return (
        struct.pack("<4sIIQ", b"hw3\x01", len(text), len(buffers), sum(map(len, buffers)))
        + text
        + b"".join(buffers)
    )


@pytest.mark.parametrize(
    "text",
    [b"[" * 200_000, b'[{"a": ' * 100_000, b"[NaN, []]", b"[1e999, []]", b"[" + b"9" * 5000 + b", []]"],
)
def test_receive_frame_of_odd_numbers_and_depth(text: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(_frame(text, [])[: 1 << 18])
        theirs.close()
        with contextlib.suppress(frames.FrameError):
            frames.receive_frame(ours, time.monotonic() + 1)


ERRORS = st.fixed_dictionaries(
    {
        "type": JSON,
        "message": JSON,
        "frames": JSON
        | st.lists(st.tuples(JSON, JSON, JSON, JSON).map(list), max_size=2)
        | st.lists(
            st.tuples(st.text("0123456789", max_size=12), st.integers(), st.text(), st.text()).map(list),
            max_size=2,
        ),
    }
)


@SETTINGS
@given(
    JSON
    | st.fixed_dictionaries({"error": JSON | ERRORS})
    | st.fixed_dictionaries({"values": JSON | st.lists(TAGGED, max_size=2)}),
    BUFFERS,
)
def test_answer(reply: Any, buffers: list[bytes]) -> None:
    for wanted in (None, (None, None)):
        with contextlib.suppress(wire.WireError):
            remote._answer(reply, buffers, wanted)


@SETTINGS
@given(
    st.lists(JSON | st.fixed_dictionaries({"values": st.lists(TAGGED, max_size=1)}), max_size=3),
    st.booleans(),
)
def test_no_reply_is_taken_for_fewer_trials_than_were_sent(replies: list[Any], stop: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(_frame(json.dumps([replies, []]).encode(), []))
        connection = SocketConnection(ours, {}, 1.0)
        try:
            answers = connection.run([(number, Recording(0), None) for number in range(3)], stop=stop)
        except NoReply:
            return
        assert len(answers) == 3 or (stop and isinstance(answers[-1], StudentError))


@SETTINGS
@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_control_answers(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.send(data or b"\x00")
        with contextlib.suppress(KernelError):
            assert type(_receive(ours, 1.0, "now")) is dict


VALUES = st.recursive(
    LEAVES
    | st.sampled_from(
        [
            wire.Other("Odd"),
            np.zeros((0,)),
            np.full((2, 3), np.nan, np.float32),
            np.ones((2, 2, 2), np.int64),
            np.zeros(()),
            np.ones((4, 4), bool),
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", list(HOMEWORK.properties))
def test_a_property_gives_a_verdict_on_any_answer(name: str) -> None:
    """However odd what comes back is, a property holds or is violated; it does not fail."""
    prop = HOMEWORK.properties[name]
    cases = cases_for(prop, b"any seed of sixteen")

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data: st.DataObject) -> None:
        trial = Trial(0, prop, data.draw(st.sampled_from(cases[:3])), 0, Budget())
        with contextlib.suppress(StoodBack, Violation, StudentError):
            while not trial.is_over:
                *_, wanted = trial.row
                count = len(wanted) if isinstance(wanted, tuple) else None
                trial.tell(data.draw(VALUES if count is None else st.tuples(*[VALUES] * count)))

    run()


def _answered(reply: Any, buffers: list[bytes], wanted: Any) -> Any:
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def send() -> None:
            with contextlib.suppress(frames.FrameError):
                frames.send_frame(theirs, reply, buffers)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return SocketConnection(ours, {}, 20.0).run([(0, Recording(0), wanted)], stop=True)[0]
        finally:
            ours.close()
            sender.join()


def test_one_buffer_cannot_stand_for_many_tensors() -> None:
    size = 4 << 20
    tensors = ["l", [["a", "bool", [size], 0]] * 100]
    with pytest.raises(NoReply, match="numbers"):
        _answered([{"values": [tensors]}], [bytes(size)], None)
    small = ["l", [["a", "uint8", [1000], 0]] * 100]
    assert len(_answered([{"values": [small]}], [bytes(1000)], None)) == 100


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float16"])
def test_small_numbers_count_as_large_ones_do(dtype: str) -> None:
    size = wire.MAX_NUMBERS + 2
    buffer = bytes(size * np.dtype(dtype).itemsize)
    with pytest.raises(NoReply, match="numbers"):
        _answered([{"values": [["a", dtype, [2, size // 2], 0]]}], [buffer], None)


def test_an_empty_tensor_has_no_huge_axis() -> None:
    with pytest.raises(NoReply):
        _answered([{"values": [["a", "float32", [0, 1 << 40], 0]]}], [b""], None)


def test_replies_are_bounded_as_a_whole() -> None:
    with pytest.raises(NoReply, match="size limits"):
        _answered([{"values": [["l", [["n"]] * (1 << 20)]]}], [], None)


def _built(**sizes: Any) -> list[Any]:
    return ["l", [["d", [["class", ["s", "AttentionHead"]], *[[k, ["i", v]] for k, v in sizes.items()]]]]]


def test_no_array_is_sized_from_a_reply() -> None:
    student = Student(0)
    wanted = (student.calls(), [student.standins()])
    fine = [{"values": [["l", []], ["l", [_built(dim=4, n_hidden=8)]]]}]
    assert _answered(fine, [], wanted)[1] == [[{"class": "AttentionHead", "dim": 4, "n_hidden": 8}]]
    for sizes in ({"dim": 1, "n_hidden": 6000}, {"dim": -1}, {"dim": 10**30}):
        with pytest.raises(NoReply, match=r"dim|n_hidden"):
            _answered([{"values": [["l", []], ["l", [_built(**sizes)]]]}], [], wanted)


def test_an_answer_that_comes_late_is_not_taken_for_another() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = SocketConnection(ours, Stage(), 0.05)
        with pytest.raises(NoReply, match="in time"):
            connection.run([(0, Recording(0), None)], stop=True)
        frames.send_frame(theirs, [{"values": [["i", 1]]}], [])
        connection.begin()
        with pytest.raises(NoReply, match="earlier"):
            connection.run([(0, Recording(0), None)], stop=True)


def test_a_child_that_owes_an_answer_is_shared_no_more() -> None:
    class Lazy(Connection):
        def _exchange(self, header: dict[str, Any], buffers: list[bytes]) -> tuple[Any, list[bytes]]:
            raise frames.FrameTimeout("no answer in time")

    class Kernel:
        @contextlib.contextmanager
        def property(self, stage: Stage) -> Iterator[PropertyChannel]:
            yield PropertyChannel(Lazy(stage, 1.0), pid=0)

    shared = SharedChild(Kernel())
    first = shared.channel(Stage())
    assert shared.channel(Stage()) is first, "it owes nothing yet"
    with pytest.raises(NoReply):
        first.connection.run([(0, Recording(0), None)], stop=True)
    assert shared.channel(Stage()) is not first
