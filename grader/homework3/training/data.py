"""CIFAR-10 for the training checks: found, verified, decoded once, and kept as arrays that all submissions share."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from grader.errors import GraderError

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
FETCH = "grader data fetch"
_FORMAT = 1
_ARRAYS = ("train-images", "train-labels", "validation-images", "validation-labels")
_SPLITS = {"train": "train", "validation": "test"}
Images = npt.NDArray[np.uint8]
Say = Callable[[str, int, int], None]


class DataMissing(GraderError):
    """There is no CIFAR-10 here; says how to get it."""


class DataDamaged(GraderError):
    """What is here is not all of CIFAR-10, or not as it has to be; names the file."""


@dataclass(frozen=True)
class Size:
    """How many images of each class there have to be."""

    train: int = 5000
    validation: int = 1000


FULL = Size()


@dataclass(frozen=True)
class Cifar10:
    """The data set as arrays. Images are uint8 of shape (N, 3, 32, 32), labels uint8 of shape (N,).

    A kernel may read the file of the training images; the validation labels stay in the judge.
    """

    train_file: Path
    train_images: Images
    train_labels: Images
    validation_images: Images
    validation_labels: Images

    @property
    def offset(self) -> int:
        """Where in the file of the training images the first pixel lies, in bytes."""
        return int(getattr(self.train_images, "offset", 0))


def cache_folder() -> Path:
    """Where prepared data lie: the folder that HW3_CACHE names, else the user's own cache."""
    named = os.environ.get("HW3_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("hw3-grader")


def load(
    data: Path | None = None, *, size: Size = FULL, say: Say = lambda stage, done, total: None
) -> Cifar10:
    """CIFAR-10 out of the cache; a folder ``data`` is prepared first, unless it was.

    Raises `DataMissing` or `DataDamaged`, each with what to do.
    """
    place = cache_folder() / ("cifar10" if data is None else f"cifar10-{_fingerprint(data, size)}")
    if data is not None and not (place / "manifest.json").is_file():
        _prepare(data, place, size, say)
    return _open(place, size)


def require(data: Path | None) -> None:
    """Raise `DataMissing` where there can be no CIFAR-10; says so at once, as no image is read."""
    if data is not None:
        _fingerprint(data, FULL)
        _check_layout(data)
    elif not (cache_folder() / "cifar10" / "manifest.json").is_file():
        raise DataMissing(f"CIFAR-10 is not on this machine; get it with: {FETCH}")


def fetch(data: Path | None = None, *, say: Say = lambda stage, done, total: None) -> Path:
    """Put CIFAR-10 into the cache: out of a folder, or by torchvision's download, which verifies its checksums."""
    place = cache_folder() / "cifar10"
    if data is not None:
        _prepare(data, place, FULL, say)
        return place
    with contextlib.suppress(DataMissing, DataDamaged):
        _open(place, FULL)
        return place
    raw = cache_folder() / "download"
    raw.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        from grader.torchvision_compat import import_torchvision  # noqa: PLC0415  (imports torch)

        with contextlib.redirect_stdout(None):
            import_torchvision().datasets.CIFAR10(str(raw), download=True)
    except Exception as error:  # whatever stands between here and there
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataMissing(
            f"CIFAR-10 cannot be downloaded ({reason[0][:120]}); get it elsewhere and run: {FETCH} --data FOLDER"
        ) from None
    _prepare(raw, place, FULL, say)
    shutil.rmtree(raw, ignore_errors=True)
    return place


def _fingerprint(data: Path, size: Size) -> str:
    """Changes when the folder is another one, or files come or go in it."""
    if not data.is_dir():
        raise DataMissing(f"{data}: is no folder; --data takes one with train/CLASS/* and test/CLASS/*")
    times = [path.stat().st_mtime_ns for split in ("train", "test") for path in _folders(data / split)]
    batches = [(path.name, path.stat().st_size) for path in sorted(_torchvision_root(data).glob("*_batch*"))]
    text = json.dumps([_FORMAT, str(data.resolve()), times, batches, size.train, size.validation])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _torchvision_root(data: Path) -> Path:
    return data if data.name == "cifar-10-batches-py" else data / "cifar-10-batches-py"


def _check_layout(data: Path) -> None:
    if not any(folder.is_dir() for folder in (_torchvision_root(data), data / "train", data / "test")):
        raise DataMissing(f"{data}: holds neither cifar-10-batches-py nor train/CLASS/* and test/CLASS/*")


def _prepare(data: Path, place: Path, size: Size, say: Say) -> None:
    """Decode a folder into arrays, and put them in their place wholly or not at all."""
    _check_layout(data)
    if _torchvision_root(data).is_dir():
        arrays = _of_torchvision(_torchvision_root(data).parent)
    else:
        arrays = _of_image_folder(data, size, say)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=place.parent, prefix=".making-"))
        try:
            hashes = {}
            for name, array in arrays.items():
                np.save(made / f"{name}.npy", array)
                hashes[name] = _hash(made / f"{name}.npy")
            (made / "manifest.json").write_text(json.dumps({"format": _FORMAT, "sha256": hashes}))
            if place.exists():
                shutil.rmtree(place)
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise DataMissing(f"{place}: cannot be written ({error.strerror}); set HW3_CACHE") from None


