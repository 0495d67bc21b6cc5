"""The files for containers name what there is: paths, versions that the grader accepts, and a lock file that covers it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import CUDA, TORCH

tomllib = pytest.importorskip("tomllib")
ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"
DOCKERFILES = sorted(CONTAINERS.glob("*.Dockerfile"))


def required() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["review"])]
    return {canonicalize_name(each.name): each for each in found}


def test_what_is_copied_exists() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+)$", (CONTAINERS / "grader.Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()[:-1]]
    assert len(names) > 6
    assert [name for name in names if not (ROOT / name).exists()] == []
    kept = (CONTAINERS / "grader.Dockerfile.dockerignore").read_text().split()
    assert {f"!{name}" for name in names} <= set(kept)


def test_the_lock_holds_all_that_the_grader_asks_for() -> None:
    text = (CONTAINERS / "requirements.txt").read_text(encoding="utf-8")
    locked: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)", text, re.MULTILINE):
        locked.setdefault(canonicalize_name(name), []).append(version)
    for name, requirement in required().items():
        if name not in TORCH:
            assert all(requirement.specifier.contains(version) for version in locked[name]), name
    assert not [name for name in locked if name in TORCH or name.startswith(CUDA)]
    assert text.count("--hash=sha256:") > len(locked)


def test_torch_is_one_that_the_grader_accepts() -> None:
    text = (CONTAINERS / "grader.Dockerfile").read_text()
    for name, argument in (("torch", "TORCH_VERSION"), ("torchvision", "TORCHVISION_VERSION")):
        (version,) = re.findall(rf"^ARG {argument}=(.+)$", text, re.MULTILINE)
        assert required()[name].specifier.contains(version)


def test_the_review_application_is_on_loopback_alone() -> None:
    (service,) = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())["services"].values()
    assert service["network_mode"] == "host" and "ports" not in service
    assert service["command"][0] == "review" and service["cap_drop"] == ["ALL"] and service["read_only"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_every_image_has_a_base_that_can_be_changed(path: Path) -> None:
    assert path.read_text().count("FROM ${BASE}") == 1
