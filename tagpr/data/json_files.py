"""Reading JSON that somebody downloaded or wrote: whatever is wrong with it is said with its place and its cure."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tagpr.errors import BadInputError


def read_json_input(path: Path) -> Any:
    """The value of a UTF-8 JSON file. Raises BadInputError naming the file, the place and what to do."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInputError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror}).") from None
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise BadInputError(f"{path}: the file is empty, expected JSON. Download it again.")
    if start.startswith(b"<"):
        raise BadInputError(
            f"{path}: holds a web page (it begins with {start[:15].decode('utf-8', 'replace')!r}), expected JSON. The "
            "address it was loaded from does not exist and answered with a page: check it and download again."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInputError(
            f"{path}, line {line}, byte {error.start}: {data[error.start : error.start + 1]!r} is not UTF-8. Convert "
            f"the file, e.g. iconv -f WINDOWS-1252 -t UTF-8 {path.name}."
        ) from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not text[error.pos :].strip() or error.msg.startswith("Unterminated string"):
            raise BadInputError(
                f"{path}: ends in the middle of a value (line {error.lineno}, {len(data):,} bytes): the file was cut "
                "off. Download or write it again."
            ) from None
        raise BadInputError(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}, found "
            f"{text[error.pos : error.pos + 20]!r}. Expected JSON."
        ) from None
    except ValueError as error:
        raise BadInputError(f"{path}: holds a number that is none: {error}.") from None
    except RecursionError:
        raise BadInputError(
            f"{path}: nested too deeply to be LaMP's form. Expected a flat list of questions."
        ) from None


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
