"""What to fly and what to do: orders, vehicles, cold chain, energy, routing, plans, dispatch and decisions.

Pure: every function that depends on time takes it as an argument. Imports `geofences` only.
"""
