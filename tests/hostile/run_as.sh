#!/bin/sh
# Runs the hostile corpus as somebody else: run_as.sh root|container|user [bases, categories or kinds]
#
# root       as it is: a user of its own for every kernel
# container  root cut down to Docker's default capabilities
# user       nobody, as on a laptop without root; keeps the right to read where Python lies in a private home
set -eu
who=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
export PYTHONPATH="$root" PYTHONDONTWRITEBYTECODE=1
python=$(command -v python || command -v python3)
docker="-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw"
docker="$docker,+sys_chroot,+mknod,+audit_write,+setfcap"
case "$who" in
root) exec "$python" -m tests.hostile.arena "$@" ;;
container) exec setpriv --bounding-set="$docker" --inh-caps=-all "$python" -m tests.hostile.arena "$@" ;;
user)
    become="setpriv --reuid=65534 --regid=65534 --clear-groups"
    HOME=$(mktemp -d /tmp/hn-XXXXXX)
    export HOME
    chown 65534 "$HOME"
    trap 'rm -rf "$HOME"' EXIT
    if $become --inh-caps=-all "$python" -c 'import torch' 2>/dev/null; then
        $become --inh-caps=-all "$python" -m tests.hostile.arena "$@"
    else
        $become --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \
            "$python" -m tests.hostile.arena "$@"
    fi
    ;;
*)
    echo "run_as.sh root|container|user" >&2
    exit 2
    ;;
esac
