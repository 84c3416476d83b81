"""What an explanation of a reason code is made of."""

from __future__ import annotations

import msgspec

from mdevreg.verdict import CODES, About, Outcome

#: A remedy of several codes.
ALLOW_THE_PAIR = (
    "Where you tried it and it works, allow it: `mdevreg rule add allow --from host=A --to host=B --message …`."
)


class Explanation(msgspec.Struct, frozen=True):
    """One reason code in plain words. ``says``: what it says of the outcome, ``None``: it is told beside."""

    code: str
    says: Outcome | None
    about: About
    meaning: str
    causes: tuple[str, ...]
    remedy: tuple[str, ...]


def explain(code: str, meaning: str, causes: tuple[str, ...], remedy: tuple[str, ...]) -> Explanation:
    """The explanation of a code, which must be one of ``CODES``."""
    says, about = CODES[code]
    return Explanation(code, says, about, meaning, causes, remedy)
