"""Each sample once, in whatever order it comes, also after a restart."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.coldbox import MAX_BOOTS, WINDOW, ReplayGuard
from missions.boxes import BoxSample


def sample(seq, boot="b", time_s=None):
    return BoxSample("box-1", boot, seq, 1000.0 + seq if time_s is None else time_s, (4.0,))


def restarted(guard):
    return ReplayGuard(json.loads(json.dumps(guard.state())))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=80),
    st.integers(0, 80),
)
def test_every_sample_is_admitted_exactly_once_with_a_restart_at_any_time(arrivals, restart_after):
    guard, seen = ReplayGuard(), set()
    for n, (boot, seq) in enumerate(arrivals):
        if n == restart_after:
            guard = restarted(guard)
        admitted = guard.admit(sample(seq, boot)) is None
        assert admitted == ((boot, seq) not in seen)
        seen.add((boot, seq))


def test_a_backlog_may_arrive_behind_live_samples():
    guard = ReplayGuard()
    assert guard.admit(sample(5000)) is None
    assert all(guard.admit(sample(seq)) is None for seq in range(4000, 5000))
    assert guard.admit(sample(4321)) == "seq 4321 of this boot was here before"


def test_what_is_too_far_behind_to_remember_is_refused():
    guard = ReplayGuard()
    guard.admit(sample(WINDOW + 10))
    assert "too far behind" in guard.admit(sample(10))
    assert guard.admit(sample(11)) is None


def test_a_leap_in_seq_costs_no_memory():
    guard = ReplayGuard()
    guard.admit(sample(1, time_s=1.0))
    assert guard.admit(sample(10**18, time_s=2.0)) is None
    assert len(json.dumps(guard.state())) < 200


def test_a_recording_of_a_forgotten_boot_is_refused_by_its_time():
    guard = ReplayGuard()
    recorded = [sample(seq, "boot-0") for seq in range(5)]
    for old in recorded:
        guard.admit(old)
    for n in range(1, MAX_BOOTS + 1):
        assert guard.admit(sample(0, f"boot-{n}", time_s=2000.0 + n)) is None
    guard = restarted(guard)
    assert all("too long ago" in guard.admit(old) for old in recorded)
    assert guard.admit(sample(0, "boot-new", time_s=3000.0)) is None
