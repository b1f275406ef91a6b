"""Configuration: one `fleet.yaml`, read into the domain's values or refused with every problem in it at once."""

from fleet.config.airspace import load_airspace
from fleet.config.load import load_config
from fleet.config.paths import data_dir
from fleet.config.problems import ConfigError, Problem
from fleet.config.values import ApiConfig, ApiToken, FleetConfig, Handling, MqttConfig, Weather

__all__ = [
    "ApiConfig",
    "ApiToken",
    "ConfigError",
    "FleetConfig",
    "Handling",
    "MqttConfig",
    "Problem",
    "Weather",
    "data_dir",
    "load_airspace",
    "load_config",
]
