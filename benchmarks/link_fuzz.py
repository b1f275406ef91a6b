"""Nonsense on the wire: 10 MB of random bytes and 1,000,000 valid frames with random fields into a whole link."""

from __future__ import annotations

import argparse
import time
import tracemalloc
from pathlib import Path
from typing import Any

from benchmarks.report import report, say
from tests.mavlink.fake_time import in_fake_time
from tests.mavlink.fuzzing import Bedlam

BYTES = 10_000_000
FRAMES = 1_000_000
TRACED_FRAMES = 100_000


def rss_mb() -> float:
    """Resident memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


async def fire(size: int, frames: int) -> dict[str, Any]:
    """Raises what escaped, and AssertionError where the vehicle table is not true."""
    warm = Bedlam(1)
    await warm.run(50_000, 5_000)
    bedlam = Bedlam(2)
    before_mb, began_s = rss_mb(), time.process_time()
    await bedlam.run(size, frames)
    took_s = time.process_time() - began_s
    grown_mb = rss_mb() - before_mb
    stats = bedlam.air.link.stats()
    mad = bedlam.air.station.peer("cw-2")
    return {
        "random_bytes": bedlam.bytes,
        "random_frames": bedlam.frames,
        "escaped_exceptions": 0,
        "vehicle_table_true": True,
        "exchanges_meanwhile": bedlam.exchanges,
        "frames_read": stats.frames,
        "frames_refused": stats.refused_frames,
        "bytes_that_were_no_frame": stats.bad_bytes,
        "frames_over_budget": mad.dropped,
        "boots_seen_of_the_mad_vehicle": mad.state().boot,
        "refusals_kept": len(bedlam.air.station.refusals),
        "rss_growth_mb": round(grown_mb, 1),
        "cpu_s_with_making_it": round(took_s, 1),
    }


async def traced(frames: int) -> float:
    """MB that Python objects grew by, in a shorter run: tracing makes all slow."""
    bedlam = Bedlam(3)
    async with bedlam.air:
        await bedlam.frames_in(10_000)
        tracemalloc.start()
        await bedlam.frames_in(frames)
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return grown / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=BYTES)
    parser.add_argument("--frames", type=int, default=FRAMES)
    given = parser.parse_args()
    say(f"{given.bytes} random bytes, {given.frames} random frames")
    figures = in_fake_time(fire(given.bytes, given.frames))
    say(f"and {TRACED_FRAMES} frames with memory traced")
    figures["traced_growth_mb_per_100k_frames"] = round(in_fake_time(traced(TRACED_FRAMES)), 3)
    how = (
        "simulated time, no sockets: bytes through the datagram scanner and the stream parser; frames with true "
        "checksums and random ids, senders, lengths and fields (NaN and infinity among them), half in the name of an "
        "admitted vehicle that is being commanded, and PX4 heartbeats in a good vehicle's name from other addresses; "
        "the good vehicle's state is compared every 50 frames; growth is of the process, harness included"
    )
    report("link_fuzz", figures, how, ("fastcrc",))


if __name__ == "__main__":
    main()
