"""The broker of the stack that chaos breaks, behind its proxy."""

from __future__ import annotations

from services.local.child import Command
from services.local.kafka_server import KafkaServer
from services.local.ports import LOOPBACK


class ProxiedKafka(KafkaServer):
    """A broker that tells its clients the address of a proxy instead of its own."""

    advertised_port = 0

    def command(self) -> Command:
        """Return the broker's command, with the proxy's port in its properties."""
        command = super().command()
        properties = self.directory / "server.properties"
        own = f"advertised.listeners=BROKER://{LOOPBACK}:{self.port}"
        text = properties.read_text()
        if own not in text:
            raise RuntimeError(f"{properties}: expected the line {own}")
        properties.write_text(
            text.replace(own, f"advertised.listeners=BROKER://{LOOPBACK}:{self.advertised_port}")
        )
        return command
