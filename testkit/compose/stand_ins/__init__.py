"""What stands in for the public images that Dockerfiles and docker-compose.yml name."""
