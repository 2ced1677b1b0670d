"""Errors that are the user's to put right: `run.py` shows their message alone, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something outside the program is wrong. The message says what was found, what was expected and what to do."""


class BadInputError(UserError, ValueError):
    """A data file, or a record in it, is not what it should be."""
