"""The vehicle port on our own MAVLink link: what is said to be done was seen to be done.

Upload order: fence, rally, mission. PX4 judges a mission against the fence it holds, so the fence must be there
first; and the mission's id changes last, so a link cut in between leaves a vehicle whose ids are not the plan's,
which nothing here will start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from math import nan

from fleet.mavlink import px4
from fleet.mavlink.checksum import opaque_id
from fleet.mavlink.command import Answer, Command, MavResult, Repeat
from fleet.mavlink.contract import Contract, Demand, Memory, fulfil
from fleet.mavlink.items import FRAME_GLOBAL_INT, degrees_e7, plan_items
from fleet.mavlink.messages import CommandInt, CommandLong, Heartbeat, MissionItemInt
from fleet.mavlink.params import HASH_CHECK, Param, ParamList, ParamRead, ParamTable, ParamWrite, Required
from fleet.mavlink.peer import Peer
from fleet.mavlink.port import Capabilities, Outcome, UploadOutcome, Verdict
from fleet.mavlink.proof import PROOF_S, Acked, Proof, Prover, said_since, why_not_start
from fleet.mavlink.transfer import Download, ListType, Rejected, Silent, Stored, Upload, same_list
from geofences.geodesy import LatLon
from missions.plan import Plan
from missions.snapshot import Mode, VehicleState
from missions.vehicles import Airframe

DO_SET_MODE = 176
DO_REPOSITION = 192
DO_GRIPPER = 211
MISSION_START = 300
ARM_DISARM = 400
RUN_PREARM_CHECKS = 401
CHANGE_MODE_FLAG = 1.0
GRIPPER_OPEN, GRIPPER_CLOSED = 0.0, 1.0
GRAB_TRIES = 3
"""twice is as good as once: a gripper that is closed stays so"""

START_TRIES = 3
JUDGED_LATE_S = 1.0
"""a PX4 short of time judges a plan later than its mission_state lets one believe, and denies the start until then"""
REPORT_S = 1.0
"""from the ACK of RUN_PREARM_CHECKS to the end of the report"""
COMMAND_TRIES = 6
"""for how many repeats of a mode command its effect may be awaited"""
REPOSITION_SAYS_NO_S = 1.2
"""PX4 accepts a reposition outside its fence and then says so in a text, without moving"""


class NativeVehicle:
    """One vehicle (VehiclePort). `cruise_m_s`: speed put into missions; None leaves it to its parameters. A VTOL's
    missions have its transitions.
    `contract`: what `check` demands of it."""

    capabilities = Capabilities(
        driver="native", compares_opaque_id=True, verifies_signing=True, several_links=True, records=True
    )

    def __init__(
        self,
        peer: Peer,
        *,
        cruise_m_s: float | None = None,
        airframe: Airframe = Airframe.MULTIROTOR,
        contract: Contract | None = None,
    ) -> None:
        self.vehicle_id = peer.vehicle_id
        self.peer = peer
        self._cruise_m_s = cruise_m_s
        self._airframe = airframe
        self._contract = contract if contract is not None else Contract()
        self._looked = Memory()
        self._checking = asyncio.Lock()
        self._uploading = asyncio.Lock()
        self._gripping = False
        self._mode_command: Command | None = None
        self._proof: Proof | None = None

    def state(self) -> VehicleState:
        return self.peer.state()

    async def wait_changed(self, timeout_s: float | None = None) -> bool:
        """Waits for new telemetry; False when none came in time."""
        return await self.peer.wait_changed(timeout_s)

    # -- plans -------------------------------------------------------------------------------------------------------

    async def upload(self, plan: Plan, *, with_fence_and_rally: bool) -> UploadOutcome:
        async with self._uploading:
            self._proof = None
            self.peer.watch.upload_begins()
            try:
                return await self._upload(plan, with_fence_and_rally=with_fence_and_rally)
            finally:
                self.peer.watch.upload_ends(self._proof.ids if self._proof is not None else None)

    async def _upload(self, plan: Plan, *, with_fence_and_rally: bool) -> UploadOutcome:
        boot = self.state().boot
        items = plan_items(plan, cruise_m_s=self._cruise_m_s, airframe=self._airframe)
        lists = [(ListType.MISSION, items.mission)]
        if with_fence_and_rally:
            lists = [(ListType.FENCE, items.fence), (ListType.RALLY, items.rally), *lists]
        began_s = self.peer.clock.now_s()
        ids: dict[ListType, int] = {}
        for kind, rows in lists:
            stored = await self._store(kind, rows)
            if not isinstance(stored, Stored):
                verdict = Verdict.REFUSED if isinstance(stored, Rejected) else Verdict.UNKNOWN
                return UploadOutcome(verdict, None, self._why(f"{kind.name.lower()}: {stored}", began_s))
            ids[kind] = stored.opaque_id

        async def read_back() -> str | None:
            for kind, rows in lists:
                held = await self._read_back(kind)
                if not isinstance(held, Stored) or not same_list(rows, held.items):
                    return f"{kind.name.lower()}: what the vehicle gave back is not what it was given"
            return None

        # An id that is not the checksum of what was sent may be another firmware's, or that of a list put together from
        # two uploads: only reading back tells.
        told = all(ids[kind] == opaque_id(rows) for kind, rows in lists)
        outcome = await Prover(self.peer, Acked(boot, ids)).prove(None if told else read_back)
        if outcome.ids is None:
            return replace(outcome, text=self._why(outcome.text, began_s))
        self._proof = Proof(boot, outcome.ids)
        return outcome

    async def _store(self, kind: ListType, rows: tuple[MissionItemInt, ...]) -> Stored | Rejected | Silent:
        """Uploads one list. Where the vehicle falls silent it may hold it all the same: read back before giving up."""
        result = await self._send_list(kind, rows)
        if isinstance(result, Silent):
            held = await self._read_back(kind)
            if isinstance(held, Stored) and same_list(rows, held.items):
                return held
        return result

    async def _send_list(self, kind: ListType, rows: tuple[MissionItemInt, ...]) -> Stored | Rejected | Silent:
        return await self.peer.run(Upload(self.peer.parties, kind, rows, self.peer.rtt))

    async def _read_back(self, kind: ListType) -> Stored | Rejected | Silent:
        return await self.peer.run(Download(self.peer.parties, kind, self.peer.rtt))

    async def download(self, kind: ListType) -> Stored | Rejected | Silent:
        """Reads a list back."""
        async with self._uploading:
            return await self._read_back(kind)

    def holds_proven_plan(self) -> str | None:
        """None when the vehicle still holds what was proven; else why it may not start."""
        return why_not_start(self._proof, self.state())

    # -- flying ------------------------------------------------------------------------------------------------------

    async def start_mission(self) -> Outcome:
        def flying(beat: Heartbeat) -> bool:
            return bool(beat.base_mode & px4.ARMED) and px4.mode_of(beat.custom_mode) in modes

        modes = (Mode.MISSION, Mode.TAKEOFF)
        began_s = self.peer.clock.now_s()
        for _ in range(START_TRIES):
            why_not = self.holds_proven_plan() or await self._still_holds_it()
            if why_not is not None:
                return Outcome(Verdict.REFUSED, why_not)
            answer = await self._mode_answer(_long(MISSION_START), modes, flying, repeat=Repeat.IF_NO_EFFECT, arms=True)
            if answer.ack != MavResult.DENIED:
                break
            await self.peer.clock.sleep(JUDGED_LATE_S)
        outcome = self._outcome("start", answer, began_s)
        if answer.ack == MavResult.TEMPORARILY_REJECTED and outcome.verdict is Verdict.REFUSED:
            return Outcome(Verdict.REFUSED, outcome.text + await self._not_ready())
        return outcome

    async def _not_ready(self) -> str:
        """Why PX4 does not arm: it tells that in a report that comes when something changes, and when asked for."""
        peer = self.peer
        asked_s = peer.clock.now_s()
        answer = await peer.run(Command(peer.parties, _long(RUN_PREARM_CHECKS), peer.rtt, repeat=Repeat.FREELY))

        def told(_: VehicleState) -> bool:
            return (peer.track.events.reported_s or 0.0) > asked_s

        if answer.accepted:
            await peer.wait_until(told, REPORT_S + peer.rtt.timeout_s)
        reasons = self.state().not_ready
        return f"; not ready to arm: {'; '.join(reasons)}" if reasons else ""

    async def _still_holds_it(self) -> str | None:
        """Waits for the vehicle to say once more what it holds: the last word is up to a second old, time for a rival.

        PX4 sends MISSION_CURRENT once a second and not on request.
        """
        peer = self.peer
        asked_s = peer.clock.now_s()

        def told(state: VehicleState) -> bool:
            return state.mission is not None and state.mission.at_s > asked_s

        if await peer.wait_until(told, PROOF_S + peer.rtt.timeout_s):
            return self.holds_proven_plan()
        return "the vehicle does not say which plan it holds at this moment"

    async def fly_mission(self) -> Outcome:
        why_not = self.holds_proven_plan() if self._proof is not None else None
        if why_not is not None:
            return Outcome(Verdict.REFUSED, why_not)
        return await self._set_mode("mission mode", Mode.MISSION)

    async def hold(self) -> Outcome:
        return await self._set_mode("hold", Mode.HOLD)

    async def return_home(self) -> Outcome:
        return await self._set_mode("return", Mode.RETURN)

    async def land(self) -> Outcome:
        return await self._set_mode("land", Mode.LAND)

    async def reposition(self, to: LatLon, alt_amsl_m: float) -> Outcome:
        """DONE when the vehicle is in HOLD, which is how PX4 flies there, and did not object."""
        began_s = self.peer.clock.now_s()
        x, y = degrees_e7(to.lat_deg), degrees_e7(to.lon_deg)
        message = CommandInt(-1.0, CHANGE_MODE_FLAG, 0.0, nan, x, y, alt_amsl_m, DO_REPOSITION, 0, 0, FRAME_GLOBAL_INT)
        outcome = await self._mode("reposition", message, (Mode.HOLD,), _shows(Mode.HOLD))
        if outcome.ok:
            objection = "reposition is outside"
            until_s = REPOSITION_SAYS_NO_S + (self.peer.rtt.rtt_s or 0.0)
            if await self.peer.wait_until(
                lambda s: any(objection in t.lower() for t in said_since(s, began_s)), until_s
            ):
                return Outcome(Verdict.REFUSED, self._why("reposition: the vehicle stays where it is", began_s))
        return outcome

    async def _set_mode(self, what: str, mode: Mode) -> Outcome:
        message = _long(DO_SET_MODE, float(px4.CUSTOM_MODE_ENABLED), float(px4.AUTO), float(px4.auto_sub_mode(mode)))
        return await self._mode(what, message, (mode,), _shows(mode))

    async def _mode(
        self,
        what: str,
        message: CommandLong | CommandInt,
        modes: tuple[Mode, ...],
        effect: Callable[[Heartbeat], bool],
        *,
        repeat: Repeat = Repeat.FREELY,
        arms: bool = False,
    ) -> Outcome:
        began_s = self.peer.clock.now_s()
        return self._outcome(what, await self._mode_answer(message, modes, effect, repeat=repeat, arms=arms), began_s)

    async def _mode_answer(
        self,
        message: CommandLong | CommandInt,
        modes: tuple[Mode, ...],
        effect: Callable[[Heartbeat], bool],
        *,
        repeat: Repeat = Repeat.FREELY,
        arms: bool = False,
    ) -> Answer:
        """A command that changes the mode. The newest wins: one under way gives way at once."""
        peer = self.peer
        began_s = peer.clock.now_s()
        peer.watch.commanding(frozenset(modes), began_s, peer.rtt.patience_s(COMMAND_TRIES), arms=arms)
        command = Command(peer.parties, message, peer.rtt, repeat=repeat, effect=effect)
        before, self._mode_command = self._mode_command, command
        if before is not None:
            before.supersede()
            peer.nudge(before)
        try:
            return await peer.run(command)
        finally:
            if self._mode_command is command:
                self._mode_command = None

    async def disarm(self) -> Outcome:
        """Never with force: PX4 refuses in the air."""
        peer = self.peer
        began_s = peer.clock.now_s()
        command = Command(
            peer.parties,
            _long(ARM_DISARM, 0.0),
            peer.rtt,
            repeat=Repeat.FREELY,
            effect=lambda beat: not beat.base_mode & px4.ARMED,
        )
        return self._outcome("disarm", await peer.run(command), began_s)

    async def grab(self) -> Outcome:
        return await self._grip("grab", GRIPPER_CLOSED, GRAB_TRIES)

    async def release(self) -> Outcome:
        return await self._grip("release", GRIPPER_OPEN, 1)

    async def _grip(self, what: str, wanted: float, tries: int) -> Outcome:
        """One at a time: a second DO_GRIPPER would cancel the first, and is rejected while one moves."""
        if self._gripping:
            return Outcome(Verdict.REFUSED, f"{what}: the gripper is already being moved")
        self._gripping = True
        try:
            peer = self.peer
            began_s = peer.clock.now_s()
            for _ in range(tries):
                message = _long(DO_GRIPPER, 1.0, wanted)
                answer = await peer.run(Command(peer.parties, message, peer.rtt, repeat=Repeat.NEVER))
                if answer.ack is not None:
                    break
            return self._outcome(what, answer, began_s)
        finally:
            self._gripping = False

    # -- parameters --------------------------------------------------------------------------------------------------

    async def check(self) -> Outcome:
        async with self._checking:
            return await fulfil(self, self._contract, self._looked)

    async def ensure_params(self, required: Required, *, may_set: bool = True) -> Outcome:
        """`check` for parameters given here instead of the vehicle's contract."""
        demands = {name: Demand.of(wanted) for name, wanted in required.items()}
        return await fulfil(self, Contract(may_set, demands), Memory())

    async def read_param(self, name: str) -> Param | None:
        return (await self.peer.run(ParamRead(self.peer.parties, name, self.peer.rtt))).param

    async def write_param(self, param: Param) -> bool:
        return (await self.peer.run(ParamWrite(self.peer.parties, param, self.peer.rtt))).param is not None

    async def params_hash(self) -> int | None:
        answer = await self.peer.run(ParamRead(self.peer.parties, HASH_CHECK, self.peer.rtt, tries=3))
        return None if answer.param is None else int(answer.param.value)

    async def params(self) -> ParamTable:
        """All parameters, for comparing one vehicle with another; about ten seconds on a good link."""
        return await self.peer.run(ParamList(self.peer.parties, self.peer.rtt))

    # -- words -------------------------------------------------------------------------------------------------------

    def _outcome(self, what: str, answer: Answer, began_s: float) -> Outcome:
        if answer.seen or (answer.seen is None and answer.accepted):
            return Outcome(Verdict.DONE, what)
        if answer.superseded:
            return Outcome(Verdict.UNKNOWN, f"{what}: given up for a newer command")
        if answer.refused:
            return Outcome(Verdict.REFUSED, self._why(f"{what}: the vehicle answered {answer.word}", began_s))
        if answer.accepted:
            mode = self.state().mode
            shown = mode.value.value if mode is not None else "unknown"
            return Outcome(Verdict.UNKNOWN, self._why(f"{what}: accepted, but the mode stays {shown}", began_s))
        return Outcome(Verdict.UNKNOWN, self._why(f"{what}: no answer from the vehicle", began_s))

    def _why(self, text: str, since_s: float) -> str:
        """The text and what the vehicle itself said since."""
        said = list(dict.fromkeys(said_since(self.state(), since_s)))
        return f"{text} ({'; '.join(said[-3:])})" if said else text


def _shows(mode: Mode) -> Callable[[Heartbeat], bool]:
    return lambda beat: px4.mode_of(beat.custom_mode) is mode


def _long(command: int, *params: float) -> CommandLong:
    p1, p2, p3, p4, p5, p6, p7 = (*params, *(0.0,) * (7 - len(params)))
    return CommandLong(p1, p2, p3, p4, p5, p6, p7, command, 0, 0)
