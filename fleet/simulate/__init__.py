"""Composes the controller with the simulator, for the commands that start a simulation: demo, sim and scenario."""
