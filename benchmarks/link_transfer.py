"""Mission transfer on links that lose and delay: uploads proven by read-back, whole sets through the vehicle port."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from benchmarks.report import percentile, report, say
from fleet.mavlink.exchange import Exchange, Messages, Parties
from fleet.mavlink.messages import Message, MissionItemInt
from fleet.mavlink.native import NativeVehicle
from fleet.mavlink.port import Verdict
from fleet.mavlink.timing import RoundTrip
from fleet.mavlink.transfer import Download, ListType, Stored, Upload, same_list
from tests.mavlink.converse import converse
from tests.mavlink.fake_px4 import FakePx4
from tests.mavlink.fake_time import Air, in_fake_time
from tests.mavlink.plans import plan

US = Parties(245, 190, 1)
TIMES = 100
WHOLE_SETS = 20
BOUND_S = 25 * 60.0
CASES: tuple[tuple[int, float, float], ...] = ((200, 0.2, 0.3), (200, 2.0, 0.3), (50, 2.0, 0.0), (20, 0.05, 0.05))
"""items, round trip in s, share lost each way"""


def route(n: int) -> list[MissionItemInt]:
    return [MissionItemInt(0, 0, 0, 0, 75000000 + 100 * k, 382000000, 500.0, k, 16, 1, 1, 5) for k in range(n)]


def measured(rtt_s: float) -> RoundTrip:
    rtt = RoundTrip()
    rtt.sample(rtt_s)
    return rtt


def spread(values: list[float]) -> dict[str, float]:
    return {
        "min": round(min(values), 1),
        "median": round(percentile(values, 0.5), 1),
        "p95": round(percentile(values, 0.95), 1),
        "max": round(max(values), 1),
    }


def counted(exchange: Exchange[Any]) -> list[Message]:
    """Collects all that the machine sends from now on."""
    sent: list[Message] = []
    receive, tick = exchange.receive, exchange.tick

    def tell(messages: Messages) -> Messages:
        sent.extend(messages)
        return messages

    exchange.receive = lambda message, now_s: tell(receive(message, now_s))  # type: ignore[method-assign]
    exchange.tick = lambda now_s: tell(tick(now_s))  # type: ignore[method-assign]
    return sent


def case(items: int, rtt_s: float, loss: float) -> dict[str, Any]:
    say(f"{items} items, round trip {rtt_s:g} s, {loss:.0%} lost each way")
    up_s, down_s, sent_items, restarts, identical = list[float](), list[float](), list[float](), 0, 0
    wanted = route(items)
    for seed in range(TIMES):
        vehicle = FakePx4()
        upload = Upload(US, ListType.MISSION, wanted, measured(rtt_s))
        sent = counted(upload)
        stored, took_s = converse(upload, vehicle, rtt_s=rtt_s, loss=loss, seed=seed)
        download = Download(US, ListType.MISSION, measured(rtt_s))
        held, back_s = converse(download, vehicle, rtt_s=rtt_s, loss=loss, seed=seed + 1_000)
        up_s.append(took_s)
        down_s.append(back_s)
        restarts += upload.restarts + download.restarts
        sent_items.append(float(sum(isinstance(message, MissionItemInt) for message in sent)))
        identical += (
            isinstance(stored, Stored)
            and isinstance(held, Stored)
            and stored.opaque_id == held.opaque_id == vehicle.ids[0]
            and same_list(wanted, vehicle.lists[0])
            and same_list(wanted, held.items)
            and took_s + back_s <= BOUND_S
        )
    return {
        "uploads": TIMES,
        "identical_by_id_and_read_back": identical,
        "upload_s": spread(up_s),
        "read_back_s": spread(down_s),
        "restarts": restarts,
        "items_sent_of": items,
        "items_sent": spread(sent_items),
    }


async def whole_set(rtt_s: float, loss: float, seed: int) -> tuple[bool, float]:
    """Fence, rally and mission by the vehicle port, proven by MISSION_CURRENT. On a clean link at first, to be met."""
    vehicle = FakePx4()
    async with Air(vehicle, rtt_s=rtt_s, seed=seed) as air:
        native = NativeVehicle(air.station.peer("cw-1"))
        await asyncio.sleep(10.0)
        air.loss = loss
        began_s = air.clock.now_s()
        outcome = await native.upload(plan(), with_fence_and_rally=True)
        took_s = air.clock.now_s() - began_s
    ids = outcome.ids
    held = ids is not None and (ids.mission, ids.fence, ids.rally) == tuple(vehicle.ids[n] for n in range(3))
    return outcome.verdict is Verdict.DONE and held, took_s


def whole_sets(rtt_s: float, loss: float) -> dict[str, Any]:
    say(f"whole sets, round trip {rtt_s:g} s, {loss:.0%} lost each way")
    runs = [in_fake_time(whole_set(rtt_s, loss, seed)) for seed in range(WHOLE_SETS)]
    return {"uploads": len(runs), "proven": sum(ok for ok, _ in runs), "took_s": spread([took_s for _, took_s in runs])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--mavsdk", action="store_true", help="MAVSDK's own uploader beside it, in real time: 2 minutes"
    )
    given = parser.parse_args()
    out: dict[str, Any] = {
        f"{items}_items_{rtt_s:g}_s_{loss * 100:.0f}_pct": case(items, rtt_s, loss) for items, rtt_s, loss in CASES
    }
    out |= {f"whole_set_{rtt_s:g}_s_{loss * 100:.0f}_pct": whole_sets(rtt_s, loss) for _, rtt_s, loss in CASES[:3]}
    packages: tuple[str, ...] = ()
    if given.mavsdk:
        from benchmarks.link_transfer_mavsdk import side_by_side

        out["side_by_side_in_real_time"] = asyncio.run(side_by_side())
        packages = ("mavsdk",)
    how = (
        "simulated time, no sockets, against a scripted vehicle with PX4's states of a transfer: it asks again every "
        "0.28 s and gives up after 5 s of silence; loss and delay on every message each way; identical: the id "
        "that the upload got, the vehicle's store and a list read back over the same link all agree, within 25 minutes "
        "together"
    )
    report("link_transfer", out, how, packages)


if __name__ == "__main__":
    main()
