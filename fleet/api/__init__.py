"""The HTTP API (and the console's files): a thin shell over `fleet.service.FleetService`."""
