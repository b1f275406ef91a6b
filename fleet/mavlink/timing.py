"""Retry times that follow the link: nothing here is a constant that a satellite hop breaks."""

from __future__ import annotations

FIRST_TIMEOUT_S = 1.0
"""before anything was measured (RFC 6298 §2.1)"""
MIN_TIMEOUT_S = 0.3
"""PX4 answers commands within 5 ms and asks for a missing item again after 0.28 s: faster only makes duplicates"""


class RoundTrip:
    """Smoothed round trip and its deviation (Jacobson, RFC 6298)."""

    __slots__ = ("rtt_s", "var_s")

    def __init__(self) -> None:
        self.rtt_s: float | None = None
        self.var_s = 0.0

    def sample(self, rtt_s: float) -> None:
        """A measured round trip. Only of exchanges that were not repeated, or whose answer names its question."""
        if not 0.0 <= rtt_s < 60.0:
            return
        if self.rtt_s is None:
            self.rtt_s, self.var_s = rtt_s, rtt_s / 2
        else:
            self.var_s += (abs(self.rtt_s - rtt_s) - self.var_s) / 4
            self.rtt_s += (rtt_s - self.rtt_s) / 8

    def become(self, other: RoundTrip) -> None:
        """Goes on from what another one has measured: the vehicle is reached over another link now."""
        self.rtt_s, self.var_s = other.rtt_s, other.var_s

    def copy(self) -> RoundTrip:
        made = RoundTrip()
        made.become(self)
        return made

    @property
    def timeout_s(self) -> float:
        """How long to wait for an answer before asking again."""
        if self.rtt_s is None:
            return FIRST_TIMEOUT_S
        return max(MIN_TIMEOUT_S, self.rtt_s + 4 * self.var_s)

    def backoff_s(self, tries: int) -> float:
        """The wait after the given number of unanswered tries: ×1.5 each, at most 4 time-outs (and at least 4 s)."""
        return float(min(self.timeout_s * 1.5**tries, max(4.0, 4 * self.timeout_s)))

    def retry_s(self, tries: int) -> float:
        """The same where what is asked for matters more than the few bytes: at most a second, or a time-out."""
        return min(self.backoff_s(tries), max(1.0, self.timeout_s))

    def patience_s(self, tries: int) -> float:
        """The time that many tries take: when to give up."""
        return sum(self.backoff_s(n) for n in range(tries))
