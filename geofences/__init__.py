"""Where one may fly: geodesy, heights with datum, zones in four dimensions, airspace snapshots and file formats.

Pure: no clock, no socket, no file is read here; codecs take text and return values. Imports nothing of ours.
"""
