"""A client of a console's API: `Client`, and `ClientError` for everything that goes wrong."""

from groundswell.client.api import Client
from groundswell.client.errors import ClientError

__all__ = ["Client", "ClientError"]
