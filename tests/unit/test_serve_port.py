import socket
from pathlib import Path

import pytest

from hub2triton.error import ServeError, UsageError
from hub2triton.serve.options import Options
from hub2triton.serve.port import Port, check, ports


def test_a_taken_port_names_the_flag_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(ServeError) as error:
            check([Port("127.0.0.1", number, "--grpc-port", "--triton-host")])
    message = str(error.value)
    assert f"Port {number} (--grpc-port) is taken" in message
    assert "HUB2TRITON_GRPC_PORT=N" in message
    assert error.value.exit_code == 6


def test_a_port_taken_on_all_addresses_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = Port("127.0.0.1", taken.getsockname()[1], "--port", "--host")
        with pytest.raises(ServeError, match="is taken"):
            check([port])


def test_a_free_port_is_given_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        number = chosen.getsockname()[1]
    port = Port("127.0.0.1", number, "--port", "--host")
    check([port])
    check([port])


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ServeError, match=r"'192\.0\.2\.1' is not an address of this machine.*--host"):
        check([Port("192.0.2.1", 8080, "--port", "--host")])


def test_one_number_for_two_flags() -> None:
    with pytest.raises(UsageError, match="--port and --http-port are both 8000"):
        check(ports(Options(Path(), port=8000)))


def test_without_a_shim_its_port_is_not_wanted() -> None:
    assert [port.flag for port in ports(Options(Path(), shim=False))] == [
        "--http-port",
        "--grpc-port",
        "--metrics-port",
    ]
