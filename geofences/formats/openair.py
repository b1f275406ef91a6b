"""OpenAir (Winpilot's text format, with the later records AI, AY, AF, AG, AA of Naviter): airspace of manned aviation.

**Class and type to restriction**, the stricter where both are given: P prohibited; R and the controlled A, B, C, D,
CTR, TMA and their like need an authorisation; Q (danger), E, and every type not known here are conditional; F and G,
and sectors of information, restrict nothing. All but the last are closed unless an authorisation is configured.

**Flight levels** are heights of pressure, not of length, and no file says by how much they differ on the day. A lower
limit is taken at the lowest and an upper one at the highest that the air allows (`SEA_LEVEL_M`, `WARMTH`).

**Arcs** become polygons that hold them and stick out by at most `ARC_ERROR_M`; a circle stays a circle.

Written heights are rounded outwards to whole feet, positions to 1e-5 minutes (2 cm), radii up to 1e-4 nautical miles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor

from geofences.formats import arcs, schedules
from geofences.formats.codec import Keeps
from geofences.formats.common import (
    AreaOfOperation,
    FeatureError,
    ParsedAirspace,
    Reader,
    height,
    number,
    short,
    unique_id,
    volume,
)
from geofences.formats.features import Merger
from geofences.formats.outlines import MAX_VERTICES, circle, polygon
from geofences.geodesy import LatLon
from geofences.heights import M_PER_FT, Datum, Height
from geofences.volumes import Applicability, Authority, Circle, Polygon, Restriction, Role, Volume, Zone

NAME = "OpenAir"
M_PER_NM = 1852.0
SEA_LEVEL_M = (-630.0, 330.0)
"""how far sea level may seem from where it is: 940 hPa there are 628 m in the standard atmosphere (ICAO Doc 7488), and
1053 hPa are −326 m"""
WARMTH = (0.78, 1.10)
"""layers grow and shrink with the absolute temperature: as of −48 °C and of 44 °C at sea level"""

_CLASSES = {
    Restriction.PROHIBITED: "P PROHIBITED",
    Restriction.REQ_AUTHORISATION: "R RESTRICTED A B C D CTR MCTR TMA MTMA CTA UTA LTA MTA ATZ MATZ TRA TSA TFR ADIZ",
    Restriction.CONDITIONAL: "Q DANGER E TMZ RMZ GP GSEC W GLIDING_SECTOR AERIAL_SPORTING_RECREATIONAL TIZ TIA",
    Restriction.NO_RESTRICTION: "G F FIR UIR FIS_SECTOR ACC_SECTOR VFR_SECTOR",
}
_RESTRICTIONS = {name: r for r, names in _CLASSES.items() for name in names.split()}
_UNSAID = {"", "UNC", "UNCLASSIFIED", "OTHER", "UKN", "UNKNOWN"}
_WRITTEN = {r: names.split()[0] for r, names in _CLASSES.items()}

KEEPS = Keeps(
    roles=frozenset({Role.KEEP_OUT}),
    restrictions=frozenset(_WRITTEN),
    datums=frozenset({Datum.AGL, Datum.AMSL}),
    holes=False,
    schedules=False,
    message=False,
    contacts=False,
    any_text=False,
)

_VARIABLE = re.compile(r"([A-Z])\s*=\s*(.*)", re.IGNORECASE)
_POSITION = re.compile(r"([\d:.]+)\s*([NS])[\s,]*([\d:.]+)\s*([EW])", re.IGNORECASE)
_HEIGHT = re.compile(r"(FL)?\s*(-?\d+(?:\.\d+)?)\s*(FT|F|M)?\s*(AGL|GND|SFC|ASFC|MSL|AMSL|ALT|STD)?", re.IGNORECASE)
_GROUND = {"GND", "SFC", "GROUND", "SURFACE"}
_UNLIMITED = {"UNL", "UNLIM", "UNLTD", "UNLIMITED"}
_ABOVE_GROUND = {"AGL", "GND", "SFC", "ASFC"}
_PRESSURE_NOTE = (
    "flight levels are heights of pressure: a lower limit is taken at the lowest, an upper one at the highest"
)
_TEXTS = {"AN", "AI", "AY", "AF", "AG"}


def parse(text: str, source: str, area: AreaOfOperation | None = None) -> ParsedAirspace:
    """The zones of an OpenAir file."""
    parser = _Parser(Reader(source, NAME, area))
    for i, line in enumerate(text.splitlines(), 1):
        parser.read(i, line.strip())
    return parser.finish()


def write(zones: Sequence[Zone]) -> str:
    """An OpenAir file, a record per volume, that `parse` reads back to zones of the same precision as the format's."""
    return "".join(_lines(z, v) for z in zones for v in z.volumes)


