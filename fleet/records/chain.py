"""The hash chain of a record: an edited, deleted or reordered event shows, and against an outside anchor a cut-off end.

    hash(0) = SHA-256("coldwing/v1/" ‖ stream)
    hash(n) = SHA-256(hash(n-1) ‖ canonical_json(event n without its two hashes))

The chain proves that nothing was changed by someone who cannot rewrite all of it. Against one who can, and against
a cut-off end, keep a head hash elsewhere (printed on the hand-over slip, sent to the health system) and verify with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from fleet.records.codec import canonical_json
from fleet.service import RecordedEvent


def genesis(stream: str) -> str:
    """The hash before a stream's first event: it binds the events to their stream."""
    return sha256(b"coldwing/v1/" + stream.encode()).hexdigest()


def event_hash(
    prev_hash: str, *, stream: str, seq: int, global_seq: int, at_s: float, kind: str, body_json: bytes
) -> str:
    """The hash of an event whose body is given as canonical JSON already: it is encoded only once per write."""
    head = canonical_json({"at_s": at_s})[:-1]
    tail = canonical_json({"global_seq": global_seq, "kind": kind, "seq": seq, "stream": stream})[1:]
    return sha256(b"".join((bytes.fromhex(prev_hash), head, b',"body":', body_json, b",", tail))).hexdigest()


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Whether a stream's record is whole. `bad_seq` is the first event that does not fit; 0: the end is missing."""

    stream: str
    ok: bool
    checked: int
    """events that fit, from the first on"""
    head_hash: str
    """hash of the last event that fits: the anchor to keep elsewhere"""
    bad_seq: int | None = None
    text: str = ""


def verify(events: Iterable[RecordedEvent], *, stream: str, anchor: str | None = None) -> ChainReport:
    """Checks one stream's events, all from the first on. `anchor`: a head hash noted earlier, which must occur.

    An empty record without an anchor is whole; with the anchor `genesis(stream)` too.
    """
    prev, count, last_global = genesis(stream), 0, 0
    anchored = anchor is None or anchor == prev

    def bad(seq: int, text: str) -> ChainReport:
        return ChainReport(stream, False, count, prev, seq, text)

    for event in events:
        if event.stream != stream:
            return bad(event.seq, f"event {event.seq} belongs to {event.stream!r}, not to {stream!r}")
        if event.seq != count + 1:
            return bad(event.seq, f"event {count + 1} is missing: event {event.seq} stands in its place")
        if event.prev_hash != prev:
            return bad(event.seq, f"event {event.seq} does not follow the event before it")
        if event.global_seq <= last_global:
            return bad(event.seq, f"event {event.seq} is older in the log than the event before it")
        if _hash_of(event) != event.hash:
            return bad(event.seq, f"event {event.seq} ({event.kind}) was changed after it was written")
        prev, count, last_global = event.hash, count + 1, event.global_seq
        anchored = anchored or anchor == prev
    if not anchored:
        return bad(0, f"the anchor is not the hash of any of the {count} events: the end was cut off or rewritten")
    return ChainReport(stream, True, count, prev)


def _hash_of(event: RecordedEvent) -> str | None:
    try:
        return event_hash(
            event.prev_hash,
            stream=event.stream,
            seq=event.seq,
            global_seq=event.global_seq,
            at_s=event.at_s,
            kind=event.kind,
            body_json=canonical_json(event.body),
        )
    except (ValueError, TypeError):  # a body that JSON cannot say was never written by us
        return None
