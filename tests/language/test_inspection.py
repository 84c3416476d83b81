"""Inspection: what a stream says of itself, and that nothing else is taken for one.

mtty's streams are recorded ones; the others are laid out here after the headers of the kernel's drivers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.errors import DecodeError, StreamError, UsageError
from mdevreg.inspection import MAX_HEAD_BYTES, Inspected, inspect, known_formats

_STREAMS = Path(__file__).parents[1] / "streams"
_ORDERS = {"little": "<", "big": ">"}


def _recorded(name: str) -> bytes:
    return (_STREAMS / name).read_bytes()


_ONE_PORT = _recorded("mtty-stream-1.0-1port.bin")
_TWO_PORTS = _recorded("mtty-stream-1.0-2ports.bin")


def _mtty(ports: int, *, major: int = 1, minor: int = 0, flags: int = 0, order: str = "<") -> bytes:
    return struct.pack(f"{order}QIIII", 0x7E9D09898C3E2C4E, major, minor, ports, flags) + bytes(36 * min(ports, 99))


def _hisi(
    number: int, *, major: int = 1, minor: int = 0, dev_id: int = 0xA251, state: int = 0, order: str = "<"
) -> bytes:
    magic = {1: 0xCDCDCDCDFEEDAACC, 2: 0xAACCFEEDDECADEDE}[number]
    versions = (major, minor) if number == 2 else (0, 0)
    block = struct.pack(f"{order}QIIIIIHH8x", magic, 256, dev_id, 0x3, 1024, state, *versions)
    return block + bytes(136)


def _section(order: str, name: str, *parts: bytes, value: bytes = b"") -> bytes:
    content = b"".join(parts) + value
    return struct.pack(f"{order}8sII", name.encode(), len(content), len(parts)) + content


def _qat_preamble(order: str, *sections: bytes, version: int = 1) -> bytes:
    content = b"".join(sections)
    return struct.pack(f"{order}IIHHI", 0xADF5CAEA, version, 16, len(sections), len(content)) + content


def _qat_setup(order: str = "<", *, without: str = "", version: int = 1) -> bytes:
    leaves = {"gencap": ("I", 0x1F0F), "svcmap": ("H", 0x1B6), "extdc": ("I", 0x7)}
    parts = [
        _section(order, name, value=struct.pack(order + how, number))
        for name, (how, number) in leaves.items()
        if name != without
    ]
    return _qat_preamble(order, _section(order, "CONFIG", *parts), version=version)


def _qat(order: str = "<", *, without: str = "", version: int = 1) -> bytes:
    general = _section(order, "GENER", _section(order, "iovinit", value=b"\1"), _section(order, "compver", value=b"\5"))
    return (_qat_setup(order, without=without, version=version) + _qat_preamble(order, general)).ljust(4096, b"\0")


_SETUP_BYTES = len(_qat_setup())


def _packet(order: str, kind: int, payload: bytes = b"", *, version: int = 1) -> bytes:
    return struct.pack(f"{order}BBBBIQQ", version, kind, 0, 0, 0, 0, len(payload)) + payload


def _xe(order: str = "<", *, version: int = 1, trailer: bool = True) -> bytes:
    klvs = struct.pack(f"{order}IIII", 0xF001_0001, 0xB080, 0xF002_0001, 0x4)
    packets = [_packet(order, 1, klvs, version=version), _packet(order, 4, bytes(40)), _packet(order, 6, bytes(333))]
    return b"".join(packets) + (_packet(order, 2) if trailer else b"")


def _record(tag: int, payload: bytes, *, optional: bool = False) -> bytes:
    return struct.pack("<QII", len(payload), optional, tag) + payload


_STOP_COPY_SIZE = _record(1, struct.pack("<Q", 1 << 20), optional=True)
_STATE = _record(0, b"device state")
_MLX5 = _STOP_COPY_SIZE + _STATE + _record(0, bytes(range(200)))
_DEVICE_VERSION = struct.pack("<Q", 0x8086_4941_0B40_0007) + b"payload"

#: Whole streams of each format, in each byte order that it can have.
_WHOLE: dict[str, bytes] = {
    "mtty, one port": _ONE_PORT,
    "mtty, two ports": _TWO_PORTS,
    **{f"mtty, {name}-endian": _mtty(2, order=order) for name, order in _ORDERS.items()},
    **{
        f"hisi_acc V{number}, {name}-endian": _hisi(number, order=order)
        for name, order in _ORDERS.items()
        for number in (1, 2)
    },
    **{f"qat, {name}-endian": _qat(order) for name, order in _ORDERS.items()},
    **{f"xe, {name}-endian": _xe(order) for name, order in _ORDERS.items()},
    "mlx5": _MLX5,
    "records": _STATE + _STATE,
    "device-version": _DEVICE_VERSION,
}


def _refused(head: bytes, **options: object) -> tuple[str, str]:
    with pytest.raises(StreamError) as caught:
        inspect(head, **options)  # type: ignore[arg-type]
    return caught.value.code, str(caught.value)


# ---- mtty


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("mtty-stream-1.0-1port.bin", "1"),
        ("mtty-stream-1.0-2ports.bin", "2"),
        ("mtty-stream-1.0-2ports-precopy.bin", "2"),
    ],
)
def test_a_recorded_stream_of_mtty_is_recognised(name: str, ports: str) -> None:
    """Format, version, match fields and size, with nothing to remark."""
    stream = _recorded(name)
    expected = Inspected("mtty", "dotted", "1.0", fields={"nr_ports": ports, "flags": "0"}, size=len(stream))
    assert inspect(stream) == inspect(stream, expected="mtty") == expected


def test_a_recorded_truncated_stream_says_how_many_bytes_are_missing() -> None:
    """95 of 96."""
    code, message = _refused(_recorded("truncated.bin"))
    assert code == "STREAM_TRUNCATED"
    assert "found 95 bytes, expected 96" in message
    assert "4e 2c 3e 8c 89 09 9d 7e" in message


def test_a_recorded_stream_with_a_damaged_magic_is_not_recognised() -> None:
    """It shows the bytes, and what would have been known."""
    code, message = _refused(_recorded("bad-magic.bin"))
    assert code == "STREAM_NOT_RECOGNISED"
    assert "00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 at offset 0" in message
    assert "mtty, hisi_acc, qat, xe, mlx5, virtio, device-version" in message


def test_another_version_of_mtty_is_told_and_not_judged() -> None:
    """Its layout may differ, so its length is not checked."""
    assert inspect(_mtty(2, minor=3)).version == "1.3"
    found = inspect(_mtty(2, major=2)[:30])
    assert (found.version, found.fields["nr_ports"]) == ("2.0", "2")
    assert "major 2 is not known" in found.notes[0]


@pytest.mark.parametrize("ports", [0, 65, 2**32 - 1])
def test_an_absurd_count_of_ports_is_corrupt(ports: int) -> None:
    """And says where it was found."""
    code, message = _refused(_mtty(ports))
    assert code == "STREAM_CORRUPT"
    assert "at offset 16" in message


def test_unusual_but_possible_values_of_mtty_are_noted() -> None:
    """More ports than a type has, flags, bytes after the end."""
    notes = inspect(_mtty(64, flags=2) + b"more").notes
    assert [note.split(":")[0] for note in notes[1:]] == ["64 ports", "flags are 0x2"]
    assert notes[0].startswith(f"4 bytes follow the {24 + 36 * 64} ")


# ---- hisi_acc


def test_the_two_streams_of_hisi_acc_are_two_versions() -> None:
    """V1 has a known defect; V2's minor is a field, for no driver looks at it."""
    first, second = inspect(_hisi(1)), inspect(_hisi(2, minor=5))
    fields = {"qp_num": "256", "dev_id": "0xa251", "que_iso_cfg": "0x3", "qp_base": "1024", "vf_qm_state": "0"}
    assert (first.format, first.scheme, first.version, first.fields) == ("hisi_acc", "dotted", "1.0", fields)
    assert (second.version, second.fields, second.notes) == ("2.1", {**fields, "minor": "5"}, ())
    assert "wrong DMA addresses" in first.notes[0]


