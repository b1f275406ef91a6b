"""How multirotors move and what that costs: the state of all vehicles in numpy arrays."""
