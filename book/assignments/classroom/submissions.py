"""What students handed in: found as a lecturer or a learning platform leaves it, and read, or named for what it is."""

import hashlib
import json
import os
import re
import sys
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath, PurePosixPath

import nbformat

from classroom.assignments import masters, told_by

# Moodle: files side by side, or a folder for each student. Canvas: files side by side, LATE or not, or what was typed.
MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?", re.S)
CANVAS = re.compile(r"(?P<name>.+?)(?:_LATE)?_(?P<id>\d+)_(?:(?P<attempt>\d+)_(?P<file>.+)|(text|link)\.html)", re.S)

LARGEST = 100_000_000  # bytes of a notebook; a zip may promise more than a memory holds


class Failure(Exception):
    """Why there is no grade: a status and a sentence."""


def not_a_notebook(sentence):
    return Failure("not a notebook", sentence)


@dataclass(frozen=True)
class Submission:
    """What one student handed in for one assignment: a file or a folder, of Moodle several files."""

    assignment: str
    student: str  # the platform's number of the student, else the name of the file or folder
    name: str
    entries: tuple
    later: str = ""  # the attempt that counts instead

    @property
    def shown(self):
        """The name of its row. File systems hold names that are no text; these are shown with escapes."""
        return f"{self.assignment}/{printable(self.entries[0].name)}"

    def data(self):
        """The bytes of the one notebook in it."""
        if self.later:
            raise Failure("earlier attempt", f"{self.later} is a later attempt of the same student.")
        try:
            named = [entry for entry in self.entries if entry.suffix.lower() == ".ipynb"]
            found = [place for entry in named or self.entries for place in notebooks(entry)]
            if not found:
                raise not_a_notebook("The folder holds no file.")
            found = [place for place in found if str(place[-1]).lower().endswith(".ipynb")] or found
            if len(found) > 1:
                names = ", ".join(printable(PurePath(place[-1]).name) for place in found)
                raise not_a_notebook(f"{len(found)} files are in it ({names}): which of them counts?")
            return content(*found[0])
        except OSError as error:
            raise not_a_notebook(f"The file cannot be read: {error.strerror or error}.") from error
        except (ValueError, EOFError, zlib.error) as error:  # of a zip that lies about itself
            raise not_a_notebook(f"The zip is damaged: {error}.") from error


def places(folder, assignment, unpacked):
    """The folder of each assignment's submissions. A platform's zip is unpacked."""
    if folder.is_file() and zipfile.is_zipfile(folder):
        if not assignment:
            sys.exit(f"{folder} is a zip; say by --assignment what its submissions are for")
        with zipfile.ZipFile(folder) as archive:
            archive.extractall(unpacked)
        return {assignment: unpacked}
    if assignment:
        found = {assignment: folder}
    else:
        found = {name: folder / name for name in masters()}
    found = {name: place for name, place in found.items() if place.is_dir()}
    if not found:
        sys.exit(
            f"{folder} is no folder"
            if not folder.is_dir()
            else f"{folder} holds none of {', '.join(masters())}; or say which by --assignment"
        )
    return found


def printable(name):
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def find(assignment, place, skip=()):
    """The submissions in a folder, in the order of their names."""
    students = defaultdict(list)
    for entry in sorted(place.iterdir(), key=lambda entry: printable(entry.name)):
        if entry.name.startswith(".") or entry.name in {"__MACOSX", "Thumbs.db", "desktop.ini"} or entry.name in skip:
            continue
        if match := MOODLE.fullmatch(entry.name):
            students["moodle", match["id"], ""].append((entry, match))
        elif match := CANVAS.fullmatch(entry.name):
            students["canvas", match["id"], match["name"]].append((entry, match))
        else:
            students["file", entry.name, ""].append((entry, None))
    for (platform, number, _), found in students.items():
        entries = [entry for entry, _ in found]
        if platform == "file":
            name = printable(entries[0].name if entries[0].is_dir() else entries[0].stem)
            yield Submission(assignment, name, name, tuple(entries))
            continue
        name = printable(found[0][1]["name"])
        if platform == "moodle":  # a text that was typed into Moodle is no file
            files = [entry for entry, match in found if match["kind"] == "file"]
            yield Submission(assignment, number, name, tuple(files or entries))
            continue
        attempts = defaultdict(list)  # by the name of the file, to which Canvas adds -1 if it comes again
        for entry, match in sorted(found, key=lambda pair: int(pair[1]["attempt"] or 0)):
            attempts[re.sub(r"-\d+(?=\.\w+$)", "", match["file"] or "")].append(entry)
        for *earlier, last in attempts.values():
            for entry in earlier:
                yield Submission(assignment, number, name, (entry,), printable(last.name))
        files = sorted((one[-1] for one in attempts.values()), key=lambda file: file.suffix.lower() != ".ipynb")
        yield Submission(assignment, number, name, tuple(files))


