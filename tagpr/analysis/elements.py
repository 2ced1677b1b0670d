"""HTML by the element: text is escaped unless it came from here, so that no text of data can become markup."""

from __future__ import annotations

from html import escape


class Html(str):
    """Markup that `el` made; every other string is text."""

    __slots__ = ()


def el(name: str, *parts: str, **attributes: str) -> Html:
    """An element with its attributes (`class_` for class, `_` for a hyphen) and its parts, texts escaped."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{said}>{join(*parts)}</{name}>")


def join(*parts: str) -> Html:
    """Parts one after the other, texts escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))
