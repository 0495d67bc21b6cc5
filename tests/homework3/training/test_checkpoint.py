"""A checkpoint is found where it surely is the student's, and read only if it is what it has to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from grader.training import checkpoint
from grader.training.checkpoint import BadCheckpoint


def test_it_lies_beside_the_only_notebook(tmp_path: Path) -> None:
    (tmp_path / "ada.ipynb").touch()
    assert checkpoint.find(tmp_path / "ada.ipynb", "vit.safetensors") is None
    (tmp_path / "vit.safetensors").touch()
    assert checkpoint.find(tmp_path / "ada.ipynb", "vit.safetensors") == tmp_path / "vit.safetensors"
    assert checkpoint.find(tmp_path, "vit.safetensors") == tmp_path / "vit.safetensors"
    (tmp_path / "bob.ipynb").touch()
    assert checkpoint.find(tmp_path / "ada.ipynb", "vit.safetensors") is None, "it may be Bob's"
    assert checkpoint.why_none(tmp_path / "ada.ipynb", "vit.safetensors") == (
        "vit.safetensors lies beside more than one notebook; if it belongs to this one, rename it ada.safetensors"
    )
    (tmp_path / "ada.safetensors").touch()
    assert checkpoint.find(tmp_path / "ada.ipynb", "vit.safetensors") == tmp_path / "ada.safetensors"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    (tmp_path / "ada.ipynb").touch()
    (tmp_path / "vit.safetensors").symlink_to(tmp_path / "secret")
    assert checkpoint.find(tmp_path / "ada.ipynb", "vit.safetensors") is None


def test_half_precision_is_read(tmp_path: Path) -> None:
    save_file({"w": np.ones((2, 3), np.float16)}, tmp_path / "vit.safetensors")
    read = checkpoint.read(tmp_path / "vit.safetensors")
    assert read["w"].dtype == np.float32
    assert read["w"].shape == (2, 3)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a readable safetensors"),
        (b"\x80\x04N.", "not a readable safetensors"),
        (b"\xff" * 64, "not a readable safetensors"),
        (save({"w": np.ones(3, np.int64)}), "not a floating-point"),
        (save({"w": np.array([1.0, np.nan], np.float32)}), "NaN"),
        (save({"w": np.array([np.inf], np.float32)}), "NaN or infinity"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "vit.safetensors").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=why):
        checkpoint.read(tmp_path / "vit.safetensors")


def test_size_is_bounded(tmp_path: Path) -> None:
    save_file({"w": np.ones(100, np.float32)}, tmp_path / "vit.safetensors")
    with pytest.raises(BadCheckpoint, match="larger"):
        checkpoint.read(tmp_path / "vit.safetensors", most=100)