def junk(path):
    """Whether a path is of an operating system or of Jupyter: ._hw1.ipynb, .ipynb_checkpoints, __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def notebooks(entry):
    """Places of notebooks in a file or folder, a zip among them: pairs of a file and a name inside, or None."""
    if entry.is_symlink() and not entry.exists():
        raise not_a_notebook("This is a link to a file that is not there.")
    if not entry.is_dir() and not entry.is_file():
        raise not_a_notebook("This is neither a file nor a folder.")
    if not entry.is_dir():
        return inside(entry) if zipfile.is_zipfile(entry) else [(entry,)]
    files = [f for f in sorted(entry.rglob("*")) if f.is_file() and not junk(f.relative_to(entry))]
    named = [file for file in files if file.suffix.lower() == ".ipynb"]
    zips = [file for file in files if zipfile.is_zipfile(file)]
    if named or not zips:
        return [(file,) for file in named or files]
    return [place for file in zips for place in inside(file)]


def inside(file):
    """The notebooks in a zip."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/") and not junk(PurePosixPath(n))]
    except zipfile.BadZipFile as error:
        raise not_a_notebook(f"The zip is damaged: {error}.") from error
    if found := [(file, name) for name in names if name.lower().endswith(".ipynb")]:
        return found
    if not names:
        raise not_a_notebook("The zip is empty.")
    if nested := [name for name in names if name.lower().endswith(".zip")]:
        raise not_a_notebook(f"The zip holds another zip ({nested[0]}), and no notebook beside it.")
    raise not_a_notebook(f"The zip holds no notebook (.ipynb), but {', '.join(names[:5])}.")


def content(file, name=None):
    """The bytes of a file, or of a file in a zip."""
    if name is None:
        size, read = file.stat().st_size, file.read_bytes
    else:
        archive = zipfile.ZipFile(BytesIO(file.read_bytes()))
        size, read = archive.getinfo(name).file_size, lambda: archive.read(name)
    if size > LARGEST:
        raise not_a_notebook(f"The file has {size / 1e6:.0f} MB: are there pictures in its outputs?")
    try:
        return read()
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        password = "a password" in str(error) or "encrypted" in str(error)
        why = "needs a password" if password else f"is damaged or of another kind ({error})"
        raise not_a_notebook(f"The zip {why}.") from error


def fingerprint(data):
    return hashlib.sha256(data).hexdigest()[:12]


def parse(data, assignment):
    """A notebook from its bytes, told apart from other files, and from notebooks of other assignments."""
    if not data.strip():
        raise not_a_notebook("The file is empty.")
    for start, kind in {b"%PDF": "a PDF", b"<": "a web page", b"PK": "a damaged zip", b"\x1f\x8b": "a .gz"}.items():
        if data.lstrip(b"\xef\xbb\xbf \r\n").startswith(start):
            raise not_a_notebook(f"This is {kind}, no notebook file (.ipynb).")
    try:
        found = json.loads(data)  # in any encoding of JSON, UTF-16 too
    except (ValueError, RecursionError) as error:
        begun = b"{" in data[:8]
        what = f"It breaks off or is damaged ({error})" if begun else "It is text or data of another kind"
        raise not_a_notebook(f"This is no notebook file (.ipynb). {what}.") from error
    try:
        notebook = nbformat.reads(json.dumps(found), as_version=4)
        sources = [cell.source for cell in notebook.cells]
        named = notebook.metadata.get("otter", {}).get("assignment_name")  # Colab drops it
    except Exception as error:  # of nbformat and what it is built on
        raise not_a_notebook("This is JSON, but no notebook file (.ipynb).") from error
    has = told_by(sources)
    likely = max(has, key=has.get)
    if named in masters() or has[likely] > has.get(assignment, 0):
        named = named if named in masters() else likely
        if named != assignment:
            raise Failure("wrong assignment", f"This is a notebook of {named}, handed in for {assignment}.")
    return notebook
