from dataclasses import replace
from hashlib import sha256

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fleet.records.chain import event_hash, genesis, verify
from fleet.records.codec import canonical_json
from fleet.service import RecordedEvent

STREAM = "order/o-1"


def record(bodies, stream=STREAM):
    """A stream as the store would have written it, with other streams' events in between."""
    events, prev = [], genesis(stream)
    for seq, body in enumerate(bodies, 1):
        place = {"stream": stream, "seq": seq, "global_seq": 3 * seq, "at_s": 1000.0 + seq, "kind": "note"}
        digest = event_hash(prev, **place, body_json=canonical_json(body))
        events.append(RecordedEvent(**place, body=body, prev_hash=prev, hash=digest))
        prev = digest
    return events


def resealed(event):
    """The event with a hash that fits it: the next one then follows something else."""
    place = {name: getattr(event, name) for name in ("stream", "seq", "global_seq", "at_s", "kind")}
    return replace(event, hash=event_hash(event.prev_hash, **place, body_json=canonical_json(event.body)))


BODIES = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9) | st.text(max_size=3)), min_size=2, max_size=6
)


def test_the_hash_is_sha256_of_the_previous_hash_and_the_canonical_event():
    event = record([{"temp_c": 4.5}])[0]
    content = {
        "stream": STREAM, "seq": 1, "global_seq": 3, "at_s": 1001.0, "kind": "note", "body": {"temp_c": 4.5},
    }  # fmt: skip
    assert event.hash == sha256(bytes.fromhex(event.prev_hash) + canonical_json(content)).hexdigest()


@settings(max_examples=40, deadline=None)
@given(BODIES)
def test_an_untouched_record_is_whole_and_gives_its_head(bodies):
    events = record(bodies)
    report = verify(events, stream=STREAM, anchor=events[0].hash)
    assert (report.ok, report.checked, report.head_hash) == (True, len(events), events[-1].hash)


def edits(event, draw):
    return draw(
        st.sampled_from(
            [
                replace(event, body=event.body | {"z": 1}),
                replace(event, body={"z": float("nan")}),
                replace(event, at_s=event.at_s + 0.001),
                replace(event, kind=event.kind + "s"),
                replace(event, global_seq=event.global_seq + 1),
                replace(event, seq=event.seq + 1),
                replace(event, stream="order/o-2"),
                replace(event, prev_hash=event.prev_hash[::-1]),
                replace(event, hash=event.hash[::-1]),
            ]
        )
    )


@settings(max_examples=1000, deadline=None)
@given(BODIES, st.data())
def test_any_single_change_is_found(bodies, data):
    events = record(bodies)
    anchor = events[-1].hash
    at = data.draw(st.integers(0, len(events) - 1))
    changed = list(events)
    match data.draw(st.sampled_from(["edit", "reseal", "delete", "swap", "double", "truncate", "insert"])):
        case "edit":
            changed[at] = edits(events[at], data.draw)
        case "reseal":
            changed[at] = resealed(replace(events[at], body={"forged": True}))
        case "delete":
            del changed[at]
        case "swap":
            other = data.draw(st.integers(0, len(events) - 1))
            assume(other != at)
            changed[at], changed[other] = changed[other], changed[at]
        case "double":
            changed.insert(at, events[at])
        case "truncate":
            del changed[at:]
        case "insert":
            forged = replace(events[at], body={"forged": True})
            changed.insert(at, forged)
    assume(changed != events)
    report = verify(changed, stream=STREAM, anchor=anchor)
    assert not report.ok
    assert report.text
    assert report.bad_seq is not None


def test_a_rewritten_history_with_good_hashes_is_found_by_the_anchor_alone():
    honest = record([{"verdict": "spoiled"}, {"handed_over": True}])
    rewritten = record([{"verdict": "in_range"}, {"handed_over": True}])
    assert verify(rewritten, stream=STREAM).ok
    assert not verify(rewritten, stream=STREAM, anchor=honest[-1].hash).ok


def test_a_cut_off_end_is_found_by_an_anchor_and_by_nothing_else():
    events = record([{"a": 1}, {"a": 2}, {"a": 3}])
    assert verify(events[:2], stream=STREAM).ok
    report = verify(events[:2], stream=STREAM, anchor=events[2].hash)
    assert (report.ok, report.checked, report.bad_seq) == (False, 2, 0)
    assert "cut off" in report.text


def test_the_events_of_one_stream_cannot_stand_for_another_s():
    renamed = [replace(e, stream="order/o-2") for e in record([{"a": 1}])]
    assert not verify(renamed, stream="order/o-2").ok


def test_an_empty_record_is_whole_until_an_anchor_says_otherwise():
    assert verify([], stream=STREAM).ok
    assert verify([], stream=STREAM, anchor=genesis(STREAM)).ok
    assert not verify([], stream=STREAM, anchor="00" * 32).ok
