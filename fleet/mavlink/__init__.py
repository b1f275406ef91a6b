"""MAVLink 2: sans-IO protocol machines, the UDP link, and the vehicle port the sessions command through."""
