"""A vehicle behind the port that flies its plan in straight lines, by whatever clock the test uses.

It keeps a list of every command it was given, which is what most tests about sessions are about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from fleet.clock import Clock
from fleet.mavlink.port import Capabilities, Outcome, PlanIds, UploadOutcome, Verdict
from geofences.geodesy import LatLon, bearing_deg, destination, distance_m
from missions.plan import Ending, Plan
from missions.snapshot import (
    Battery,
    Landed,
    LinkQuality,
    MissionState,
    MissionStatus,
    Mode,
    Position,
    Timed,
    VehicleState,
    Velocity,
)

DONE = Outcome(Verdict.DONE)


@dataclass
class FakeVehicle:
    vehicle_id: str
    clock: Clock
    at: LatLon
    ground_amsl_m: float
    speed_m_s: float = 20.0
    climb_m_s: float = 3.0
    drain_pct_s: float = 0.03
    answer_s: float = 0.2
    """how long it takes to answer a command"""
    alt_amsl_m: float = 0.0
    mode: Mode = Mode.HOLD
    armed: bool = False
    battery_pct: float = 100.0
    heard: bool = True
    boot: int = 0
    gripper_works: bool = True
    ack_release: bool = True
    released: bool = False
    refuse: dict[str, str] = field(default_factory=dict)
    """command → why it is refused"""
    commands: list[str] = field(default_factory=list)
    grabs: int = 0
    releases: int = 0
    plan: Plan | None = None
    leg: int = 0
    complete: bool = False
    last_s: float = 0.0
    silent_since_s: float | None = None
    moving: bool = False
    capabilities: Capabilities = field(default=Capabilities("fake", True, False, False, False))
    unfit: str = ""
    """how it breaks its contract"""
    checks: int = 0

    def __post_init__(self) -> None:
        self.alt_amsl_m = self.alt_amsl_m or self.ground_amsl_m
        self.last_s = self.clock.now_s()

    async def check(self) -> Outcome:
        self.checks += 1
        return Outcome(Verdict.REFUSED, self.unfit) if self.unfit else DONE

    # what a session sees

    def state(self) -> VehicleState:
        now_s = self.clock.now_s()
        self._advance(now_s)
        at_s = now_s if self.heard else (self.silent_since_s or now_s)
        ids = self._ids()
        if self.plan is None:
            mission = MissionStatus(MissionState.NO_MISSION, 0, None, 0, 0, 0)
        else:
            active = self.mode in (Mode.MISSION, Mode.TAKEOFF)
            kind = MissionState.COMPLETE if self.complete else MissionState.ACTIVE if active else MissionState.PAUSED
            mission = MissionStatus(kind, self.leg, len(self.plan.legs), ids.mission, ids.fence, ids.rally)
        landed = Landed.IN_AIR if self.alt_amsl_m > self.ground_amsl_m + 0.5 else Landed.ON_GROUND
        speed = self.speed_m_s if self.moving else 0.0
        return VehicleState(
            vehicle_id=self.vehicle_id,
            heard_s=at_s,
            boot=self.boot,
            armed=Timed(self.armed, at_s),
            mode=Timed(self.mode, at_s),
            landed=Timed(landed, at_s),
            position=Timed(Position(self.at, self.alt_amsl_m, self.alt_amsl_m - self.ground_amsl_m), at_s),
            velocity=Timed(Velocity(speed, 0.0, 0.0), at_s),
            battery=Timed(Battery(self.battery_pct), at_s),
            health_ok=Timed(True, at_s),
            failsafe=Timed(False, at_s),
            throttle_pct=Timed(50.0 if self.released else 60.0, at_s),
            mission=Timed(mission, at_s),
            link=LinkQuality(0.05, 0.0),
        )

    def _ids(self) -> PlanIds:
        key = crc32(self.plan.plan_id.encode()) if self.plan is not None else 0
        return PlanIds(key, key ^ 1, key ^ 2) if key else PlanIds(0, 0, 0)

    # what a session may do

    async def upload(self, plan: Plan, *, with_fence_and_rally: bool) -> UploadOutcome:
        outcome = await self._command("upload")
        if not outcome.ok:
            return UploadOutcome(outcome.verdict, None, outcome.text)
        self.plan, self.leg, self.complete = plan, 0, False
        return UploadOutcome(Verdict.DONE, self._ids())

    async def start_mission(self) -> Outcome:
        return await self._command("start", Mode.MISSION, arm=True)

    async def fly_mission(self) -> Outcome:
        return await self._command("fly", Mode.MISSION)

    async def hold(self) -> Outcome:
        return await self._command("hold", Mode.HOLD)

    async def return_home(self) -> Outcome:
        return await self._command("return", Mode.RETURN)

    async def land(self) -> Outcome:
        return await self._command("land", Mode.LAND)

    async def reposition(self, to: LatLon, alt_amsl_m: float) -> Outcome:
        return await self._command("reposition")

    async def disarm(self) -> Outcome:
        return await self._command("disarm")

    async def grab(self) -> Outcome:
        self.grabs += 1
        return Outcome(Verdict.REFUSED, self.refuse["grab"]) if "grab" in self.refuse else DONE

    async def release(self) -> Outcome:
        self.releases += 1
        outcome = await self._command("release")
        if outcome.ok and self.gripper_works:
            self.released = True
        return outcome if self.ack_release else Outcome(Verdict.UNKNOWN, "no answer")

    async def _command(self, name: str, mode: Mode | None = None, *, arm: bool = False) -> Outcome:
        self.commands.append(name)
        await self.clock.sleep(self.answer_s)
        if name in self.refuse:
            return Outcome(Verdict.REFUSED, self.refuse[name])
        self._advance(self.clock.now_s())
        if mode is not None:
            self.mode = mode
        self.armed = self.armed or arm
        return DONE

    # what a test may do to it

    def go_silent(self) -> None:
        self.heard, self.silent_since_s = False, self.clock.now_s()

    def be_heard(self) -> None:
        self.heard = True

    # flight

    def _advance(self, now_s: float) -> None:
        dt, self.last_s = now_s - self.last_s, now_s
        self.moving = False
        if not self.armed:
            return
        self.battery_pct = max(0.0, self.battery_pct - self.drain_pct_s * dt)
        if self.mode is Mode.LAND:
            self._descend(dt)
        elif self.mode is Mode.MISSION and self.plan is not None and not self.complete:
            self._fly(self.plan, dt)

    def _descend(self, dt: float) -> None:
        self.alt_amsl_m = max(self.ground_amsl_m, self.alt_amsl_m - self.climb_m_s * dt)
        if self.alt_amsl_m <= self.ground_amsl_m:
            self.armed, self.mode = False, Mode.HOLD

    def _fly(self, plan: Plan, dt: float) -> None:
        while dt > 1e-9 and not self.complete:
            target = plan.legs[self.leg].end if self.leg < len(plan.legs) else plan.legs[-1].end
            if self.leg == 0 and plan.take_off and self.alt_amsl_m < plan.legs[0].start.alt_amsl_m - 0.1:
                dt = self._towards(self.at, plan.legs[0].start.alt_amsl_m, dt)
                continue
            dt = self._towards(target.position, target.alt_amsl_m, dt)
            if distance_m(self.at, target.position) < 0.5 and abs(self.alt_amsl_m - target.alt_amsl_m) < 0.1:
                self.leg += 1
                if self.leg == len(plan.legs):
                    self.complete = True
        if self.complete and plan.ending is Ending.LAND:
            self.armed, self.mode = False, Mode.HOLD
        elif self.complete:
            self.mode = Mode.HOLD

    def _towards(self, to: LatLon, alt_amsl_m: float, dt: float) -> float:
        """Moves for at most dt; gives what is left of it."""
        away, rise = distance_m(self.at, to), alt_amsl_m - self.alt_amsl_m
        need_s = max(away / self.speed_m_s, abs(rise) / self.climb_m_s)
        self.moving = away > 0.5
        if need_s <= dt:
            self.at, self.alt_amsl_m = to, alt_amsl_m
            return dt - need_s
        share = dt / need_s
        self.at = destination(self.at, bearing_deg(self.at, to), away * share) if away > 0.01 else to
        self.alt_amsl_m += rise * share
        return 0.0
