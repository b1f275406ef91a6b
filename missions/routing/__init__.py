"""Routes through airspace: the planner, the checker that is written apart from it, and the watch on a flown plan."""
