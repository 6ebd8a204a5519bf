"""The stack of docker-compose.yml on an engine of its own: `make compose-test`."""
