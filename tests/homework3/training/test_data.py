"""CIFAR-10 is found, verified and kept; what is missing or damaged is named, with what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from grader.cli import app
from grader.homework3.training.data import CLASSES, DataDamaged, DataMissing, Size, load

TINY = Size(train=3, validation=2)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW3_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten classes of tiny grey images, each of a shade of its own."""
    root = tmp_path / "images"
    shade = 0
    for split, count in (("train", TINY.train), ("test", TINY.validation)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (32, 32), (shade, shade, shade)).save(root / split / name / f"{number}.png")
                shade += 5
    return root


def test_images_and_labels_come_in_the_order_of_the_classes(folder: Path) -> None:
    data = load(folder, size=TINY)
    assert data.train_images.shape == (30, 3, 32, 32)
    assert data.validation_images.shape == (20, 3, 32, 32)
    assert data.train_labels.tolist() == [label for label in range(10) for _ in range(3)]
    assert [int(image[0, 0, 0]) for image in data.train_images[:4]] == [0, 5, 10, 15]
    raw = np.fromfile(data.train_file, np.uint8, offset=data.offset)
    assert np.array_equal(raw.reshape(30, 3, 32, 32), data.train_images)


def test_a_folder_is_decoded_once(folder: Path) -> None:
    load(folder, size=TINY)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"not an image any more")
    assert len(load(folder, size=TINY).train_images) == 30


def test_a_changed_folder_is_read_again(folder: Path) -> None:
    load(folder, size=TINY)
    (folder / "train" / "cat" / "2.png").unlink()
    with pytest.raises(DataDamaged, match=r"cat: has 2 images, 3 are needed"):
        load(folder, size=TINY)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_image_is_named(folder: Path, content: bytes) -> None:
    (folder / "test" / "ship" / "1.png").write_bytes(content)
    with pytest.raises(DataDamaged, match=r"ship/1\.png"):
        load(folder, size=TINY)


def test_an_image_of_another_size_is_named(folder: Path) -> None:
    Image.new("RGB", (31, 32)).save(folder / "train" / "dog" / "0.png")
    with pytest.raises(DataDamaged, match=r"dog/0\.png: has 31 by 32 pixels"):
        load(folder, size=TINY)


def test_a_missing_class_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "frog")
    with pytest.raises(DataDamaged, match="frog"):
        load(folder, size=TINY)


def test_a_damaged_cache_is_refused(folder: Path, tmp_path: Path) -> None:
    kept = load(folder, size=TINY).train_file
    changed = bytearray(kept.read_bytes())
    changed[-1] ^= 1
    kept.write_bytes(changed)
    with pytest.raises(DataDamaged, match=r"train-images\.npy: is damaged"):
        load(folder, size=TINY)


def test_what_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="grader data fetch"):
        load()
    with pytest.raises(DataMissing, match="is no folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataMissing, match="holds neither"):
        load(tmp_path / "empty")


def test_batches_of_torchvision_are_checked(tmp_path: Path) -> None:
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    (batches / "data_batch_1").write_bytes(b"not what the checksum says")
    for given in (tmp_path, batches):
        with pytest.raises(DataDamaged, match="cifar-10-batches-py"):
            load(given)


def test_partial_data_is_one_line_on_the_command_line(folder: Path) -> None:
    done = CliRunner().invoke(app, ["data", "fetch", "--data", str(folder)])
    assert isinstance(done.exception, DataDamaged)
    assert "has 3 images, 5000 are needed" in str(done.exception)
