"""Addresses of brokers and databases, as people may see them."""

from __future__ import annotations

import re

_USER_INFO = re.compile(r"//[^/,@]*@")


def shown(url: str) -> str:
    """A URL (or several, separated by commas) without user names and passwords."""
    return _USER_INFO.sub("//", url)
