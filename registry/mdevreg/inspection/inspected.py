"""What an inspection found."""

from __future__ import annotations

import msgspec

from mdevreg.versions import Scheme


class Inspected(msgspec.Struct, frozen=True):
    """A recognised stream. ``version`` is None where the format has tags instead of a version."""

    #: mtty, hisi_acc, qat, xe, mlx5, virtio or device-version; "records" where mlx5 and virtio can't be told apart.
    format: str
    #: How ``version`` is written: dotted, integer, device-version; "tag" where there is none.
    scheme: Scheme
    version: str | None
    #: Tags that the stream demands to be understood: the name where one is known, else the number in decimal.
    tags: tuple[str, ...] = ()
    #: Tags that a driver may skip.
    optional_tags: tuple[str, ...] = ()
    #: Match fields and other values of the header, as text.
    fields: dict[str, str] = {}
    #: "little" or "big": the byte order of the host that saved it.
    byte_order: str = "little"
    #: Bytes of the whole stream, if known.
    size: int | None = None
    #: Sentences for people: known defects, ambiguity, what could not be checked.
    notes: tuple[str, ...] = ()
