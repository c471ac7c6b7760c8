"""What a file is, told by its first bytes, whatever it is called.

A checkpoint is often named after what somebody meant it to be. What stands in it decides how it is read, and a file
that is no checkpoint is called what it is.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["format_of"]

ACCEPTED = "report reads safetensors, PyTorch, ONNX and Keras files, and the .index.json of a model's shards"
HEADER = 100_000_000  # bytes that the header of a safetensors file has at most, by its specification
ONNX = (b"\x12", b"\x1a", b"\x22", b"\x28", b"\x3a", b"\x42")  # fields that may follow its version, the first one
STARTS = {  # of files that are something else
    b"\x93NUMPY": "a NumPy array without a name; save it in a dict with torch.save, under a name such as fc.weight",
    b"version https://git-lfs": "a pointer of Git LFS and not the weights; fetch them with git lfs pull",
    b"GGUF": "a GGUF file, whose weights are quantised; report the model that it was made of",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it first",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF",
}


def format_of(path: Path) -> str:
    """One of ``"safetensors"``, ``"torch zip"``, ``"torch pickle"`` (before torch 1.6), ``"onnx"``, ``"hdf5"``,
    ``"keras"`` (HDF5 in a zip) and ``"index"``.

    Raises
    ------
    ValueError
        For any other file, which it calls by what it is, and for an empty one.

    Examples
    --------
    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> from zimp.reports.formats import format_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "weights.safetensors")  # it is not
    ...     torch.save({"fc.weight": torch.ones(2, 3)}, path)
    ...     format_of(path)
    'torch zip'
    """
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise ValueError(f"{path} is empty; was it copied completely?")
    if start.startswith(b"PK\x03\x04"):
        return _of_zip(path)
    if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= HEADER:
        return "safetensors"
    if start[:1] == b"\x80" and b"\2" <= start[1:2] <= b"\5":
        return "torch pickle"
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if start[:1] == b"\x08" and start[1:2] < b" " and start[2:3] in ONNX:
        return "onnx"
    what = next((what for known, what in STARTS.items() if start.startswith(known)), None)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return "index"
    if text[:15].lower().startswith((b"<!doctype html", b"<html")):
        what = "a web page and not the weights; did the download need a login, or another link?"
    elif start[257:262] == b"ustar":
        what = "a tar archive; unpack it first"
    elif what is None and _is_text(start):
        what = "plain text"
    raise ValueError(f"{path} is {what or 'of no format that is known here, or damaged'}. {ACCEPTED}")


def _of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, IndexError) as error:
        raise ValueError(
            f"{path} begins as torch.save or Keras writes, but is truncated or damaged ({error}); "
            "was it copied completely?"
        ) from None
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends:
        raise ValueError(
            f"{path} holds TorchScript, and to load that could run code; "
            "save the weights alone: torch.save(model.state_dict(), path)"
        )
    if "data.pkl" in ends:
        return "torch zip"
    if "model.weights.h5" in ends:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        what = "a file of NumPy arrays; save them in a dict with torch.save, under names such as fc.weight"
    else:
        what = "a zip archive without a checkpoint of PyTorch's in it; unpack it first"
    raise ValueError(f"{path} is {what}. {ACCEPTED}")


def _is_text(start: bytes) -> bool:
    try:
        start[:500].decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        if error.start < len(start[:500]) - 4:  # a letter may have been cut in two
            return False
    return b"\0" not in start
