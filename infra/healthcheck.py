"""The health checks of our images, asked inside a container: python -m infra.healthcheck http|broker.

`http`: the server on PORT answers /healthz. `broker`: a connection to the server in AMQP_URL is open. Its process
restores a lost one by itself, so what fails this check is not to be killed for it.
"""

import http.client
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

_TIMEOUT_S = 4
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_AMQP_PORTS = {"amqp": 5672, "amqps": 5671}


def main() -> int:
    """Return 0 if all is well, and 1 with a word on standard error if not."""
    checks: Mapping[str, Callable[[Mapping[str, str]], str | None]] = {"http": check_http, "broker": check_broker}
    if len(sys.argv) != 2 or sys.argv[1] not in checks:
        print(f"Say what to check: {' or '.join(checks)}.", file=sys.stderr)
        return 1
    wrong = checks[sys.argv[1]](os.environ)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


def check_http(environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with the server of this container, if anything is."""
    port = environ.get("PORT", "")
    if not port.isdecimal():
        return "PORT is not set to a number."
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=_TIMEOUT_S)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, OverflowError, http.client.HTTPException) as error:
        return f"Nobody answers on port {port}: {error!r}"
    return None if status == 200 else f"/healthz answers {status}."


def check_broker(environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with the connections of this container to the broker, if anything is."""
    try:
        url = urlsplit(environ["AMQP_URL"])
        port = url.port or _AMQP_PORTS[url.scheme]
    except (LookupError, ValueError):
        # Not even the cause is told: it could quote the password.
        return "AMQP_URL is not set to the URL of a broker."
    # See proc_net_tcp in the kernel's documentation: the third and the fourth are the other side and the state.
    rows = [line.split() for table in _TABLES if table.exists() for line in table.read_text().splitlines()[1:]]
    if any(row[3] == _ESTABLISHED and int(row[2].rpartition(":")[2], 16) == port for row in rows):
        return None
    return f"There is no connection to port {port}, which AMQP_URL names."


if __name__ == "__main__":
    sys.exit(main())