@dataclass(slots=True)
class _Record:
    """What stands between one AC and the next."""

    line: int
    klass: str
    texts: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Height | None] = field(default_factory=dict)
    periods: list[Applicability] = field(default_factory=list)
    always: bool = False
    pieces: list[LatLon | arcs.Arc] = field(default_factory=list)
    vertices: int = 0
    centre: LatLon | None = None
    clockwise: bool = True
    circles: list[tuple[LatLon, float]] = field(default_factory=list)
    tallies: list[tuple[str, str]] = field(default_factory=list)
    error: FeatureError | None = None

    def add(self, piece: LatLon | arcs.Arc) -> None:
        self.vertices += piece.steps + 1 if isinstance(piece, arcs.Arc) else 1
        if self.vertices > MAX_VERTICES:
            text = f"the outline has more than {MAX_VERTICES} vertices"
            raise FeatureError("", text, "simplify the outline, outwards for a zone to keep out of")
        self.pieces.append(piece)

    def about(self) -> LatLon:
        """The centre of the arc or circle that is to be drawn."""
        if self.centre is None:
            raise FeatureError("", "there is no centre yet", "give V X=… before it")
        return self.centre


class _Parser:
    """Reads line by line; a record is judged when the next one begins."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.merger = Merger(reader)
        self.record: _Record | None = None
        self.taken: dict[str, int] = {}

    def read(self, number_: int, line: str) -> None:
        if not line or line[0] in "*#":
            return
        command, _, rest = line.replace("\t", " ").partition(" ")
        command, rest = command.upper(), rest.strip()
        if command == "AC":
            self._close()
            self.record = _Record(number_, rest.upper())
        elif self.record is None:
            self.reader.note(f"line {number_}", f"{short(line)} stands before the first AC and was not read")
        elif self.record.error is None:
            try:
                self._take(self.record, command, rest)
            except FeatureError as error:
                self.record.error = FeatureError(f"line {number_} {command}", error.text, error.fix)

    def finish(self) -> ParsedAirspace:
        self._close()
        self.merger.finish()
        return self.reader.result()

    def _take(self, record: _Record, command: str, rest: str) -> None:
        if command in _TEXTS:
            record.texts[command] = rest
        elif command in ("AL", "AH"):
            record.limits[command] = self._limit(record, command, rest)
        elif command == "AA":
            self._activation(record, rest)
        elif command == "DP":
            record.add(_position(rest))
        elif command == "V":
            self._variable(record, rest)
        elif command == "DC":
            record.circles.append((record.about(), _miles(rest)))
        elif command in ("DA", "DB"):
            try:
                record.add(_arc(record, command, rest))
            except ValueError as error:  # of the arc's own
                raise FeatureError("", str(error), "correct centre and ends") from None
        elif command[0] == "D":  # DY, an airway along a line, and whatever else may draw
            raise FeatureError("", "this kind of outline is not read", "draw it with DP, DA, DB or DC")
        else:
            record.tallies.append((command, "this says nothing about a zone and was not read"))

    def _variable(self, record: _Record, rest: str) -> None:
        found = _VARIABLE.fullmatch(rest)
        if found is None:
            raise FeatureError("", f"{short(rest)} sets no variable", "give X=…, or D=+ or D=-")
        name, value = found[1].upper(), found[2].strip()
        if name == "X":
            record.centre = _position(value)
        elif name == "D":
            if value not in ("+", "-"):
                raise FeatureError("", f"{short(value)} is no direction", "give + (clockwise) or -")
            record.clockwise = value == "+"
        else:
            record.tallies.append((f"V {name}", "this says nothing about a zone and was not read"))

    def _limit(self, record: _Record, command: str, rest: str) -> Height | None:
        text = rest.upper()
        if text in _UNLIMITED or (command == "AL" and text in _GROUND):
            return None
        if text in _GROUND:
            return Height(0.0, Datum.AGL)
        found = _HEIGHT.fullmatch(text)
        if found is None:
            fix = "give one such as FL95, 1500ft AGL, 3500ft MSL, 450m AMSL, GND or UNLIM"
            raise FeatureError("", f"{short(rest)} is no height", fix)
        level, value, unit, over = found[1], float(found[2]), found[3] or "FT", found[4] or "MSL"
        metres = value if unit == "M" else value * M_PER_FT
        if level or over == "STD":
            metres *= 100.0 if level else 1.0
            record.tallies.append((command, _PRESSURE_NOTE))
            outwards, offset_m = (min, SEA_LEVEL_M[0]) if command == "AL" else (max, SEA_LEVEL_M[1])
            metres, over = outwards((metres + offset_m) * warmth for warmth in WARMTH), "AMSL"
        return height(metres, Datum.AGL if over in _ABOVE_GROUND else Datum.AMSL, "m", "")

    def _activation(self, record: _Record, rest: str) -> None:
        begin, _, end = (None if part in ("", "NONE") else part for part in rest.upper().partition("/"))
        try:
            period = schedules.applicability(begin, end, (), "", ("start", "end"))
        except FeatureError:
            period = Applicability()
        if schedules.permanent((period,)):
            record.always = True
            record.tallies.append(("AA", f"{short(rest)} names no times from/to: the zone applies always"))
        record.periods.append(period)

    def _close(self) -> None:
        record, self.record = self.record, None
        if record is None:
            return
        wanted = record.texts.get("AN") or f"line {record.line}"
        zone_id = record.texts.get("AI") or unique_id(wanted, self.taken)
        self.reader.feature_id = zone_id
        for place, text in record.tallies:
            self.reader.tally(place, text)
        try:
            if record.error is not None:
                raise record.error
            self.merger.add(self._zone(record, zone_id))
        except FeatureError as error:
            place = error.field if error.field.startswith("line") else f"line {record.line} {error.field}".strip()
            self.merger.refuse(FeatureError(place, error.text, error.fix))

    def _zone(self, record: _Record, zone_id: str) -> Zone:
        for name in ("AL", "AH"):
            if name not in record.limits:
                self.reader.tally(name, "there is no such limit: taken as all heights")
        radio = record.texts.get("AF")
        station = record.texts.get("AG")
        outline = self._outline(record)
        return Zone(
            zone_id=zone_id,
            name=record.texts.get("AN") or zone_id,
            restriction=self._restriction(record),
            volumes=(volume(outline, record.limits.get("AL"), record.limits.get("AH"), "AL"),),
            applicability=() if record.always else tuple(record.periods),
            message=f"Radio {radio}" if radio else "",
            authority=(Authority(station),) if station else (),
            source=f"{self.reader.source}: {zone_id}",
        )

    def _restriction(self, record: _Record) -> Restriction:
        said = [name for name in (record.klass, record.texts.get("AY", "").upper()) if name not in _UNSAID]
        for name in said:
            if name not in _RESTRICTIONS:
                self.reader.tally("AC", f"class or type {short(name)} is not known: taken as CONDITIONAL")
        found = {_RESTRICTIONS.get(name, Restriction.CONDITIONAL) for name in said} or {Restriction.CONDITIONAL}
        return next(r for r in _CLASSES if r in found)

    def _outline(self, record: _Record) -> Polygon | Circle:
        if len(record.circles) + bool(record.pieces) > 1:
            text = "there are several outlines, or a circle and other pieces, in one record"
            raise FeatureError("", text, "give each its own record from AC on")
        for centre, radius_m in record.circles:
            return circle(self.reader, [centre.lon_deg, centre.lat_deg], radius_m, "DC")
        ring = [(p.lon_deg, p.lat_deg) for p in arcs.ring(record.pieces)]
        return polygon(self.reader, [ring], "outline", closed=False)


def _arc(record: _Record, command: str, rest: str) -> arcs.Arc:
    centre = record.about()
    if command == "DB":
        ends = list(_POSITION.finditer(rest))
        if len(ends) != 2:
            raise FeatureError("", f"{short(rest)} is not two positions", "give start, end")
        start, end = (_position(found[0]) for found in ends)
        return arcs.Arc.between(centre, start, end, clockwise=record.clockwise)
    parts = [number(part.strip(), "", text_allowed=True) for part in rest.split(",")]
    if len(parts) != 3:
        raise FeatureError("", f"{short(rest)} is not radius, angle, angle", "give nautical miles and degrees")
    radius_nm, begin, end_ = parts
    return arcs.Arc.of_bearings(centre, radius_nm * M_PER_NM, begin, end_, clockwise=record.clockwise)


def _miles(rest: str) -> float:
    return number(rest, "", text_allowed=True) * M_PER_NM


def _position(text: str) -> LatLon:
    found = _POSITION.fullmatch(text.partition("*")[0].strip())
    if found is None:
        fix = "give one such as 46:12:30 N 006:10:15 E or 46:12.5 N 006:10.25 E"
        raise FeatureError("", f"{short(text)} is not a position", fix)
    lat, lon = (_degrees(found[i], text) for i in (1, 3))
    try:
        return LatLon(-lat if found[2] in "Ss" else lat, -lon if found[4] in "Ww" else lon)
    except ValueError as error:
        raise FeatureError("", str(error), "give degrees:minutes:seconds, latitude first") from None


def _degrees(text: str, whole: str) -> float:
    parts = text.split(":")
    try:
        values = [float(p) for p in parts]
    except ValueError:
        values = []
    if not 1 <= len(values) <= 3 or any(v >= 60.0 for v in values[1:]):
        raise FeatureError("", f"{short(whole)} is not a position", "give degrees:minutes:seconds")
    return sum(v / 60.0**i for i, v in enumerate(values))


def _lines(zone: Zone, v: Volume) -> str:
    lines = [f"AC {_WRITTEN[zone.restriction]}", f"AN {zone.name}", f"AI {zone.zone_id}"]
    lines += [f"AG {a.name}" for a in zone.authority]
    for a in zone.applicability:
        lines.append("AA " + "/".join("NONE" if t is None else schedules.instant_json(t) for t in (a.start, a.end)))
    lines.append("AL " + ("GND" if v.lower is None else _feet(v.lower, floor)))
    lines.append("AH " + ("UNLIM" if v.upper is None else _feet(v.upper, ceil)))
    if isinstance(v.outline, Circle):
        miles = ceil(v.outline.radius_m / M_PER_NM * 1e4 - 1e-6) / 1e4
        lines += [f"V X={_degrees_text(v.outline.centre)}", f"DC {miles:.4f}"]
    else:
        lines += [f"DP {_degrees_text(p)}" for p in (*v.outline.outer, v.outline.outer[0])]
    return "\n".join(lines) + "\n\n"


def _feet(limit: Height, outwards: Callable[[float], int]) -> str:
    # A height that came from whole feet must not go one further.
    slack = 1e-6 if outwards is floor else -1e-6
    return f"{outwards(limit.value_m / M_PER_FT + slack)}ft {'AGL' if limit.datum is Datum.AGL else 'MSL'}"


def _degrees_text(at: LatLon) -> str:
    def part(value: float, width: int, signs: str) -> str:
        signed = round(value * 60e5)
        units = abs(signed)
        return f"{units // 6_000_000:0{width}d}:{units % 6_000_000 / 1e5:08.5f} {signs[signed < 0]}"

    return f"{part(at.lat_deg, 2, 'NS')} {part(at.lon_deg, 3, 'EW')}"
