"""STATUSTEXT in pieces."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from fleet.mavlink.codec import decode
from fleet.mavlink.frame import scan
from fleet.mavlink.messages import StatusText
from fleet.mavlink.texts import CHUNK_WAIT_S, MAX_OPEN, StatusTexts
from tests.mavlink.recordings import recorded_files, recorded_frames


def chunks(text: str, text_id: int, severity: int = 6) -> list[StatusText]:
    """As PX4 cuts a text: no empty last chunk."""
    raw = text.encode() + b"\t"
    return [StatusText(severity, raw[n : n + 50], text_id, n // 50) for n in range(0, len(raw), 50)]


def heard(texts: StatusTexts, *pieces: StatusText, at_s: float = 1.0) -> list[str]:
    return [line for piece in pieces for line in texts.receive(piece, at_s)]


@given(st.text(alphabet="abcdefgh °→", min_size=1, max_size=180).filter(lambda t: t == t.strip()), st.randoms())
def test_a_text_in_pieces_comes_out_whole_in_any_order(text: str, chance: random.Random) -> None:
    pieces = chunks(text, 9)
    chance.shuffle(pieces)
    assert heard(StatusTexts(), *pieces) == [text]


@given(st.integers(0, 0xFFFF), st.integers(49, 51))
def test_a_text_may_have_any_number_even_0_and_end_at_the_edge_of_a_chunk(number: int, length: int) -> None:
    assert heard(StatusTexts(), *chunks("x" * length, number)) == ["x" * length]


def test_two_texts_under_way_at_once_do_not_mix() -> None:
    (a0, a1, a2), (b0, b1) = chunks("a" * 110, 7), chunks("b" * 60, 8)
    assert heard(StatusTexts(), a0, b0, a1, b1, a2) == ["b" * 60, "a" * 110]


def test_a_chunk_that_comes_twice_changes_nothing() -> None:
    first, last = chunks("a" * 60, 7)
    assert heard(StatusTexts(), first, first, last) == ["a" * 60]


def test_a_text_whose_end_is_lost_is_given_out_as_far_as_it_came() -> None:
    texts = StatusTexts()
    assert heard(texts, chunks("x" * 60, 4)[0]) == []
    assert texts.flush(1.0 + CHUNK_WAIT_S) == []
    assert texts.flush(1.1 + CHUNK_WAIT_S) == ["x" * 50 + " …"]
    assert texts.flush(9.0) == []


def test_a_lost_chunk_in_the_middle_leaves_a_gap_that_can_be_seen() -> None:
    texts = StatusTexts()
    begin, _, end = chunks("a" * 50 + "b" * 50 + "c" * 10, 4)
    assert heard(texts, begin, end) == []
    assert texts.flush(5.0) == ["a" * 50 + " … " + "c" * 10]


def test_a_lost_beginning_leaves_a_gap_too() -> None:
    texts = StatusTexts()
    assert heard(texts, chunks("a" * 50 + "bc", 4)[1]) == []
    assert texts.flush(5.0) == [" … bc"]


def test_an_id_that_is_used_again_ends_the_text_before() -> None:
    texts = StatusTexts()
    old, new = chunks("old" * 20, 65535), chunks("new" * 20, 65535)
    assert heard(texts, old[0], *new) == [("old" * 20)[:50] + " …", "new" * 20]


def test_what_never_ends_cannot_fill_the_memory() -> None:
    texts = StatusTexts()
    said = [line for n in range(1000) for line in heard(texts, StatusText(n % 8, b"y" * 50, n, 0))]
    assert len(said) == 1000 - MAX_OPEN


def test_every_recorded_text_comes_out_whole() -> None:
    for file in recorded_files():
        texts = StatusTexts()
        said: list[str] = []
        pieces = 0
        for at_s, raw in recorded_frames(file):
            (frame,) = scan(raw).frames
            message = decode(frame) if frame.msg_id == 253 else None
            if isinstance(message, StatusText):
                pieces += message.chunk_seq == 0
                said += texts.receive(message, at_s)
        assert len(said) == pieces
        assert not any("…" in line or line.endswith("\t") for line in said)
        if "command-battery" in file.name:
            assert "RTL: start return at 524 m (35 m above destination)" in said
