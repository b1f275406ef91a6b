"""Configuration: one `fleet.yaml`, read into the domain's values or refused with every problem in it at once."""

from fleet.config.airspace import load_airspace
from fleet.config.load import load_config
from fleet.config.paths import data_dir
from fleet.config.problems import ConfigError, Problem
from fleet.config.values import (
    ApiConfig,
    ApiToken,
    AuthenticatedLink,
    Driver,
    FleetConfig,
    Handling,
    MqttConfig,
    Profile,
    RecordingConfig,
    Weather,
)

__all__ = [
    "ApiConfig",
    "ApiToken",
    "AuthenticatedLink",
    "ConfigError",
    "Driver",
    "FleetConfig",
    "Handling",
    "MqttConfig",
    "Problem",
    "Profile",
    "RecordingConfig",
    "Weather",
    "data_dir",
    "load_airspace",
    "load_config",
]
