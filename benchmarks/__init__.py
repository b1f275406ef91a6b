"""How fast it is, side by side with a peer where there is one: `python -m benchmarks.NAME`."""
