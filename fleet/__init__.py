"""The running controller: MAVLink link, sessions, cold-box feed, store, records, API, console and CLI."""
