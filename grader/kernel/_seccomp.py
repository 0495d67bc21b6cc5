"""The system calls that a confined kernel may make, as a classic BPF program; see seccomp(2)."""

from __future__ import annotations

import errno
import os
import struct

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Numbers on x86_64 and aarch64, None where there is no such call: asm/unistd_64.h and asm-generic/unistd.h
# of Linux.
_Numbers = dict[str, tuple[int | None, int | None]]
_REFUSED: _Numbers = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "setpriority": (141, 140), "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "setrlimit": (160, 164),
    "perf_event_open": (298, 241),
    # parts of the system with a history of holes, which no homework needs
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "vmsplice": (278, 75), "modify_ldt": (154, None), "personality": (135, 92),
    "seccomp": (317, 277), "lookup_dcookie": (212, 18), "uselib": (134, None), "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    # namespaces and mounts
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "unshare": (272, 97), "setns": (308, 268),
    # files past their paths
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    "quotactl": (179, 60), "quotactl_fd": (443, 443),
    # the machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "syslog": (103, 116), "sethostname": (170, 161),
    "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171), "vhangup": (153, 58),
    # memory that outlives a process, or that neither a limit nor the watchdog sees
    "mq_open": (240, 180), "mq_unlink": (241, 181), "shmget": (29, 194), "shmat": (30, 196),
    "msgget": (68, 186), "semget": (64, 190),
}  # fmt: skip
# Their callers have another way for kernels that lack them, and take it on ENOSYS.
_UNKNOWN: _Numbers = {"clone3": (435, 435), "memfd_create": (319, 279), "memfd_secret": (447, 447)}
_PROGRAMS: _Numbers = {"execve": (59, 221), "execveat": (322, 281)}
_CONNECT: _Numbers = {"connect": (42, 203)}
# Landlock does not cover what is about a file but not in it; a kernel with the judge's user could lock the
# judge out of its own files. They answer success and do nothing, since copying a file calls them.
_ATTRIBUTES: _Numbers = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466), "file_setattr": (469, 469),
}  # fmt: skip
# ZeroMQ asks for the scheduling that its threads have anyway, and aborts when that is refused.
_SCHEDULING: _Numbers = {"sched_setscheduler": (144, 119), "sched_setparam": (142, 118)}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NEW_NAMESPACES = 0x7E020000
_AF_UNIX = 1
_RLIMIT_RTTIME = 15
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


def program(
    machine: str | None = None, *, programs: bool = False, connect: bool = True, attributes: bool = True
) -> bytes:
    """A classic BPF program that lets honest code be and refuses the rest with an error rather than a kill.

    Args:
        machine: ``x86_64`` or ``aarch64``, by default this machine.
        programs: whether other programs may be started.
        connect: whether Unix sockets may be connected to.
        attributes: whether mode, owner and times of files may be changed.
    """
    machine = machine or os.uname().machine
    column = list(ARCHITECTURES).index(machine)
    code: list[tuple[int, int, int, int]] = []

    def refuse(numbers: _Numbers, error: int) -> None:
        for pair in numbers.values():
            if pair[column] is not None:
                code.extend([(_EQUAL, 0, 1, pair[column] or 0), (_RETURN, 0, 0, _ERRNO | error)])

    def when(pair: tuple[int, int], *tests: tuple[int, int, int, int]) -> None:
        """For one call, run the tests (which fall through to a refusal) and allow by jumping past it."""
        code.append((_EQUAL, 0, len(tests) + 2, pair[column]))
        code.extend([*tests, (_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)])

    def low(argument: int) -> tuple[int, int, int, int]:
        return (_LOAD, 0, 0, 16 + 8 * argument)

    code += [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":
        # The x32 interface reaches the same calls under other numbers.
        code += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    refuse(_UNKNOWN, errno.ENOSYS)
    refuse(_REFUSED, errno.EPERM)
    if not programs:
        refuse(_PROGRAMS, errno.EPERM)
    if not connect:
        refuse(_CONNECT, errno.EPERM)
    refuse(_SCHEDULING, 0)
    if not attributes:
        refuse(_ATTRIBUTES, 0)
    for pair in ((41, 198), (53, 199)):  # socket, socketpair
        when(pair, low(0), (_EQUAL, 1, 0, _AF_UNIX))
    when((56, 220), low(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES))  # clone
    when((16, 29), low(1), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX))  # ioctl
    # prlimit64 of another process could kill the judge; that of RLIMIT_RTTIME would wipe off the mark of
    # `Mark`. Reading is always allowed; setting for oneself (pid 0) anything but the mark.
    when(
        (302, 261),
        low(2), (_EQUAL, 0, 2, 0), (_LOAD, 0, 0, 16 + 8 * 2 + 4), (_EQUAL, 5, 0, 0),
        low(0), (_EQUAL, 0, 2, 0),
        low(1), (_EQUAL, 0, 1, _RLIMIT_RTTIME),
    )  # fmt: skip
    when((203, 122), low(0), (_EQUAL, 1, 0, 0))  # sched_setaffinity, for oneself only
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", operation, yes, no, value) for operation, yes, no, value in code)