def test_a_device_id_is_written_as_sysfs_writes_it() -> None:
    """Four digits at least; one that no PCI device can have is corrupt."""
    assert inspect(_hisi(2, dev_id=0x51)).fields["dev_id"] == "0x0051"
    assert _refused(_hisi(2, dev_id=0x10000))[0] == "STREAM_CORRUPT"


def test_a_device_that_never_started_saves_its_match_block_only() -> None:
    """40 bytes are a whole stream then, and a cut one otherwise."""
    assert "match block only" in inspect(_hisi(2, state=1)[:40]).notes[0]
    code, message = _refused(_hisi(2)[:40])
    assert (code, "found 40 bytes, expected 176" in message) == ("STREAM_TRUNCATED", True)


def test_another_major_of_hisi_acc_is_told() -> None:
    """2.2 is not 2.1."""
    found = inspect(_hisi(2, major=2))
    assert found.version == "2.2"
    assert "major 2 is not known" in found.notes[0]


# ---- qat


@pytest.mark.parametrize("order", _ORDERS)
def test_the_match_fields_of_qat_are_read_out_of_its_sections(order: str) -> None:
    """Masks of four and of two bytes, and the version of the guest's driver."""
    fields = {"gencap": "0x1f0f", "svcmap": "0x1b6", "extdc": "0x7", "pfvf_compver": "5"}
    expected = Inspected("qat", "integer", "1", fields=fields, byte_order=order, size=4096)
    assert inspect(_qat(_ORDERS[order])) == expected


