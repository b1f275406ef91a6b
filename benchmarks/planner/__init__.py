"""Routing and airspace, measured: `python -m benchmarks.planner`."""
