"""What a vehicle says in words: STATUSTEXT put together from its chunks, and the EVENTs that matter as sentences."""

from __future__ import annotations

from fleet.mavlink.codec import text
from fleet.mavlink.messages import Event, StatusText

CHUNK = 50
CHUNK_WAIT_S = 3.0
"""an unfinished text is given out as it is after this long: half a reason is better than none"""
CRITICAL = 2
"""MAV_SEVERITY: this and smaller are shown even when the event is not in our table. PX4 repeats its health findings
as events of level 3 and 4 at every change, which would drown what matters."""

# Names and sentences of PX4's events: an event's id is the FNV-1a hash of its name (24 bits) under its component (1).
EVENT_TEXTS = {
    "commander_arm_denied_resolve_failures": "Arming denied: resolve system health failures first",
    "commander_arm_denied_calibrating": "Arming denied: calibrating",
    "commander_arm_denied_not_manual": "Arming denied: the mode does not allow it",
    "commander_disarm_denied_not_landed": "Disarming denied: not landed",
    "commander_mission_start_denied_no_mission": "Mission start denied: no valid mission",
    "commander_unsupported_auto_mode": "Unsupported auto mode",
    "commander_failsafe_enter_generic": "Failsafe activated",
    "commander_failsafe_enter_generic_hold": "Failsafe activated: holding first",
    "commander_failsafe_enter_hold": "Failsafe activated: holding first",
    "commander_failsafe_enter": "Failsafe activated",
    "commander_failsafe_enter_low_bat": "Failsafe activated: low battery",
    "commander_failsafe_enter_crit_low_bat_warn": "Emergency battery level",
    "commander_failsafe_enter_crit_bat_warn": "Critical battery level",
    "commander_failsafe_enter_autopilot_disengaged": "Failsafe: a pilot has taken over",
    "commander_gcs_lost": "Connection to the ground station lost",
    "commander_dl_regained": "Connection to the ground station regained",
    "commander_rc_override": "A pilot has taken over with the remote control",
    "failsafe_rc_override": "A pilot has taken over with the remote control",
    "commander_kill_sw_engaged": "Kill switch engaged",
    "commander_takeoff_detected": "Takeoff detected",
    "commander_landing_detected": "Landing detected",
    "commander_rtl": "Returning to launch",
    "mission_finished": "Mission finished, landed",
    "mission_finished_loiter": "Mission finished, loitering",
    "mission_not_valid_refuse": "No valid mission available, refusing takeoff",
    "mission_not_valid_loiter": "No valid mission available, loitering",
    "navigator_mis_geofence_violation": "Mission rejected: geofence violation",
    "navigator_mis_geofence_no_home": "Mission rejected: the geofence needs a home position",
    "navigator_mis_geofence_no_home2": "Mission rejected: the geofence needs a home position",
    "navigator_mis_takeoff_too_low": "Mission rejected: take-off altitude too low",
    "navigator_mis_takeoff_not_first": "Mission rejected: take-off is not the first waypoint item",
    "navigator_mis_takeoff_missing": "Mission rejected: take-off waypoint required",
    "navigator_mis_land_missing": "Mission rejected: landing waypoint required",
    "navigator_mis_takeoff_or_land_missing": "Mission rejected: take-off or landing item missing",
    "feasibility_mis_in_air_landing_req": "Mission rejected: landing waypoint required",
    "navigator_mis_add_land_or_rm_to": "Mission rejected: add a landing item or remove the take-off",
    "navigator_mis_add_to_or_rm_land": "Mission rejected: add a take-off item or remove the landing",
    "navigator_mis_starts_w_landing": "Mission rejected: starts with landing",
    "navigator_mis_starts_w_landing2": "Mission rejected: starts with landing",
    "navigator_mis_invalid_land": "Mission rejected: invalid land start",
    "navigator_mis_multiple_land": "Mission rejected: more than one land start",
    "navigator_mis_unsup_cmd": "Mission rejected: unsupported command",
    "navigator_mis_no_home_rel_alt": "Mission rejected: relative altitude without a home position",
    "navigator_mis_no_pos_lock": "Not yet ready for a mission: no position lock",
    "navigator_mis_approach_wp_below_land": "Mission rejected: the approach is below the landing point",
    "navigator_mis_first_wp_far": "First waypoint far away from home",
    "navigator_geofence_invalid_against_home": "Geofence invalid: it does not contain home",
    "navigator_geofence_invalid_against_cur_pos": "Geofence invalid: it does not contain the vehicle",
    "navigator_reposition_outside_geofence": "Reposition is outside the geofence",
    "mavlink_mission_op_timeout": "Mission transfer: the vehicle timed out",
    "mavlink_mission_partner_id_mismatch": "Mission transfer: another station is busy with it",
    "mavlink_mission_storage_failure": "Mission: unable to write to storage",
}


def event_id(name: str, component: int = 1) -> int:
    """FNV-1a of the name, 24 bits, under the component's number, as PX4's `events::ID` computes it."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value & 0xFFFFFF | component << 24


_BY_ID = {event_id(name): sentence for name, sentence in EVENT_TEXTS.items()}


def event_text(event: Event) -> str | None:
    """The sentence of an event; `event 0x…` for a critical one that is not in the table; None for chatter."""
    known = _BY_ID.get(event.id)
    if known is not None:
        return known
    return f"event {event.id:#010x}" if event.log_levels & 0x0F <= CRITICAL else None


class StatusTexts:
    """Puts chunked texts together. A text with id 0 stands alone."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[int, str]] = {}
        self._since_s: dict[int, float] = {}

    def receive(self, message: StatusText, now_s: float) -> list[str]:
        """Texts that are complete now. PX4 ends each in a tab."""
        finished = self.flush(now_s)
        piece = text(message.text)
        last = len(piece) < CHUNK
        if message.chunk_seq == 0 and last:
            if message.id:
                finished += self._take(message.id)
            return [*finished, piece.rstrip("\t")]
        parts = self._parts.setdefault(message.id, {})
        self._since_s.setdefault(message.id, now_s)
        if parts.get(message.chunk_seq, piece) != piece:
            # The id was used again, so the older text never got its end.
            finished += self._take(message.id)
            parts = self._parts.setdefault(message.id, {})
            self._since_s[message.id] = now_s
        parts[message.chunk_seq] = piece
        if last and len(parts) == message.chunk_seq + 1:
            finished += self._take(message.id)
        return finished

    def flush(self, now_s: float) -> list[str]:
        """Texts whose end did not come in time."""
        late = [key for key, since in self._since_s.items() if now_s - since > CHUNK_WAIT_S]
        return [line for key in late for line in self._take(key)]

    def _take(self, key: int) -> list[str]:
        parts = self._parts.pop(key, None)
        self._since_s.pop(key, None)
        return ["".join(parts[n] for n in sorted(parts)).rstrip("\t")] if parts else []
