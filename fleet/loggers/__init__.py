"""Files of temperature loggers: any export as text in columns, read into times and °C or refused with the line."""

from fleet.loggers.errors import LogError
from fleet.loggers.layouts import LAYOUTS, Layout
from fleet.loggers.reading import LogFile, Options, read_log

__all__ = ["LAYOUTS", "Layout", "LogError", "LogFile", "Options", "read_log"]
