"""What the bytes of an attribute mean, without any file."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg_agent.attributes import (
    MAX_COUNT,
    MAX_NAME_CHARS,
    is_pci_address,
    is_uuid,
    name_of,
    parse_build_id,
    parse_count,
    parse_line,
    parse_os_release,
    parse_pci_id,
    parse_text,
    parse_vgpu_types,
)

GNU = b"GNU\0"
BUILD_ID = bytes(range(20))


def note(order: str, name: bytes, kind: int, desc: bytes) -> bytes:
    padded = [part + bytes(-len(part) % 4) for part in (name, desc)]
    return struct.pack(f"{order}III", len(name), len(desc), kind) + b"".join(padded)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"GRID M10-0Q\n", "GRID M10-0Q"),
        (b"", ""),
        (b"no newline", "no newline"),
        (b"two\nlines\n", r"two\nlines"),
        (b"bell\x07 escape\x1b delete\x7f\n", r"bell\x07 escape\x1b delete\x7f"),
        (b"\xff\xfe no utf-8\n", r"\xff\xfe no utf-8"),
        ("Grün\n".encode(), "Grün"),
    ],
)
def test_a_line_is_kept_as_it_is_but_printable(raw: bytes, value: str) -> None:
    """Control characters, newlines inside and bytes that are no UTF-8 become backslash escapes."""
    assert parse_line(raw).value == value


def test_a_text_keeps_its_newlines_and_tabs() -> None:
    """i915's description has five lines."""
    assert parse_text(b"fence: 4\n\tweight: 4\x00\n").value == "fence: 4\n\tweight: 4\\x00"


def test_text_over_the_bounds_is_no_value_but_a_fault_with_its_head() -> None:
    """Nothing is shortened silently."""
    parsed = parse_line(b"x" * 10_000)
    assert (parsed.value, parsed.wrong) == (None, "10000 characters; at most 4096 are kept")
    assert parsed.text == "x" * 256


@pytest.mark.parametrize(
    ("raw", "count"), [(b"24\n", 24), (b"0\n", 0), (b" 7 \n", 7), (str(MAX_COUNT).encode(), MAX_COUNT)]
)
def test_a_count_is_decimal(raw: bytes, count: int) -> None:
    """available_instances as the kernel prints it."""
    assert parse_count(raw)[0] == count


@pytest.mark.parametrize(
    "raw", [b"", b"-1\n", b"many\n", b"0x10\n", b"1.5\n", "٣\n".encode(), b"9" * 5_000, b"9007199254740992"]
)
def test_what_is_no_count_keeps_its_text(raw: bytes) -> None:
    """Unknown text is kept raw, its meaning is not guessed."""
    count, parsed = parse_count(raw)
    assert count is None
    assert parsed.wrong == "not a count"
    assert parsed.text == raw.decode().strip()[:256]


def test_vgpu_types_are_read_with_or_without_a_header() -> None:
    """The header line of newer drivers is no type."""
    plain = parse_vgpu_types(b"1428 : NVIDIA H200X-141C\n")
    headed = parse_vgpu_types(b"ID    : vGPU Name\n1428  : NVIDIA H200X-141C\n\n")
    assert plain.names == headed.names == {1428: "NVIDIA H200X-141C"}
    assert plain.unknown == headed.unknown == ()


def test_lines_that_are_no_vgpu_type_are_told() -> None:
    """Only the first line can be a header; a number without a name is no type."""
    parsed = parse_vgpu_types(b"1428 : A\nwhat : B\n7 :\n")
    assert parsed.names == {1428: "A"}
    assert parsed.unknown == ("what : B", "7 :")


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_build_id_is_found_in_either_byte_order(order: str) -> None:
    """A tree recorded on s390 is read on x86; other notes may come first."""
    raw = note(order, b"Linux\0", 0x100, b"\1\0\0\0") + note(order, GNU, 1, bytes(16)) + note(order, GNU, 3, BUILD_ID)
    assert parse_build_id(raw) == BUILD_ID.hex()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"short",
        note("<", GNU, 3, b""),
        note("<", b"XYZ\0", 3, BUILD_ID),
        note("<", GNU, 3, BUILD_ID)[:-1],
        note("<", GNU, 3, bytes(65)),
        b"\xff" * 64,
    ],
)
def test_damaged_notes_have_no_build_id(raw: bytes) -> None:
    """Cut short, empty, another owner's, far too long: no identity is better than a wrong one."""
    assert parse_build_id(raw) is None


def test_os_release_is_read_with_every_quoting() -> None:
    """os-release(5): unquoted, single or double quotes, backslash escapes; other keys and comments are left out."""
    raw = b'NAME=x\nPRETTY_NAME="A \\"B\\""\n# ID=no\nID=debian\nVERSION_ID=\'12\'\nID_LIKE=y\n'
    assert parse_os_release(raw) == {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": 'A "B"'}


def test_long_names_stay_different_names() -> None:
    """A name cut to the bound ends with a digest of the whole."""
    one, other = name_of("a" * 300), name_of("a" * 301)
    assert len(one) == len(other) == MAX_NAME_CHARS
    assert one != other
    assert name_of("") == "?"
    assert name_of("bad\udcff\n") == r"bad\udcff\n"


def test_uuids_and_addresses_are_told_from_other_names() -> None:
    """The kernel's own grammar: lib/uuid.c, and domain:bus:device.function."""
    assert is_uuid("00000001-1111-4222-8333-444455556666")
    assert not any(
        map(is_uuid, ["power", "00000001-1111-4222-8333-44445555666", "00000001-1111-4222-8333-444455556666\n"])
    )
    assert is_pci_address("0000:3b:00.4")
    assert is_pci_address("10000:e1:00.0")
    assert not any(map(is_pci_address, ["module", "0000:3b:00.8", "0000:3b:00.4\n"]))


def test_a_pci_id_has_four_hex_digits() -> None:
    """As Documentation/ABI/testing/sysfs-bus-pci prints it."""
    assert parse_pci_id(b"0x10DE\n") == "10de"
    assert [parse_pci_id(raw) for raw in (b"10de", b"0x10d", b"0x10dez", b"")] == [None] * 4


@given(st.binary(max_size=200))
def test_no_bytes_break_a_parser(raw: bytes) -> None:
    """Whatever a driver prints, every parser answers."""
    parse_count(raw), parse_vgpu_types(raw), parse_build_id(raw), parse_pci_id(raw), parse_os_release(raw)
    for parsed in (parse_line(raw), parse_text(raw)):
        assert parsed.value is not None
        assert not set(parsed.value) & {chr(code) for code in (*range(9), *range(11, 32), 127)}
