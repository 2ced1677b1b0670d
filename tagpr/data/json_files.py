"""Reading JSON that somebody downloaded or wrote: whatever is wrong with it is said with its place and its cure."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagpr.errors import BadInputError

# Bytes read at a time from a long list; an item that is longer makes the next reads longer.
PIECE = 1 << 20
# An error nearer to the end of a piece may be the piece's: a pair of \uXXXX is 12 long. And messages quote so much.
_QUOTED = 20

_COMMA = "JSON has no comma behind the last item: take it away."
_SPACE = re.compile(r"[ \t\n\r]*")
_OTHER_KINDS = {
    b"\x1f\x8b": "is compressed (gzip). Unpack it, e.g. gunzip -k",
    b"PK\x03\x04": "is a zip archive. Unpack it, e.g. unzip",
    b"\xff\xfe": "is UTF-16. Convert it, e.g. iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "is UTF-16. Convert it, e.g. iconv -f UTF-16 -t UTF-8",
}


def read_json_input(path: Path) -> Any:
    """The value of a UTF-8 JSON file. Raises BadInputError naming the file, the place and what to do."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    check_start(path, data[:4096], expected="JSON")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error.start) from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not text[error.pos :].strip() or error.msg.startswith("Unterminated string"):
            raise _cut_off(path, error.lineno) from None
        raise _not_json(path, error, error.lineno, error.colno) from None
    except (ValueError, RecursionError) as error:
        raise _beyond_limits(path, error) from None


def iterate_json_list(path: Path) -> Iterator[Any]:
    """The items of a UTF-8 JSON list, one in memory at a time.

    Raises:
        BadInputError: as `read_json_input`, where the damage is met; another value than a list.
    """
    reader = _Pieces(path)
    try:
        at = reader.past_space(0)
        if reader.text[at] == "\0":
            raise reader.broken(json.JSONDecodeError("Expecting value", reader.text, at))
        if reader.text[at] != "[":
            raise BadInputError(
                f"{path}: begins with {reader.text[at : at + 20]!r}, expected a list of questions, "
                '[{"id": "...", "input": "...", "profile": [...]}, ...].'
            )
        at = reader.past_space(at + 1)
        if reader.text[at] == "]":
            reader.check_end(at + 1)
            return
        while True:
            item, at = reader.item(at)
            yield item
            at = reader.past_space(at)
            if reader.text[at] == "]":
                reader.check_end(at + 1)
                return
            if reader.text[at] != ",":
                raise reader.broken(json.JSONDecodeError("Expecting ',' or ']'", reader.text, at))
            at = reader.past_space(at + 1)
            if reader.text[at] == "]":
                raise reader.broken(json.JSONDecodeError(_COMMA, reader.text, at))
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        reader.close()


