"""The ports that servers on this machine get."""

import socket

import pytest

from infra.local.processes import ServerFailed, free_port

# Where Linux begins with the ports that it gives to whoever calls others: ip_local_port_range.
FIRST_OF_CALLERS = 32768


def test_a_port_is_none_that_a_caller_may_get():
    """A server is started again on the port that it had. Meanwhile somebody's connection could sit there."""
    assert all(1024 < free_port() < FIRST_OF_CALLERS for _ in range(100))


def test_no_port_is_found_twice():
    """RabbitMQ gets three before it listens on the first."""
    assert len({free_port() for _ in range(200)}) == 200


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch):
    """Nor is it on all addresses together, of which this is one."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        free = free_port()
        monkeypatch.setattr("infra.local.processes._PORTS", iter([taken.getsockname()[1], free]))

        assert free_port("0.0.0.0") == free


def test_an_address_of_another_machine_is_told():
    """There no port will ever be free. 192.0.2.1 is nobody's: RFC 5737."""
    with pytest.raises(ServerFailed, match=r"192\.0\.2\.1"):
        free_port("192.0.2.1")
