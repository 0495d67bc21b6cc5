"""What keeps a submission's kernel apart from the judge: its policy, its folder, its identity and its end.

Levels, from strongest to weakest; `Workspace` always uses the strongest that the host gives:

full
    Landlock and seccomp, and a user of its own for the kernel. It reads libraries and its own folder only,
    reaches no network, and neither sees nor signals a process that is not its own.
strong
    Landlock and seccomp, but the judge's own user (which needs Landlock's scopes, ABI 6), or one that keeps the
    right to enter the judge's folders. The same holds, by Landlock alone; what the kernel leaves behind is ended
    by a process that it cannot reach, and known by a mark that it cannot take off.
basic
    Some of it: seccomp or a user of its own. No network and no tracing, but files that the kernel's user may
    read, the grader's among them, can be read.
none
    Limits on time and memory at most, or no user but root for the kernel.

What each level leaves open stands in THREATS.md. No kernel ever runs as root, except that a person's own notebook may
where root is the only user there is (a container without capabilities); see `for_own_notebook`.

Sources: landlock(7), seccomp(2), credentials(7), capabilities(7), proc(5), setrlimit(2).
"""

from grader.kernel.confinement.host import (
    LEVELS,
    Host,
    Level,
    describe,
    for_own_notebook,
    meets,
    probe,
    require,
    require_kernels,
    weaknesses,
)
from grader.kernel.confinement.landlock import Access
from grader.kernel.confinement.policy import make_policy, make_sealed_policy
from grader.kernel.confinement.processes import (
    FIRST_UID,
    KEEPER_UID,
    IsolationError,
    Mark,
    has_processes,
    sweep,
)
from grader.kernel.confinement.watchdog import Budget, Watchdog
from grader.kernel.confinement.workspace import Uids, Workspace

__all__ = [
    "FIRST_UID",
    "KEEPER_UID",
    "LEVELS",
    "Access",
    "Budget",
    "Host",
    "IsolationError",
    "Level",
    "Mark",
    "Uids",
    "Watchdog",
    "Workspace",
    "describe",
    "for_own_notebook",
    "has_processes",
    "make_policy",
    "make_sealed_policy",
    "meets",
    "probe",
    "require",
    "require_kernels",
    "sweep",
    "weaknesses",
]
