"""The metadata of an ONNX file, read without its weights.

Parsing the whole file needs as much memory again as the weights, and the runtime parses it anyway.
The protocol-buffer encoding lets a reader step over the fields it does not want.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

_METADATA_PROPS = 14  # of ModelProto: StringStringEntryProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def metadata_props(file: BinaryIO) -> dict[str, str]:
    """Return the ``metadata_props`` of an ONNX model.

    Args:
        file: at the start of the model; only seeks over everything else.

    Raises:
        ValueError: this is no protocol buffer, or it is cut off.
    """
    props = {}
    for _, entry in _fields(file, {_METADATA_PROPS}):
        pair = dict(_fields(BytesIO(entry), {_KEY, _VALUE}))
        props[pair.get(_KEY, b"").decode()] = pair.get(_VALUE, b"").decode()
    return props


def _fields(file: BinaryIO, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the wanted length-delimited fields of a message that ends with the file."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    while file.tell() < end:
        field, wire = divmod(_varint(file), 8)
        if wire == _VARINT:
            _varint(file)
            continue
        if wire not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError(f"wire type {wire}")
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire) or _varint(file)
        if file.tell() + size > end:
            raise ValueError(f"{file.tell() + size - end} bytes are missing")
        if wire == _BYTES and field in wanted:
            yield field, file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)


def _varint(file: BinaryIO) -> int:
    value = shift = 0
    while shift < 64:
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends inside a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    raise ValueError("a number has more than 64 bits")