def test_the_setup_alone_has_the_match_fields_already() -> None:
    """It comes before the guest stops; the state is not there yet."""
    found = inspect(_qat_setup(), complete=False)
    assert (sorted(found.fields), found.notes, found.size) == (["extdc", "gencap", "svcmap"], (), None)
    assert _refused(_qat_setup())[0] == "STREAM_TRUNCATED"


def test_a_section_that_is_not_there_is_named() -> None:
    """So that nobody takes an unchecked field for an equal one."""
    found = inspect(_qat(without="svcmap"))
    assert sorted(found.fields) == ["extdc", "gencap", "pfvf_compver"]
    assert len(found.notes) == 1
    assert found.notes[0].startswith("svcmap can't be checked")
    assert len(inspect(_qat()[:16], complete=False).notes) == 3


@pytest.mark.parametrize(
    ("offset", "value"),
    [(8, 15), (12, 4081), (16 + 8, 4000), (32 + 8, 4000), (_SETUP_BYTES, 0), (_SETUP_BYTES + 4, 2)],
)
def test_a_length_that_leaves_its_container_is_corrupt(offset: int, value: int) -> None:
    """Preamble, payload, section, part of a section; and a second preamble that is none."""
    stream = bytearray(_qat())
    struct.pack_into("<H" if offset == 8 else "<I", stream, offset, value)
    assert _refused(bytes(stream))[0] == "STREAM_CORRUPT"


def test_a_preamble_shorter_than_itself_is_corrupt() -> None:
    """Even where no section shows it."""
    assert _refused(struct.pack("<IIHHI", 0xADF5CAEA, 1, 15, 0, 0), complete=False)[0] == "STREAM_CORRUPT"


def test_other_versions_of_qat_are_told() -> None:
    """0 has the layout of 1; of a newer one only the version is read."""
    assert inspect(_qat(version=0)).version == "0"
    assert inspect(_qat(version=0)).fields["gencap"] == "0x1f0f"
    newer = inspect(_qat(version=2)[:100])
    assert (newer.version, newer.fields) == ("2", {})
    assert "version 2 is not known" in newer.notes[0]


# ---- xe


@pytest.mark.parametrize("order", _ORDERS)
def test_the_descriptor_of_xe_names_the_device(order: str) -> None:
    """Device and revision; the packets after it are walked to the trailer."""
    expected = Inspected(
        "xe", "integer", "1", fields={"device_id": "0xb080", "revision_id": "0x4"}, byte_order=order, size=len(_xe())
    )
    assert inspect(_xe(_ORDERS[order])) == expected


def test_an_xe_stream_ends_with_its_trailer() -> None:
    """Without one it was cut between two packets; with bytes after it there is a note."""
    code, message = _refused(_xe(trailer=False))
    assert (code, "no trailer" in message) == ("STREAM_TRUNCATED", True)
    assert inspect(_xe(trailer=False), complete=False).version == "1"
    assert "3 bytes follow" in inspect(_xe() + b"abc").notes[0]


