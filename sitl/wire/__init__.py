"""MAVLink 2 as a PX4 vehicle speaks it: frames, streams, mission and parameter protocols, UDP."""
