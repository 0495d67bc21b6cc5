"""Execute the steps of a Dockerfile without Docker, stage by stage, in Debian's root file system.

    python -m tools.check_images containers/grader.Dockerfile FOLDER [--context .] [--arg TORCH=cpu] [--run 'grader doctor']

Needs Linux, root, debootstrap and the package `dockerfile-parse`. FOLDER keeps Debian (``base``) and an image for each stage. A
step runs as a container would run it (`tests.gradescope.container`): its own namespaces and Docker's default capabilities.
``--copy HOST:INSIDE`` and ``--env NAME=VALUE`` tell steps of mirrors and certificates, where a network needs them.

It takes minutes and hundreds of megabytes, so no test runs it.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

from tests.gradescope.container import PATH, Container, bootstrap

DEBIAN = re.compile(r"debian:(\w+)-slim")
SHELL = ["/bin/bash", "-euo", "pipefail", "-c"]


@dataclass
class Stage:
    """An image that is being made: its files, and what its instructions have set."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"


class Build:
    """Makes the images of a Dockerfile's stages.

    Args:
        folder: where images lie.
        context: the folder that COPY copies from.
        arguments: of the build, as ``--build-arg`` gives them.
        options: the command line's, for mirrors and certificates.
    """

    def __init__(self, folder: Path, context: Path, arguments: dict[str, str], options: argparse.Namespace) -> None:
        self.folder, self.context, self.options = folder, context, options
        self.given = arguments
        self.arguments = dict(arguments)
        self.stages: dict[str, Stage] = {}
        self.stage = Stage(folder / "none")

    def follow(self, file: Path) -> Stage:
        """Execute every instruction; returns the last stage."""
        parser = DockerfileParser(fileobj=file.open("rb"), env_replace=False)
        for step in parser.structure:
            name, value = step["instruction"], step["value"]
            if name == "COMMENT":
                continue
            print(f"{name} {value}"[:160], flush=True)
            getattr(self, f"_{name.lower()}")(value)
        return self.stage

    def _filled(self, text: str) -> str:
        known = {**self.arguments, **self.stage.environment}
        return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ""), text)

    def _arg(self, value: str) -> None:
        name, _, default = value.partition("=")
        self.arguments.setdefault(name, self.given.get(name, default))

    def _from(self, value: str) -> None:
        source, _, name = self._filled(value).partition(" AS ")
        root = self.folder / (name or "last")
        if root.exists():
            shutil.rmtree(root)
        self.stage = Stage(root)
        if source == "scratch":
            root.mkdir()
        elif source in self.stages:
            before = self.stages[source]
            self.stage = Stage(root, dict(before.environment), before.folder)
            subprocess.run(["cp", "-a", "--reflink=auto", str(before.root), str(root)], check=True)
        else:
            suite = DEBIAN.fullmatch(source) or DEBIAN.fullmatch(self.options.instead)
            if suite is None:
                raise SystemExit(f"FROM {source}: only debian:SUITE-slim can be made here; --instead names one")
            base = bootstrap(self.folder, suite[1], self.options.mirror)
            subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)], check=True)
            self._provide_network()
        if name:
            self.stages[name] = self.stage

    def _provide_network(self) -> None:
        for pair in ["/etc/resolv.conf:/etc/resolv.conf", *self.options.copy]:
            host, _, inside = pair.partition(":")
            target = self.stage.root / inside.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if Path(host).is_dir():
                shutil.copytree(host, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(host, target)

    def _run(self, value: str) -> None:
        started = time.monotonic()
        status, out = self.run(value)
        print(out.rstrip())
        if status:
            raise SystemExit(f"RUN failed with {status}")
        print(f"  {time.monotonic() - started:.0f} s", flush=True)

    def run(self, command: str) -> tuple[int, str]:
        """A shell command in the present stage; its status and what it printed."""
        variables = {**self.arguments, "PATH": PATH, **self.stage.environment}
        variables |= dict(pair.split("=", 1) for pair in self.options.env)
        container = Container(self.stage.root, variables)
        return container.run(*SHELL, f"cd {shlex.quote(self.stage.folder)} && {command}")

    def _copy(self, value: str) -> None:
        words = shlex.split(value)
        source = self.context
        if words[0].startswith("--from="):
            source = self.stages[words.pop(0).removeprefix("--from=")].root
        *names, target = words
        into = self.stage.root / str(Path(self.stage.folder, target)).lstrip("/")
        for name in names:
            found = source / name.lstrip("/")
            place = into / found.name if target.endswith("/") and found.is_file() else into
            place.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                skipped = shutil.ignore_patterns("__pycache__")
                shutil.copytree(found, place, dirs_exist_ok=True, ignore=skipped)
            else:
                shutil.copyfile(found, place)

    def _env(self, value: str) -> None:
        for word in shlex.split(value):
            name, _, text = word.partition("=")
            self.stage.environment[name] = re.sub(r"\$PATH", self.stage.environment.get("PATH", PATH), text)

    def _workdir(self, value: str) -> None:
        self.stage.folder = value
        (self.stage.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _shell(self, value: str) -> None:
        if json.loads(value) != SHELL:
            raise SystemExit(f"SHELL {value}: only {SHELL} is known here")

    def _entrypoint(self, value: str) -> None:
        json.loads(value)

    _cmd = _entrypoint


def main() -> None:
    """Make the images as the command line says, and run commands in the last one."""
    parser = argparse.ArgumentParser(description="Execute the steps of a Dockerfile without Docker.")
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path, help="where images are made and kept")
    parser.add_argument("--context", type=Path, default=Path(), help="folder that COPY copies from")
    parser.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help="a build argument")
    parser.add_argument("--run", action="append", default=[], metavar="COMMAND", help="run in the image afterwards")
    parser.add_argument("--instead", default="", metavar="IMAGE", help="take it in place of one that is not Debian's")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    parser.add_argument("--copy", action="append", default=[], metavar="HOST:INSIDE")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    arguments = dict(pair.split("=", 1) for pair in options.arg)
    build = Build(options.folder.resolve(), options.context, arguments, options)
    build.follow(options.file)
    for command in options.run:
        print(f"$ {command}")
        status, out = build.run(command)
        print(out.rstrip(), flush=True)
        if status:
            sys.exit(f"failed with {status}")


if __name__ == "__main__":
    main()
