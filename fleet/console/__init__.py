"""The web console: static files only, served by `fleet.api`; no build step."""