class _Pieces:
    """The text of a file, a piece at a time, that knows how many lines went before it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = ""
        self.num_lines_before = 0
        self._column_before = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder()
        self._num_bytes = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise _unreadable(path, error) from None
        try:
            check_start(path, self._file.read(4096), expected="JSON")
            self._file.seek(0)
            self._more(0)
        except BaseException:
            self.close()
            raise
        self.text = self.text.removeprefix("\ufeff")

    def close(self) -> None:
        self._file.close()

    def past_space(self, at: int) -> int:
        """Where the next mark stands, which is in `text`; a file that ends before it was cut off."""
        while True:
            found = _SPACE.match(self.text, at)
            assert found
            at = found.end()
            if at < len(self.text):
                return at
            if not self._more(at):
                raise _cut_off(self.path, self._line(at))
            at = 0

    def item(self, at: int) -> tuple[Any, int]:
        """The value that begins at `at`, and where it ends."""
        while True:
            try:
                item, end = self._json.raw_decode(self.text, at)
            except json.JSONDecodeError as error:
                open_ended = error.msg.startswith("Unterminated string")
                if not open_ended and error.pos + _QUOTED < len(self.text):
                    raise self.broken(error) from None
                if not self._more(at):
                    if open_ended or not self.text[error.pos :].strip():
                        raise _cut_off(self.path, self._line(error.pos)) from None
                    raise self.broken(error) from None
            except (ValueError, RecursionError) as error:
                raise _beyond_limits(self.path, error) from None
            else:
                if end + _QUOTED < len(self.text) or not self._more(at):  # a number may go on in the next piece
                    return item, end
            at = 0

    def check_end(self, at: int) -> None:
        """Nothing but space stands behind the list."""
        while True:
            found = _SPACE.match(self.text, at)
            assert found
            if found.end() < len(self.text):
                raise self.broken(json.JSONDecodeError("Extra data", self.text, found.end()))
            if not self._more(found.end()):
                return
            at = 0

    def broken(self, error: json.JSONDecodeError) -> BadInputError:
        column = error.colno + (self._column_before if error.lineno == 1 else 0)
        return _not_json(self.path, error, self._line(error.pos), column)

    def _line(self, at: int) -> int:
        return self.num_lines_before + self.text.count("\n", 0, at) + 1

    def _more(self, keep_from: int) -> bool:
        """Read on, dropping the text before `keep_from`; False at the end of the file, where nothing is dropped."""
        kept = len(self.text) - keep_from
        # As much again each time, so that a long item is not read over and over.
        data = self._file.read(max(PIECE, kept))
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise _not_utf8(self.path, self._num_bytes - pending + error.start) from None
        self._num_bytes += len(data)
        if not data:
            return False
        dropped = self.text[:keep_from]
        if (newline := dropped.rfind("\n")) >= 0:
            self.num_lines_before += dropped.count("\n")
            self._column_before = len(dropped) - newline - 1
        else:
            self._column_before += len(dropped)
        self.text = self.text[keep_from:] + text
        return True


def check_start(path: Path, start: bytes, *, expected: str) -> None:
    """Raises BadInputError where a file's first bytes are not those of a text, or those of a web page."""
    kind = next((said for mark, said in _OTHER_KINDS.items() if start.startswith(mark)), None)
    if kind:
        raise BadInputError(f"{path}: {kind} {path.name}")
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise BadInputError(f"{path}: the file is empty, expected {expected}. Download or write it again.")
    if start.startswith(b"<"):
        raise BadInputError(
            f"{path}: holds a web page (it begins with {start[:15].decode('utf-8', 'replace')!r}), expected "
            f"{expected}. The address it was loaded from does not exist and answered with a page: check it and "
            "download again."
        )


def _unreadable(path: Path, error: OSError) -> BadInputError:
    if isinstance(error, FileNotFoundError):
        return BadInputError(f"{path}: there is no such file.")
    if isinstance(error, IsADirectoryError):
        return BadInputError(f"{path}: is a folder, expected a JSON file.")
    return BadInputError(f"{path}: cannot be read ({error.strerror}).")


def _not_utf8(path: Path, position: int) -> BadInputError:
    line = 1
    with path.open("rb") as file:
        left = position
        while left and (data := file.read(min(PIECE, left))):
            line += data.count(b"\n")
            left -= len(data)
        found = file.read(1)
    return BadInputError(
        f"{path}, line {line}, byte {position}: {found!r} is not UTF-8. Convert the file, e.g. iconv -f WINDOWS-1252 "
        f"-t UTF-8 {path.name}."
    )


def _cut_off(path: Path, line: int) -> BadInputError:
    return BadInputError(
        f"{path}: ends in the middle of a value (line {line}, {path.stat().st_size:,} bytes): the file was cut off. "
        "Download or write it again."
    )


def _not_json(path: Path, error: json.JSONDecodeError, line: int, column: int) -> BadInputError:
    found = error.doc[error.pos : error.pos + _QUOTED]
    place = f"{path}, line {line}, column {column}"
    if found.startswith("\0"):
        return BadInputError(
            f"{place}: a zero byte, expected JSON. The file was not written to its end, or is UTF-16; download it "
            f"again, or convert it with iconv -f UTF-16 -t UTF-8 {path.name}."
        )
    if error.msg == _COMMA or (found[:1] in ("]", "}") and error.doc[: error.pos].rstrip().endswith(",")):
        return BadInputError(f"{place}: {found[0]!r} behind a comma. {_COMMA}")
    return BadInputError(f"{place}: {error.msg}, found {found!r}. Expected JSON.")


def _beyond_limits(path: Path, error: ValueError | RecursionError) -> BadInputError:
    if isinstance(error, RecursionError):
        return BadInputError(f"{path}: nested too deeply to be LaMP's form. Expected a flat list of questions.")
    return BadInputError(f"{path}: holds a number that is none: it has thousands of digits.")


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