def test_a_stream_without_magic_is_recognised_only_where_all_of_it_fits() -> None:
    """Each zero of the descriptor's header counts, its size, its keys, and the packet after it."""
    good = _xe()
    for offset in range(1, 24):
        assert _refused(good[:offset] + b"\x7f" + good[offset + 1 :])[0] == "STREAM_NOT_RECOGNISED"
    assert _refused(_packet("<", 1, struct.pack("<II", 0xF0020001, 4)) + _packet("<", 2))[0] == "STREAM_NOT_RECOGNISED"
    assert _refused(good[:40] + b"\1\7" + good[42:])[0] == "STREAM_CORRUPT"
    assert _refused(good[:40] + b"\2" + good[41:])[0] == "STREAM_CORRUPT"


def test_another_version_of_xe_is_told_where_the_format_is_known() -> None:
    """Without a magic nobody else could say so."""
    assert inspect(_xe(version=2), expected="xe").version == "2"
    assert _refused(_xe(version=2))[0] == "STREAM_NOT_RECOGNISED"


def test_a_descriptor_without_a_revision_is_noted() -> None:
    """An unchecked field is not an equal one."""
    descriptor = _packet("<", 1, struct.pack("<IIIII", 0xF0010001, 0xE20B, 0xF0090002, 1, 2))
    found = inspect(descriptor + _packet("<", 2))
    assert found.fields == {"device_id": "0xe20b"}
    assert found.notes == ("revision_id can't be checked: the descriptor has none.",)


# ---- records


def test_records_with_a_size_announced_are_mlx5s() -> None:
    """Mandatory and optional tags, each once, by name."""
    expected = Inspected("mlx5", "tag", None, tags=("FW_DATA",), optional_tags=("STOP_COPY_SIZE",), size=len(_MLX5))
    assert inspect(_MLX5) == inspect(_MLX5, expected="mlx5") == expected


def test_records_that_could_be_either_are_called_so_until_somebody_knows() -> None:
    """Nothing is guessed; the expected format names the tag."""
    found = inspect(_STATE)
    assert (found.format, found.scheme, found.version, found.tags) == ("records", "tag", None, ("0",))
    assert "mlx5 and virtio write the same" in found.notes[0]
    assert inspect(_STATE, expected="mlx5").tags == ("FW_DATA",)
    virtio = inspect(_STATE, expected="virtio")
    assert (virtio.format, virtio.tags, virtio.notes) == ("virtio", ("DEVICE_DATA",), ())


def test_unknown_tags_are_numbers() -> None:
    """A driver refuses the mandatory and skips the optional one."""
    found = inspect(_MLX5 + _record(7, b"x") + _record(9, b"", optional=True))
    assert (found.tags, found.optional_tags) == (("FW_DATA", "7"), ("STOP_COPY_SIZE", "9"))


def test_a_long_chain_is_read_as_far_as_the_head_reaches() -> None:
    """And says so; no more than the head's bound is looked at."""
    stream = _STOP_COPY_SIZE + _record(0, bytes(MAX_HEAD_BYTES)) + _record(7, b"beyond")
    found = inspect(stream)
    assert (found.tags, found.size) == (("FW_DATA",), len(stream))
    assert "first 65536 bytes" in found.notes[0]
    assert inspect(stream[:MAX_HEAD_BYTES], size=len(stream), complete=False) == found


def test_a_record_cut_short_is_truncated_where_the_format_is_certain() -> None:
    """In the payload or in the header after it; the same first record alone is no sign of records at all."""
    assert _refused(_MLX5[:-1])[0] == "STREAM_TRUNCATED"
    assert _refused(_MLX5 + _STATE[:9])[0] == "STREAM_TRUNCATED"
    assert "found 27 bytes, expected 28" in _refused(_STATE[:-1], expected="virtio")[1]
    assert _refused(_STATE[:-1])[0] == "STREAM_NOT_RECOGNISED"
    assert inspect(_STATE[:-1], complete=False).format == "records"


