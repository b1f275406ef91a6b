"""Where the sun stands and what it brings: elevation by time and place, irradiance on level ground.

Elevation after the U.S. Naval Observatory, "Computing Approximate Solar Coordinates" (aa.usno.navy.mil/faq/sun_approx),
true to about an arc minute within two centuries of 2000; refraction is left out. Irradiance of a clear sky after
B. Haurwitz, J. Meteorology 2 (1945) 154, in the form of Reno, Hansen & Stein, SAND2012-2389; clouds after F. Kasten &
G. Czeplak, Solar Energy 24 (1980) 177.
"""

from __future__ import annotations

from math import asin, atan2, cos, degrees, exp, pow, radians, sin

J2000_S = 946_728_000.0
"""2000-01-01 12:00 UTC, seconds since the Unix epoch"""
DAY_S = 86_400.0


def elevation_deg(at_s: float, lat_deg: float, lon_deg: float) -> float:
    """Degrees of the sun's centre above the horizon. `at_s` in seconds since the Unix epoch."""
    days = (at_s - J2000_S) / DAY_S
    anomaly = radians(357.529 + 0.98560028 * days)
    mean_longitude_deg = 280.459 + 0.98564736 * days
    longitude = radians(mean_longitude_deg + 1.915 * sin(anomaly) + 0.020 * sin(2.0 * anomaly))
    obliquity = radians(23.439 - 0.00000036 * days)
    right_ascension_deg = degrees(atan2(cos(obliquity) * sin(longitude), cos(longitude)))
    declination = asin(sin(obliquity) * sin(longitude))
    # The equation of time: how far the apparent sun is ahead of the mean one, which is in the south at noon.
    ahead_deg = mean_longitude_deg - right_ascension_deg
    hour_angle = radians(360.0 * (at_s % DAY_S) / DAY_S - 180.0 + lon_deg + ahead_deg)
    lat = radians(lat_deg)
    return degrees(asin(sin(lat) * sin(declination) + cos(lat) * cos(declination) * cos(hour_angle)))


def irradiance_w_m2(elevation: float, cloud_cover: float = 0.0) -> float:
    """Direct and diffuse light on level ground. `elevation` in degrees, `cloud_cover` 0 (clear) to 1 (overcast)."""
    height = sin(radians(elevation))
    if height <= 0.0:
        return 0.0
    return 1098.0 * height * exp(-0.059 / height) * (1.0 - 0.75 * pow(cloud_cover, 3.4))
