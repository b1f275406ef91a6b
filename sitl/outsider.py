"""What those outside the simulation share, the observer and the rival: pymavlink alone, and none of our own codec."""

from __future__ import annotations

from collections.abc import Iterator

from pymavlink.dialects.v20 import development as mavlink


def frames_by_header(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(frame, message id, system id) by the headers alone; what starts no frame is stepped over.

    A real PX4 sends 400 a second: pymavlink is given only those that matter.
    """
    at, end = 0, len(data)
    while at + 8 <= end:
        marker = data[at]
        if marker == mavlink.PROTOCOL_MARKER_V2 and at + 12 <= end:
            signature = mavlink.MAVLINK_SIGNATURE_BLOCK_LEN if data[at + 2] & mavlink.MAVLINK_IFLAG_SIGNED else 0
            size, system = 12 + data[at + 1] + signature, data[at + 5]
            message_id = int.from_bytes(data[at + 7 : at + 10], "little")
        elif marker == mavlink.PROTOCOL_MARKER_V1:
            size, system, message_id = 8 + data[at + 1], data[at + 3], data[at + 5]
        else:
            at += 1
            continue
        if at + size > end:
            return
        yield data[at : at + size], message_id, system
        at += size
