"""One file over HTTP: continued where it broke off, and at its place only when it is whole and was looked at."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tagpr.errors import BadInputError, UserError

TIMEOUT_SECONDS = 30
# A connection that broke off is taken up again this many times; whoever runs the command again gets as many more.
ATTEMPTS = 5
PAUSE_SECONDS = 1.0
CHUNK_BYTES = 1 << 20


class NotThereError(UserError):
    """The server has no such file: it says so, or it answers with a web page."""


class UnreachableError(UserError):
    """No answer from the server."""


class _BrokenOffError(Exception):
    pass


def fetch(
    url: str,
    path: Path,
    *,
    first_byte: bytes,
    check: Callable[[Path], None],
    on_progress: Callable[[int, int | None], None],
) -> None:
    """Load `url` into `path`. Until it is complete and checked it is `{path}.part`, from which a later call goes on.

    Args:
        first_byte: what the content begins with, white space apart.
        check: raises BadInputError where the whole file is broken, which deletes it; any other error leaves it.
        on_progress: (bytes so far, bytes in all or None).
    Raises:
        NotThereError, UnreachableError, BadInputError, UserError.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _go_on(url, part, first_byte, on_progress)
                break
            except _BrokenOffError as error:
                if attempt == ATTEMPTS:
                    raise UserError(
                        f"{url}: broke off {ATTEMPTS} times ({error}). Run the command again to go on from there."
                    ) from None
                time.sleep(PAUSE_SECONDS)
        try:
            check(part)
        except BadInputError:
            part.unlink()
            raise
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}).") from None


def _go_on(url: str, part: Path, first_byte: bytes, on_progress: Callable[[int, int | None], None]) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "tagpr-data", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and done:
                if _total(error.headers.get("Content-Range")) == done:
                    return
                part.unlink()
                raise _BrokenOffError("what was there is not a part of the file") from None
        if error.code in (404, 410):
            raise NotThereError(f"{url}: the server has no such file (it answers {error.code}).") from None
        raise UserError(f"{url}: the server answers {error.code} {error.reason}. Try again later.") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"{url}: no answer ({reason}).") from None
    with response:
        if response.status == 206:
            content_range = response.headers.get("Content-Range", "")
            if not content_range.startswith(f"bytes {done}-"):
                part.unlink()
                raise _BrokenOffError(f"asked for bytes from {done}, got {content_range!r}")
            total = _total(content_range)
        else:
            done = 0
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
        with part.open("ab" if done else "wb") as file:
            while chunk := _read(response):
                if done == 0 and not chunk.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(first_byte):
                    file.close()
                    part.unlink()
                    raise NotThereError(
                        f"{url}: the server answers with something else (it begins with {chunk[:15]!r}, expected "
                        f"{first_byte.decode()!r}); most likely a web page in place of a file that is not there."
                    )
                file.write(chunk)
                done += len(chunk)
                on_progress(done, total)
    if total is not None and done != total:
        if done > total:
            part.unlink()
        raise _BrokenOffError(f"{done:,} of {total:,} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from None


def _total(content_range: str | None) -> int | None:
    """The N of `bytes 5-9/N` or `bytes */N`."""
    found = re.search(r"/(\d+)\s*$", content_range or "")
    return int(found[1]) if found else None
