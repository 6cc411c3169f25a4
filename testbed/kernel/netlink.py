"""Netlink messages parsed and built by hand, where pyroute2 has no class for them or is too slow."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port; include/uapi/linux/netlink.h
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000  # NLA_F_NESTED
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


def messages(data: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (type, flags, body) of each message in the data of one recv."""
    view = memoryview(data)
    while len(view) >= HEADER.size:
        length, kind, flags, _, _ = HEADER.unpack_from(view)
        yield kind, flags, view[HEADER.size : length]
        view = view[(length + 3) & ~3 :]


def bodies(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, body) of each message, the body as bytes; quicker than `messages` for many small messages."""
    start = 0
    while len(data) - start >= HEADER.size:
        length, kind, *_ = HEADER.unpack_from(data, start)
        yield kind, data[start + HEADER.size : start + length]
        start += (length + 3) & ~3


def attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, value) of each attribute of a sequence; to read nested attributes, call it on a value."""
    start, end = 0, len(data) - _ATTRIBUTE.size
    while start <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        yield kind & _TYPE_MASK, data[start + _ATTRIBUTE.size : start + length]
        start += (length + 3) & ~3


def placed(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (type, offset of the value, value) of each attribute; `attributes` is quicker and reads traces."""
    start, end = 0, len(data) - _ATTRIBUTE.size
    while start <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        yield kind & _TYPE_MASK, start + _ATTRIBUTE.size, data[start + _ATTRIBUTE.size : start + length]
        start += (length + 3) & ~3


def chosen(data: memoryview, *kinds: int) -> tuple[memoryview, ...]:
    """Return the values of these attributes, which must exist; attributes after the last of them are not read."""
    found: dict[int, memoryview] = {}
    for kind, value in attributes(data):
        if kind in kinds:
            found[kind] = value
            if len(found) == len(kinds):
                break
    return tuple(found[kind] for kind in kinds)


def text(value: memoryview) -> str:
    """Return a zero-terminated name."""
    return bytes(value).rstrip(b"\0").decode()


def big_endian(value: memoryview) -> int:
    """Return an unsigned number in network byte order, as netfilter writes it."""
    return int.from_bytes(value, "big")


def message(kind: int, flags: int, content: bytes) -> bytes:
    """Return a message: header and content."""
    return HEADER.pack(HEADER.size + len(content), kind, flags, 1, 0) + content


def attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(_NESTED | kind, b"".join(attributes))


def string(kind: int, value: str) -> bytes:
    """Return an attribute with a zero-terminated name."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """Return an attribute with a signed number of four bytes in network byte order."""
    return attribute(kind, value.to_bytes(4, "big", signed=True))
