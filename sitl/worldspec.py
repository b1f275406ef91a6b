"""What a world consists of: its air, its fronts, its ground. Everything but the plain defaults must be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from sitl.fields import Fields, SpecError
from sitl.terrain import TerrainSpec


@dataclass(frozen=True, slots=True)
class FrontSpec:
    """From `at_s` on (since the start) the mean wind turns to this within `ramp_s`; later fronts replace earlier ones.

    With a place it is a line that crosses the map: it passes that place at `at_s`, moving `towards_deg` (clockwise
    from north) at `speed_m_s`, and each vehicle has it when it gets there. Without one it is everywhere at once.
    """

    at_s: float
    wind_north_m_s: float
    wind_east_m_s: float
    ramp_s: float = 60.0
    lat_deg: float | None = None
    lon_deg: float | None = None
    towards_deg: float | None = None
    speed_m_s: float | None = None

    @staticmethod
    def read(f: Fields) -> FrontSpec:
        front = FrontSpec(
            at_s=f.number("at_s", low=0),
            wind_north_m_s=f.number("wind_north_m_s", low=-60, high=60),
            wind_east_m_s=f.number("wind_east_m_s", low=-60, high=60),
            ramp_s=f.number("ramp_s", 60.0, low=0, high=86_400),
            lat_deg=f.optional_number("lat_deg", low=-85, high=85),
            lon_deg=f.optional_number("lon_deg", low=-180, high=180),
            towards_deg=f.optional_number("towards_deg", low=0, high=360),
            speed_m_s=f.optional_number("speed_m_s", low=0.1, high=100),
        )
        f.done()
        line = ("lat_deg", "lon_deg", "towards_deg", "speed_m_s")
        missing = [name for name in line if getattr(front, name) is None]
        if 0 < len(missing) < len(line):
            raise SpecError(
                f"{f.at(missing[0])}: missing; a front that moves needs {', '.join(line)}, one without a place none"
            )
        return front


@dataclass(frozen=True, slots=True)
class WorldSpec:
    ambient_c: float = 25.0
    """at ground level; the day's mean where there is a `day_amplitude_k`"""
    lapse_k_km: float = 6.5
    day_amplitude_k: float = 0.0
    """the air is warmer by this at 15:00 local solar time and colder by it at 3:00"""
    sun: bool = False
    """whether it shines on boxes outdoors"""
    cloud_cover: float = 0.0
    """0 clear, 1 overcast"""
    wind_north_m_s: float = 0.0
    """at `wind_reference_agl_m` above ground where there is a `wind_shear_exponent`, else at every height"""
    wind_east_m_s: float = 0.0
    wind_shear_exponent: float = 0.0
    """of the power law; 0: no shear, 1/7 over open land, about 0.25 over land with many trees"""
    wind_reference_agl_m: float = 10.0
    """where weather stations measure wind"""
    fronts: tuple[FrontSpec, ...] = ()
    gust_m_s: float = 0.0
    """standard deviation of each horizontal component"""
    ground_amsl_m: float = 0.0
    """of level ground; also the height that `ambient_c` belongs to"""
    terrain: TerrainSpec = field(default_factory=TerrainSpec)

    @staticmethod
    def read(f: Fields) -> WorldSpec:
        terrain = f.optional_inner("terrain")
        world = WorldSpec(
            ambient_c=f.number("ambient_c", 25.0, low=-60, high=60),
            lapse_k_km=f.number("lapse_k_km", 6.5, low=-20, high=20),
            day_amplitude_k=f.number("day_amplitude_k", 0.0, low=0, high=30),
            sun=f.flag("sun", False),
            cloud_cover=f.number("cloud_cover", 0.0, low=0, high=1),
            wind_north_m_s=f.number("wind_north_m_s", 0.0, low=-60, high=60),
            wind_east_m_s=f.number("wind_east_m_s", 0.0, low=-60, high=60),
            wind_shear_exponent=f.number("wind_shear_exponent", 0.0, low=0, high=0.6),
            wind_reference_agl_m=f.number("wind_reference_agl_m", 10.0, low=1, high=200),
            fronts=tuple(FrontSpec.read(Fields(x, path)) for path, x in f.items("fronts")),
            gust_m_s=f.number("gust_m_s", 0.0, low=0, high=20),
            ground_amsl_m=f.number("ground_amsl_m", 0.0, low=-500, high=6000),
            terrain=TerrainSpec.read(terrain) if terrain else TerrainSpec(),
        )
        f.done()
        at = [front.at_s for front in world.fronts]
        if at != sorted(at):
            raise SpecError(f"{f.at('fronts')}: are not in the order of at_s; sort them")
        return world