@pytest.mark.parametrize(
    "second",
    [
        struct.pack("<QII", 4, 2, 0),
        struct.pack("<QII", 4, 0, 256),
        struct.pack("<QII", 1 << 41, 0, 0),
        struct.pack("<QII", 4, 1, 0),
        b"text in place of",
    ],
    ids=["flags", "tag", "size", "optional state", "text"],
)
def test_an_impossible_record_after_others_unmasks_them(second: bytes) -> None:
    """Where nobody is sure they are no records; where it is certain the stream is corrupt."""
    assert _refused(_STATE + second + b"abcd")[0] == "STREAM_NOT_RECOGNISED"
    for stream, expected in ((_STATE, "virtio"), (_STOP_COPY_SIZE, None)):
        code, message = _refused(stream + second + b"abcd", expected=expected)
        assert (code, f"at offset {len(stream)}" in message) == ("STREAM_CORRUPT", True)
    assert _refused(second + b"abcd")[0] == "STREAM_NOT_RECOGNISED"


# ---- device-version


@pytest.mark.parametrize("order", _ORDERS)
def test_a_device_version_is_recognised_by_plausibility(order: str) -> None:
    """Vendor, device, class and version, and a note that says how weak that is."""
    found = inspect(struct.pack(f"{_ORDERS[order]}Q", 0x10DE_25B6_0302_0011) + b"opaque")
    assert (found.format, found.scheme, found.version) == ("device-version", "device-version", "10de:25b6:0302:0011")
    assert found.fields == {"vendor": "0x10de", "device": "0x25b6", "class": "0x0302"}
    assert (found.byte_order, "plausibility" in found.notes[0]) == (order, True)


@pytest.mark.parametrize(
    "magic",
    [0x1234_25B6_0302_0001, 0x10DE_0000_0302_0001, 0x10DE_FFFF_0302_0001, 0x10DE_25B6_0402_0001, 0x10DE_25B6_0341_0001],
)
def test_an_implausible_number_is_no_device_version(magic: int) -> None:
    """Another vendor, no device, another class or sub-class."""
    assert _refused(struct.pack("<Q", magic) + b"opaque")[0] == "STREAM_NOT_RECOGNISED"


# ---- any stream


@pytest.mark.parametrize("name", _WHOLE)
def test_a_format_is_what_it_is_expected_to_be_or_an_error(name: str) -> None:
    """Of all that can be expected only its own is accepted."""
    stream = _WHOLE[name]
    actual = inspect(stream).format
    accepted = {"mlx5", "virtio"} if actual == "records" else {actual}
    for expected in known_formats():
        if expected in accepted:
            assert inspect(stream, expected=expected).format == expected
        else:
            code, message = _refused(stream, expected=expected)
            assert (code, f"reads as {actual}" in message) == ("STREAM_NOT_RECOGNISED", True)


@pytest.mark.parametrize("name", [name for name in _WHOLE if name not in {"records", "device-version"}])
def test_each_stream_cut_anywhere_is_an_error_that_counts(name: str) -> None:
    """Never another answer: what is left is too short, or shorter than any sign of the format."""
    stream = _WHOLE[name]
    for length in range(1, len(stream)):
        if name == "mlx5" and length in {len(_STOP_COPY_SIZE), len(_STOP_COPY_SIZE + _STATE)}:
            continue  # cut between two records, which nothing can tell
        code, message = _refused(stream[:length])
        assert code in {"STREAM_TRUNCATED", "STREAM_NOT_RECOGNISED"}
        if code == "STREAM_TRUNCATED":
            assert f"found {length} bytes, expected " in message
        else:
            assert length < 40  # xe's descriptor, the longest sign there is


def test_a_size_known_otherwise_counts_like_the_bytes_themselves() -> None:
    """The head alone may be short: it is the whole stream that must be long enough."""
    assert inspect(_TWO_PORTS[:24], size=96, complete=False).size == 96
    assert inspect(_TWO_PORTS[:24], complete=False).size is None
    assert "found 95 bytes, expected 96" in _refused(_TWO_PORTS[:24], size=95, complete=False)[1]
    assert "give at least 24 bytes" in _refused(_TWO_PORTS[:23], complete=False)[1]
    assert inspect(_TWO_PORTS, size=-1).size == 96  # measured before it was written


def test_an_empty_stream_is_empty() -> None:
    """Whatever is expected of it."""
    assert _refused(b"")[0] == _refused(b"", expected="xe")[0] == "STREAM_EMPTY"


