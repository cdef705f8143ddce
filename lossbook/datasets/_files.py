"""Where the files of the book lie, and whether they are whole."""

import gzip
import hashlib
import math
import os
from functools import cache
from pathlib import Path

import numpy as np

CHECKSUMS = {
    "fashion_mnist_12k.npz": "efefbe05b9d7eaf04f28ae39025070e3f555b25bf705ff9319bf8a7a4784fc6b",
    "austen.txt.gz": "518b774493fd650f29af6d0e8486bedd11b11d0d95050ec4553b14a610d82753",
    "letter_recognition.csv.gz": "0862f054033ee2279ef9adbdce5fa7ed12f08754036f28f0ab15107cb51ea1cc",
}
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def folders() -> tuple[Path, ...]:
    """Where data is looked for, in order: `LOSSBOOK_DATA` where it is set, then data/ beside the package."""
    own = Path(__file__).resolve().parents[2] / "data"
    given = os.environ.get("LOSSBOOK_DATA", "")
    if not given:
        return (own,)
    if not Path(given).is_dir():
        raise FileNotFoundError(f"LOSSBOOK_DATA: got {given!r}, expected a folder")
    return Path(given), own


def checked(name: str) -> Path:
    """The path of a file that comes with the book, once its checksum is right."""
    searched = folders()
    path = next((folder / name for folder in searched if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{name}: not found in {' or '.join(map(str, searched))}; expected the file that comes with the book. "
            "Install the package from a clone (pip install -e .), or name a folder that holds the file in LOSSBOOK_DATA"
        )
    about = path.stat()
    found = _sha256(path, about.st_size, about.st_mtime_ns)
    if found != CHECKSUMS[name]:
        raise ValueError(
            f"{name}: got sha256 {found[:12]}… ({about.st_size} bytes) at {path}, expected {CHECKSUMS[name][:12]}…: "
            f"the file is damaged. Restore it: git checkout -- data/{name}"
        )
    return path


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    # Size and time of change are part of the key, so a file that changes is read again.
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify() -> dict[str, str]:
    """Hold every file that comes with the book against its checksum.

    Returns:
        The sha256 of each file, by name.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged.

    Example:
        >>> verify() == CHECKSUMS
        True
    """
    for name in CHECKSUMS:
        checked(name)
    return dict(CHECKSUMS)


def idx_images() -> tuple[np.ndarray, ...] | None:
    """Training images and labels, test images and labels of the IDX files in `LOSSBOOK_DATA`, if it has them."""
    *given, _ = folders()
    if not given:
        return None
    paths = [next((p for p in (given[0] / name, given[0] / f"{name}.gz") if p.is_file()), None) for name in IDX_FILES]
    if not any(paths):
        return None
    for name, path in zip(IDX_FILES, paths, strict=True):
        if path is None:
            raise FileNotFoundError(
                f"{name}: not found in {given[0]}, expected it (or {name}.gz) beside the other IDX files"
            )
    images, labels, test_images, test_labels = (_read_idx(path) for path in paths if path is not None)
    for path, pictures, classes in ((paths[0], images, labels), (paths[2], test_images, test_labels)):
        if pictures.ndim != 3 or pictures.shape[1:] != (28, 28) or classes.shape != pictures.shape[:1]:
            raise ValueError(
                f"{path}: got images {pictures.shape} with labels {classes.shape}, expected (n, 28, 28) with (n,)"
            )
    return images, labels, test_images, test_labels


def _read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes: two zeros, 8, the number of axes, their sizes as big-endian int32, the values."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path}: got bytes that do not unpack, expected a gzipped IDX file") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(
            f"{path}: got a file that begins {content[:4].hex()!r}, expected an IDX file of unsigned bytes (000008..)"
        )
    axes = content[3]
    shape = tuple(int(size) for size in np.frombuffer(content[4 : 4 + 4 * axes], dtype=">i4"))
    expected = 4 + 4 * axes + math.prod(shape)
    if len(content) != expected:
        raise ValueError(f"{path}: got {len(content)} bytes, expected {expected} for an IDX file of shape {shape}")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)