def _of_torchvision(root: Path) -> dict[str, Images]:
    from grader.torchvision_compat import import_torchvision  # noqa: PLC0415

    arrays = {}
    datasets = import_torchvision().datasets
    for split in _SPLITS:
        try:
            found = datasets.CIFAR10(str(root), train=split == "train", download=False)
        except Exception as error:  # torchvision's own words for a checksum that does not fit
            reason = str(error).strip().splitlines()[:1]
            raise DataDamaged(f"{root / 'cifar-10-batches-py'}: {' '.join(reason)[:150]}") from None
        arrays[f"{split}-images"] = np.ascontiguousarray(found.data.transpose(0, 3, 1, 2))
        arrays[f"{split}-labels"] = np.asarray(found.targets, np.uint8)
    return arrays


def _of_image_folder(data: Path, size: Size, say: Say) -> dict[str, Images]:
    arrays: dict[str, Images] = {}
    for split, folder in _SPLITS.items():
        found = [path.name for path in _folders(data / folder)]
        if tuple(found) != CLASSES:
            absent = sorted(set(CLASSES) - set(found)) or sorted(set(found) - set(CLASSES))
            raise DataDamaged(f"{data / folder}: has not CIFAR-10's ten classes: see {', '.join(absent[:3])}")
        wanted = size.train if split == "train" else size.validation
        files: list[Path] = []
        for name in CLASSES:
            of_class = sorted(path for path in (data / folder / name).iterdir() if path.is_file())
            if len(of_class) != wanted:
                raise DataDamaged(f"{data / folder / name}: has {len(of_class)} images, {wanted} are needed")
            files += of_class
        arrays[f"{split}-images"] = _decoded(files, f"decoding the {split} images", say)
        arrays[f"{split}-labels"] = np.repeat(np.arange(len(CLASSES), dtype=np.uint8), wanted)
    return arrays


def _decoded(files: Sequence[Path], what: str, say: Say) -> Images:
    images = np.empty((len(files), 3, 32, 32), np.uint8)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, image in enumerate(pool.map(_one_image, files, chunksize=64)):
            images[number] = image
            if number % 500 == 0:
                say(what, number, len(files))
    return images


def _one_image(path: Path) -> Images:
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises what its decoders raise
        raise DataDamaged(f"{path}: is no image that can be read ({type(error).__name__})") from None
    if pixels.shape != (32, 32, 3):
        raise DataDamaged(f"{path}: has {pixels.shape[1]} by {pixels.shape[0]} pixels, 32 by 32 are needed")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.uint8)


def _open(place: Path, size: Size) -> Cifar10:
    try:
        manifest: Any = json.loads((place / "manifest.json").read_text(encoding="ascii"))
    except OSError:
        raise DataMissing(f"CIFAR-10 is not on this machine; get it with: {FETCH}") from None
    except ValueError:
        manifest = None
    hashes = manifest.get("sha256") if isinstance(manifest, dict) else None
    if not isinstance(hashes, dict) or manifest.get("format") != _FORMAT:
        raise DataDamaged(f"{place}: is of another version or damaged; delete it and run: {FETCH}")
    arrays: dict[str, Images] = {}
    for name in _ARRAYS:
        path = place / f"{name}.npy"
        try:
            if _hash(path) != hashes.get(name):
                raise ValueError("its checksum is wrong")
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataDamaged(
                f"{path}: is damaged ({error}); delete {place.name} and run: {FETCH}"
            ) from None
    count = len(CLASSES)
    if (len(arrays["train-images"]), len(arrays["validation-images"])) != (
        count * size.train,
        count * size.validation,
    ):
        raise DataDamaged(f"{place}: is not all of CIFAR-10; delete it and run: {FETCH}")
    return Cifar10(place / "train-images.npy", *(arrays[name] for name in _ARRAYS))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _slow(file)


def _slow(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
