#!/usr/bin/env bash
# Prepares the image in which submissions are graded: run once, as root, when the zip is uploaded.
# The next line works with the line ends of Windows, and mends them.
if grep -q "$(printf '\r')" "$0"; then tr -d '\r' < "$0" > /tmp/hw3-setup && HW3_SOURCE="${HW3_SOURCE:-$(cd "$(dirname "$0")" && pwd)}" exec bash /tmp/hw3-setup "$@"; fi #

set -euo pipefail
umask 022
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1

source_folder="${HW3_SOURCE:-$(cd "$(dirname "$0")" && pwd)}"
autograder="${HW3_AUTOGRADER:-/autograder}"
home="${HW3_HOME:-/opt/hw3-grader}"
setting() { tr -d '\r' < "$source_folder/$1"; }
wanted="$(setting python-version.txt)"
pip_arguments="${HW3_PIP_ARGS-$(setting pip-args.txt)}"
torch_arguments="${HW3_TORCH_ARGS-$(setting torch-args.txt)}"
wheel=("$source_folder"/hw3_grader-*.whl)

# Everything works from copies, as the folder of the zip may be read-only; what can be mended there is.
mend() {
    if [ -f "$1" ] && grep -q "$(printf '\r')" "$1"; then
        tr -d '\r' < "$1" > /tmp/hw3-mended && cp /tmp/hw3-mended "$1" || true
    fi
    [ ! -f "$1" ] || chmod 0755 "$1" || true
}
mend "$source_folder/run_autograder" 2>/dev/null
mend "$autograder/run_autograder" 2>/dev/null

close_source() {
    # The seed lies there: nobody but root may read it, submissions least of all.
    chmod 0700 "$source_folder" 2>/dev/null || echo "note: $source_folder cannot be closed to other users"
}

homework_files() { # each file of the homework with its content, where it came with the zip
    [ ! -d "$source_folder/homework" ] || (cd "$source_folder/homework" && find . -type f | LC_ALL=C sort | xargs -d '\n' sha256sum)
}
stamp="$({ cat "${wheel[0]}"; for name in constraints requirements python-version; do setting "$name.txt"; done; homework_files; } | sha256sum | cut -d ' ' -f 1)"
if [ "$(cat "$home/stamp" 2>/dev/null)" = "$stamp" ]; then
    close_source
    echo "already set up: $home"
    exit 0
fi

# -- a Python of the version by which the zip was checked --------------------------------------------------
usable() { # a Python of that version that can make virtual environments
    [ "$("$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$wanted" ]
}
find_python() {
    for candidate in "${HW3_PYTHON:-}" python3 "python$wanted" "/usr/bin/python$wanted" "/usr/local/bin/python$wanted"; do
        if [ -n "$candidate" ] && usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}
if ! python="$(find_python)"; then
    apt-get update -qq
    # On Ubuntu other versions than its own come from the deadsnakes archive; it may be out of reach.
    if [ "$(. /etc/os-release && echo "$ID")" = ubuntu ] && ! python3 -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$wanted')" 2>/dev/null; then
        apt-get install -y -qq --no-install-recommends software-properties-common gpg-agent > /dev/null || true
        timeout 60 add-apt-repository -y ppa:deadsnakes/ppa > /dev/null 2>&1 || echo "note: deadsnakes cannot be reached"
    fi
    apt-get install -y -qq --no-install-recommends "python$wanted" "python$wanted-venv" ca-certificates > /dev/null || true
    if ! python="$(find_python)"; then
        echo "setup.sh: this image has no Python $wanted, and none can be installed." >&2
        echo "Choose a base image on Gradescope that has it (Ubuntu 24.04 has 3.12), or build the zip with the image's Python." >&2
        exit 1
    fi
fi
echo "Python: $python"

# -- its packages, at the versions by which the zip was checked ----------------------------------------------
rm -rf "$home"
mkdir -p "$home"
"$python" -m venv "$home/venv"
pip() { "$home/venv/bin/python" -m pip install --quiet --no-cache-dir --no-warn-script-location "$@"; }
torch="$(grep -iE '^(torch|torchvision)==' "$source_folder/constraints.txt" | tr -d '\r' | tr '\n' ' ')"
tr -d '\r' < "$source_folder/constraints.txt" > "$home/constraints.txt"
tr -d '\r' < "$source_folder/requirements.txt" > "$home/requirements.txt"
# CPU builds of torch lie in an index of their own, which holds little else; so they come without the rest.
# shellcheck disable=SC2086
pip $torch_arguments --no-deps $torch
# shellcheck disable=SC2086
pip $pip_arguments -c "$home/constraints.txt" -r "$home/requirements.txt"

# -- the grader, apart from what submissions may read ---------------------------------------------------------
pip --no-deps --no-index --target "$home/lib" "${wheel[0]}"
chmod -R go-rwx "$home/lib"
chmod 0711 "$home" "$home/lib" "$home/lib/grader" "$home/lib/grader/data"
chmod -R go+rX "$home/lib/grader/data/nltk"
if [ -d "$source_folder/homework" ]; then
    cp -R "$source_folder/homework" "$home/homework"
    chmod -R go-rwx "$home/homework"
    export GRADER_HOMEWORK="$home/homework"
else
    unset GRADER_HOMEWORK
fi
close_source
(cd / && PYTHONPATH="$home/lib" "$home/venv/bin/python" -m grader --version)

# -- training data, once for all submissions; without them only training items wait for a person ---------------
(cd / && HW3_CACHE="$home/data" PYTHONPATH="$home/lib" timeout "${HW3_DATA_SECONDS:-900}" "$home/venv/bin/python" -m grader data fetch) ||
    echo "note: without training data, training items are left to a person"
chmod 0700 "$home/data" 2>/dev/null || true
echo "$stamp" > "$home/stamp"
echo "set up: $home, $(du -sm "$home" | cut -f 1) MB"