def test_an_unknown_expected_format_is_a_mistake_of_the_question() -> None:
    """It names those that are known."""
    with pytest.raises(UsageError, match=r"'pds' is no format .* mtty, hisi_acc, qat"):
        inspect(_ONE_PORT, expected="pds")
    assert known_formats() == ("mtty", "hisi_acc", "qat", "xe", "mlx5", "virtio", "device-version")
    assert issubclass(StreamError, DecodeError)


_ELSE: dict[str, bytes] = {
    "text": Path(__file__).read_bytes(),
    "a short word": b"mtty",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "an ELF file": b"\x7fELF\2\1\1\0" + bytes(8) + struct.pack("<HHI", 3, 62, 1) + bytes(100),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(range(256)),
    "a QEMU migration": b"QEVM" + struct.pack(">I", 3) + bytes(range(256)),
    "qcow2": b"QFI\xfb" + struct.pack(">I", 3) + bytes(96),
    "zip": b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(range(256)),
    "counting": struct.pack("<64Q", *range(1, 65)),
    "a time zone": b"TZif2" + bytes(39) + b"and so on",
    "UTF-16": "a text of sixteen bits".encode("utf-16"),
}


@pytest.mark.parametrize("name", _ELSE)
def test_a_file_of_another_kind_is_not_taken_for_a_stream(name: str) -> None:
    """Text, programs, archives, images, plain numbers."""
    assert _refused(_ELSE[name])[0] == "STREAM_NOT_RECOGNISED"
    assert _refused(_ELSE[name], complete=False)[0] == "STREAM_NOT_RECOGNISED"


_OPTIONS = st.fixed_dictionaries(
    {
        "size": st.none() | st.integers(-1, 2**70),
        "complete": st.booleans(),
        "expected": st.none() | st.sampled_from(known_formats()),
    }
)


def _answers(head: bytes, options: dict[str, object]) -> None:
    found: Inspected | StreamError
    try:
        found = inspect(head, **options)  # type: ignore[arg-type]
    except StreamError as error:
        found = error
    if isinstance(found, StreamError):
        assert found.code in {"STREAM_EMPTY", "STREAM_NOT_RECOGNISED", "STREAM_TRUNCATED", "STREAM_CORRUPT"}
        assert len(str(found)) < 1_000
        return
    assert found.format in {*known_formats(), "records"}
    assert found.version is not None or found.scheme == "tag"
    assert options["expected"] in {None, found.format}


@given(st.binary(max_size=200), _OPTIONS)
def test_any_bytes_are_recognised_or_refused(head: bytes, options: dict[str, object]) -> None:
    """Never another exception."""
    _answers(head, options)


@given(st.sampled_from(sorted(_WHOLE)), st.data(), _OPTIONS)
def test_any_mutation_of_a_stream_is_recognised_or_refused(
    name: str, data: st.DataObject, options: dict[str, object]
) -> None:
    """Bytes replaced near its headers, the rest cut or repeated."""
    stream = bytearray(_WHOLE[name])
    edits = st.tuples(st.integers(0, min(len(stream), 160) - 1), st.binary(min_size=1, max_size=8))
    for offset, piece in data.draw(st.lists(edits, max_size=4)):
        stream[offset : offset + len(piece)] = piece
    _answers(bytes(stream[: data.draw(st.integers(0, len(stream)))]) * data.draw(st.integers(1, 3)), options)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from(["<", ">"]))
def test_each_number_of_a_version_survives(major: int, minor: int, order: str) -> None:
    """In both byte orders, as unsigned numbers."""
    assert inspect(_mtty(1, major=major, minor=minor, order=order)).version == f"{major}.{minor}"


def test_bytes_beyond_the_head_are_not_looked_at() -> None:
    """Whatever they hold, the answer is the same."""
    for rest in (bytes, lambda count: b"\xff" * count):
        fill: Callable[[int], bytes] = rest
        stream = _record(0, fill(2 * MAX_HEAD_BYTES))
        assert inspect(stream).tags == ("0",)
        assert inspect(stream[:MAX_HEAD_BYTES] + b"?" * (len(stream) - MAX_HEAD_BYTES)) == inspect(stream)
