"""The system calls that a confined kernel may make, as a classic BPF program; see seccomp(2).

An allow-list: a call that `calls` does not name answers ENOSYS, as on a system that does not have it. What a program
should be told that it may not do answers EPERM.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Iterator

from grader.kernel.confinement import calls
from grader.kernel.confinement.calls import Numbers

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NEW_NAMESPACES = 0x7E020000
_AF_UNIX = 1
_RLIMIT_RTTIME = 15
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# Leases stop others who open a file, notifications tell of what others do, signals go to others, and a pipe's size counts
# against what the user may have: fcntl(2).
_F_SETLEASE, _F_NOTIFY, _F_SETPIPE_SZ, _F_SETOWN, _F_SETOWN_EX = 1024, 1026, 1031, 8, 15
# Names and death signals of threads, what is asked, names of memory: prctl(2).
_PRCTL = {
    "PR_SET_PDEATHSIG": 1,
    "PR_GET_PDEATHSIG": 2,
    "PR_GET_DUMPABLE": 3,
    "PR_SET_NAME": 15,
    "PR_GET_NAME": 16,
    "PR_GET_SECCOMP": 21,
    "PR_CAPBSET_READ": 23,
    "PR_GET_TIMERSLACK": 30,
    "PR_SET_NO_NEW_PRIVS": 38,
    "PR_GET_NO_NEW_PRIVS": 39,
    "PR_SET_THP_DISABLE": 41,
    "PR_GET_THP_DISABLE": 42,
    "PR_SET_VMA": 0x53564D41,
}

_Step = tuple[int, int, int, int]


def program(
    machine: str | None = None, *, programs: bool = False, attributes: bool = True, gpu: bool = False
) -> bytes:
    """A classic BPF program that lets honest code be and answers the rest with an error rather than a kill.

    Args:
        machine: ``x86_64`` or ``aarch64``, by default this machine.
        programs: whether other programs may be started.
        attributes: whether mode, owner and times of files may be changed.
        gpu: whether to allow what CUDA's driver needs as well.
    """
    machine = machine or os.uname().machine
    column = list(ARCHITECTURES).index(machine)
    code: list[_Step] = []

    def answer(numbers: Numbers, error: int) -> None:
        for pair in numbers.values():
            if pair[column] is not None:
                code.extend([(_EQUAL, 0, 1, pair[column] or 0), (_RETURN, 0, 0, _ERRNO | error)])

    def when(name: str, *tests: _Step, error: int = errno.EPERM) -> None:
        """For one call, run the tests (which fall through to a refusal) and allow by jumping past it."""
        number = calls.CONDITIONAL[name][column] or 0
        code.append((_EQUAL, 0, len(tests) + 2, number))
        code.extend([*tests, (_RETURN, 0, 0, _ERRNO | error), (_RETURN, 0, 0, _ALLOW)])

    def none_of(name: str, argument: int, values: Iterable[int]) -> None:
        """Allow a call unless its argument is one of these."""
        listed = list(values)
        # From the test at `index`, the refusal is `len - index - 1` steps away.
        tests = [
            (_EQUAL, len(listed) - index - 1, int(index == len(listed) - 1), value)
            for index, value in enumerate(listed)
        ]
        when(name, low(argument), *tests)

    def one_of(name: str, argument: int, values: Iterable[int], error: int = errno.EPERM) -> None:
        """Allow a call if its argument is one of these."""
        listed = list(values)
        when(
            name,
            low(argument),
            *((_EQUAL, len(listed) - index, 0, value) for index, value in enumerate(listed)),
            error=error,
        )

    def low(argument: int) -> _Step:
        return (_LOAD, 0, 0, 16 + 8 * argument)

    def high(argument: int) -> _Step:
        return (_LOAD, 0, 0, 16 + 8 * argument + 4)

    code += [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":
        # The x32 interface reaches the same calls under other numbers.
        code += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for name in ("socket", "socketpair"):
        one_of(name, 0, [_AF_UNIX])
    when("clone", low(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES))
    none_of("ioctl", 1, [_TIOCSTI, _TIOCLINUX])
    none_of("fcntl", 1, [_F_SETLEASE, _F_NOTIFY, _F_SETPIPE_SZ, _F_SETOWN, _F_SETOWN_EX])
    one_of("prctl", 0, _PRCTL.values(), errno.EINVAL)
    # send(2) is this call without an address.
    when("sendto", low(4), (_EQUAL, 0, 2, 0), high(4), (_EQUAL, 1, 0, 0))
    # prlimit64 of another process could kill the judge; that of RLIMIT_RTTIME would wipe off the mark of
    # `Mark`. Reading is always allowed; setting for oneself (pid 0) anything but the mark.
    when(
        "prlimit64",
        low(2), (_EQUAL, 0, 2, 0), high(2), (_EQUAL, 5, 0, 0),
        low(0), (_EQUAL, 0, 2, 0),
        low(1), (_EQUAL, 0, 1, _RLIMIT_RTTIME),
    )  # fmt: skip
    when("sched_setaffinity", low(0), (_EQUAL, 1, 0, 0))  # for oneself only
    answer(calls.UNKNOWN, errno.ENOSYS)
    answer(calls.REFUSED | ({} if programs else calls.PROGRAMS), errno.EPERM)
    answer(calls.EXTENDED_ATTRIBUTES, errno.ENOTSUP)
    answer(calls.SCHEDULING | ({} if attributes else calls.ATTRIBUTES), 0)
    allowed = calls.ALLOWED | (calls.PROGRAMS if programs else {})
    allowed = allowed | (calls.ATTRIBUTES if attributes else {}) | (calls.GPU if gpu else {})
    for first, last in _runs(pair[column] for pair in allowed.values()):
        code += [(_AT_LEAST, 0, 2, first), (_ABOVE, 1, 0, last), (_RETURN, 0, 0, _ALLOW)]
    code.append((_RETURN, 0, 0, _ERRNO | errno.ENOSYS))
    return b"".join(struct.pack("<HBBI", operation, yes, no, value) for operation, yes, no, value in code)


def _runs(numbers: Iterable[int | None]) -> Iterator[tuple[int, int]]:
    """Numbers in order, as runs without a gap: first and last of each."""
    known = sorted({number for number in numbers if number is not None})
    start = 0
    for index in range(1, len(known) + 1):
        if index == len(known) or known[index] != known[index - 1] + 1:
            yield known[start], known[index - 1]
            start = index
