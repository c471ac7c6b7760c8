"""CSV files as spreadsheets and learning platforms write them, read and written back in their own way."""

import csv
import sys
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from zimp.lab.record import write_whole


@dataclass
class Table:
    """The rows of a CSV file, the header among them, and how it is written."""

    rows: list
    encoding: str = "utf-8-sig"  # the mark at the start tells Excel that umlauts are in UTF-8
    delimiter: str = ","
    end: str = "\r\n"
    columns: list = field(init=False)

    def __post_init__(self):
        self.columns = self.rows[0] if self.rows else []

    def records(self):
        """The rows below the header, by column."""
        return [dict(zip(self.columns, row)) for row in self.rows[1:] if any(row)]

    def text(self):
        out = StringIO()
        csv.writer(out, delimiter=self.delimiter, lineterminator=self.end).writerows(self.rows)
        return out.getvalue()

    def write(self, path):
        save(path, self.text().encode(self.encoding, "surrogateescape"))


def save(path, data):
    """Write a file whole, or say why not: Windows locks what a spreadsheet has open."""
    try:
        write_whole(path, data)
    except OSError as error:
        sys.exit(f"{path} cannot be written ({error.strerror}); is it open in a spreadsheet?")


def read(path):
    """A CSV in UTF-8 or UTF-16, or in what Windows had before, with commas, semicolons or tabs."""
    data = Path(path).read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif data.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    else:
        try:
            data.decode("utf-8")
            encoding = "utf-8"
        except UnicodeDecodeError:
            encoding = "cp1252"
    text = data.decode(encoding, "surrogateescape")
    first = text.split("\n", 2)[:2]  # in the header alone, a title with many commas would count for more
    delimiter = max(",;\t", key=lambda one: (min(line.count(one) for line in first), first[0].count(one)))
    end = "\r\n" if "\r\n" in text else "\n"
    return Table(list(csv.reader(StringIO(text, newline=""), delimiter=delimiter)), encoding, delimiter, end)


def number(text):
    """A number as people type it, 1.5 or 1,5; None for an empty cell."""
    text = text.strip().replace(",", ".")
    return float(text) if text else None
