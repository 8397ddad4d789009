"""Links in payloads: which are followed, and what becomes of those that must not be."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hub2triton.shim import links
from hub2triton.shim.failure import Failure
from hub2triton.shim.links import Links, is_public
from hub2triton.tasks.media import Link
from hub2triton.tasks.spec import Call

CONTENT = b"\x89PNG, or nearly"
LIMIT = 1000


class Files(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers["host"]))
        path = self.path.partition("?")[0]
        if path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", path.removeprefix("/to/"))
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = {"/file": CONTENT, "/empty": b"", "/large": b"x" * (LIMIT + 1)}.get(path)
        if path == "/slow":
            threading.Event().wait(0.5)
        self.send_response(404 if body is None else 200)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # whoever asked has had enough
            self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def files() -> Iterator[str]:
    """A server of files on this machine: its host and port."""
    Files.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def call(*urls: str) -> Call:
    return Call([{"image": Link(url), "question": "?"} for url in urls], {}, lambda *_: None)


def anywhere(_address: object) -> bool:
    return True


async def fetched(allowed: tuple[str, ...], *urls: str) -> list[Any]:
    found = await Links(allowed, LIMIT, permitted=anywhere).followed(call(*urls))
    return [row["image"] for row in found.rows]


async def refusal(allowed: tuple[str, ...], url: str, **rules: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        await Links(allowed, LIMIT, **rules).followed(call(url))
    assert "\n" not in str(caught.value)
    return caught.value


async def test_the_content_stands_in_place_of_the_link(files: str) -> None:
    found = await Links((files,), LIMIT, permitted=anywhere).followed(call(f"http://{files}/file?key=1"))
    assert found.rows == [{"image": CONTENT, "question": "?"}]
    assert Files.asked == [("/file?key=1", files)]


async def test_the_same_link_is_fetched_once_for_all_rows(files: str) -> None:
    url = f"http://{files}/file"
    assert await fetched((files,), url, url, f"http://{files}/file?other") == [CONTENT] * 3
    assert len(Files.asked) == 2


async def test_a_call_without_links_is_left_as_it_is() -> None:
    plain = Call([{"image": b"x"}], {}, lambda *_: None)
    assert await Links((), LIMIT).followed(plain) is plain


async def test_without_allowed_hosts_no_link_is_followed(files: str) -> None:
    failure = await refusal((), f"http://{files}/file")
    assert failure.status == 400
    assert "--allow-urls" in str(failure)
    assert Files.asked == []


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        (("example.org",), "http://127.0.0.1:1/file"),
        (("example.org",), "http://evil.org/file"),
        (("*.example.org",), "http://example.org.evil.org/"),
        (("example.org",), "http://example.org:8080/"),  # another port is another service
        (("example.org",), "http://example.org@evil.org/"),
        (("example.org",), "http://evil.org#@example.org/"),
        (("example.org",), "http://evil.org\\@example.org/"),
        (("example.org",), "http://[::1"),
        (("*",), "http://example.org:8080/"),
        (("example.org:80",), "http://example.org:8080/"),
        (("*",), "http://"),
        (("*",), "https://user:secret@example.org/"),
    ],
)
async def test_other_hosts_are_refused(allowed: tuple[str, ...], url: str) -> None:
    failure = await refusal(allowed, url, permitted=anywhere)
    assert failure.status == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "0x7f.1"])
async def test_an_allowed_name_does_not_open_this_machine(files: str, host: str) -> None:
    port = files.partition(":")[2]
    failure = await refusal(("*", f"*:{port}"), f"http://{host}:{port}/file")
    assert failure.status == 400
    assert "not public" in str(failure) or "could not be read" in str(failure)
    assert Files.asked == []


async def test_a_redirection_is_held_to_the_same_rules(files: str) -> None:
    assert await fetched((files,), f"http://{files}/to//file") == [CONTENT]
    other = f"http://localhost:{files.partition(':')[2]}/file"
    failure = await refusal((files,), f"http://{files}/to/{other}", permitted=anywhere)
    assert "fetches nothing from localhost" in str(failure)
    assert Files.asked[-1][0].startswith("/to/")
    failure = await refusal((files,), f"http://{files}/to/file:///etc/passwd", permitted=anywhere)
    assert failure.status == 400


async def test_a_redirection_to_an_inner_address_is_refused(files: str) -> None:
    port = files.partition(":")[2]
    rules = {"permitted": lambda address: str(address) == "127.0.0.1"}
    failure = await refusal(("*", f"*:{port}"), f"http://{files}/to/http://169.254.169.254/latest", **rules)
    assert "not public" in str(failure)


async def test_endless_redirections_end(files: str) -> None:
    circle = "/to/" * 20
    failure = await refusal((files,), f"http://{files}{circle}", permitted=anywhere)
    assert "redirects more than 5 times" in str(failure)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [("/none", 400, "HTTP 404"), ("/empty", 400, "empty"), ("/large", 413, "1,000 bytes")],
)
async def test_a_link_to_nothing_or_too_much(files: str, path: str, status: int, says: str) -> None:
    failure = await refusal((files,), f"http://{files}{path}?token=secret", permitted=anywhere)
    assert failure.status == status
    assert says in str(failure)
    assert "secret" not in str(failure)


async def test_a_slow_link_is_given_up(files: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "TIMEOUT_S", 0.1)
    failure = await refusal((files,), f"http://{files}/slow", permitted=anywhere)
    assert failure.status == 400
    assert "not read within" in str(failure)


class ConnectedError(Exception):
    """Stands for a connection; its text is the address."""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What a name server says from one question to the next; nothing is connected to."""
    answers: list[list[str]] = []

    async def looked_up(_loop: object, _host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in answers.pop(0)]

    async def connect(_backend: object, host: str, *_: Any) -> None:
        raise ConnectedError(host)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", looked_up)
    monkeypatch.setattr(links.httpcore.AnyIOBackend, "connect_tcp", connect)
    return answers


async def test_a_name_is_looked_up_once_and_what_it_gave_is_connected_to(names: list[list[str]]) -> None:
    names += [["93.184.215.14"], ["127.0.0.1"]]
    with pytest.raises(ConnectedError, match=r"93\.184\.215\.14"):
        await Links(("*",), LIMIT).followed(call("http://rebinding.example/file"))
    assert names == [["127.0.0.1"]]


@pytest.mark.parametrize("addresses", [["93.184.215.14", "127.0.0.1"], ["10.0.0.1"], []], ids=str)
async def test_a_name_with_an_inner_address_among_others_is_refused(
    names: list[list[str]], addresses: list[str]
) -> None:
    names.append(addresses)
    assert "not public" in str(await refusal(("*",), "http://mixed.example/file"))


async def test_nobody_listens() -> None:
    failure = await refusal(("127.0.0.1:1",), "http://127.0.0.1:1/file", permitted=anywhere)
    assert failure.status == 400
    assert "could not be read" in str(failure)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
