"""Right requests made wrong: JSON with other values, other bytes or another encoding, and files that are damaged."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

from benchmarks.callers import JSON, Request
from tests import fuzz

from hub2triton import tasks
from hub2triton.tasks.media import base64_of
from hub2triton.tasks.spec import Media

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Change = Callable[[random.Random, Any], bytes]
    """Makes a body of a right one."""

RAW = "@RAW@"
"""Stands for a text that is no JSON, or none that json.dumps would write."""

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**64), 1e308, 5e-324, "", " ", "\u0000", "a", "\U0001f642"),
    *("null", "../../etc/passwd", "http://localhost/x", "data:,", "[MASK]", "{}", "é" * 3000, [], {}, [[]], [None]),
    *({"": ""}, {"a": {"b": []}}, ["a"] * 300, [["a"]], [{"inputs": "a"}], {"inputs": "a"}, [0.5] * 20, [True, "a", 1]),
)
ODD_RAW = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0", "0.1e-999", "9" * 5000, "1" + "0" * 400, "01", "+1"),
    *(r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', '"\x00"', '"\t\n"', r'"\x"', '"', "'a'", "undefined", "", ","),
    *("[" * 200 + "]" * 200, "[" * 100_000, '{"a":' * 1000 + "1" + "}" * 1000, "[" * 990 + "]" * 990),
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "utf-7", "cp037")
TYPES = (
    *(
        "",
        JSON,
        "application/json; charset=utf-16",
        "text/plain",
        "text/html",
        "image/png",
        "audio/wav",
        "image/svg+xml",
    ),
    *("application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=a", "application/xml"),
    *("application/octet-stream", "image/svg+xml", "nothing", "/", ";", "application/vnd.api+json", "video/mp4"),
)
QUERIES = ("", "", "", "?", "?a", "?parameters=", "?top_k=-1", "?top_k=x", "?%00=%ff", "?threshold=nan", "?inputs=a")
FIELDS = (0, 1, 0x7F, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def requests(path: str, seed: int) -> Iterator[Request]:
    """Wrong requests to a route, without end; the same ones for the same seed.

    Args:
        path: One of fuzz.PATHS.
        seed: Of what is drawn.
    """
    draw = random.Random(f"{path} {seed}")
    spec = tasks.find(path.removeprefix("/models/")) or next(spec for spec in tasks.SPECS if spec.endpoint(path))
    endpoint = spec.endpoint(path)
    example = {"model": spec.name, **endpoint.schema.example} if endpoint else dict(spec.example)
    media = spec.media if endpoint is None else None
    files = fuzz.files(media) if media else []
    while True:
        if media and draw.random() < 0.6:
            yield _of_file(draw, path, example, media, draw.choice(files))
        else:
            body = draw.choice(CHANGES)(draw, _small(copy.deepcopy(example), path))
            kind = JSON if draw.random() < 0.8 else draw.choice(TYPES)
            yield Request(path + draw.choice(QUERIES), body, kind)


def damaged(draw: random.Random, file: bytes) -> bytes:
    """A file with one to three faults."""
    for _ in range(draw.randint(1, 3)):
        file = draw.choice(FAULTS)(draw, file)
    return file


# ---- files


def _of_file(draw: random.Random, path: str, example: Mapping[str, Any], media: Media, file: bytes) -> Request:
    file = damaged(draw, file)
    kind = draw.choice((*media.types, "", "image/png", "audio/wav")).replace("*", "x")
    if draw.random() < 0.5:
        usual = "candidate_labels=a&question=who" if draw.random() < 0.8 else "x"
        named = "&".join(part for part in usual.split("&") if part.partition("=")[0] in fuzz.parameters(path))
        return Request(f"{path}?{named}" if named else path, file, kind)
    inputs, sent = example.get("inputs"), base64_of(file)
    told: Any = {**inputs, "image": sent} if isinstance(inputs, dict) else sent
    if draw.random() < 0.2:
        told = [told, told]
    return Request(path, json.dumps(_small({**example, "inputs": told}, path)).encode())


def _flipped(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _flipped_head(draw: random.Random, data: bytes) -> bytes:
    return _flipped(draw, data[:64]) + data[64:]


def _cut(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _field(draw: random.Random, data: bytes) -> bytes:
    """Another number where a header may have one."""
    width = draw.choice((1, 2, 4))
    place = draw.randrange(min(len(data), 256) + 1)
    number = draw.choice(FIELDS) & (2 ** (8 * width) - 1)
    return data[:place] + number.to_bytes(width, draw.choice(("little", "big"))) + data[place + width :]


def _repeated(draw: random.Random, data: bytes) -> bytes:
    begin, end = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[begin:end] * draw.randint(0, 3) + data[end:]


def _without(draw: random.Random, data: bytes) -> bytes:
    begin, end = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    return data[:begin] + data[min(end, begin + 64) :]


FAULTS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flipped,
    _flipped_head,
    _cut,
    _field,
    _field,
    _repeated,
    _without,
)


# ---- JSON


def _small(body: Any, path: str) -> Any:
    """The body, asking for little of what takes long."""
    little = {name: value for name, value in fuzz.USUAL.items() if name in fuzz.MOST and name in fuzz.parameters(path)}
    if little and isinstance(body, dict):
        if path.startswith("/models/"):
            body["parameters"] = {**(body.get("parameters") or {}), **little}
        else:
            body |= little
    return body


def _replaced(draw: random.Random, body: Any, value: Any) -> Any:
    """The body with a value at some place of it; but not where a large number would only take long."""
    places: list[tuple[Any, Any]] = [
        (parent, key)
        for parent in _containers(body)
        for key in (parent if isinstance(parent, dict) else range(len(parent)))
        if key not in fuzz.MOST
    ]
    parent, key = draw.choice(places)
    parent[key] = value
    return body


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for item in list(value.values()) if isinstance(value, dict) else value:
            yield from _containers(item)


def _odd(draw: random.Random, body: Any) -> bytes:
    return json.dumps(_replaced(draw, body, draw.choice(ODD)), ensure_ascii=draw.random() < 0.5).encode()


def _odd_raw(draw: random.Random, body: Any) -> bytes:
    return json.dumps(_replaced(draw, body, RAW)).replace(f'"{RAW}"', draw.choice(ODD_RAW)).encode()


def _odd_parameter(draw: random.Random, body: Any) -> bytes:
    """A parameter of any task, with a value of any kind."""
    name = draw.choice(sorted({each.name for spec in tasks.SPECS for each in spec.parameters} - fuzz.MOST.keys()))
    place = body["parameters"] if isinstance(body.get("parameters"), dict) else body.setdefault("parameters", {})
    (place if draw.random() < 0.7 else body)[name] = draw.choice(ODD)
    return json.dumps(body).encode()


def _other_keys(draw: random.Random, body: Any) -> bytes:
    found = draw.choice([each for each in _containers(body) if isinstance(each, dict)])
    if found and draw.random() < 0.5:
        key = draw.choice(list(found))
        found[key + draw.choice(("", "s", " "))] = found.pop(key)
    else:
        found |= {f"key {number}": number for number in range(draw.choice((1, 3000)))}
    return json.dumps(body).encode()


def _many(draw: random.Random, body: Any) -> bytes:
    """More of it than is sensible."""
    key = next((key for key in ("inputs", "input", "prompt", "query", "messages") if key in body), None)
    if key is not None:
        body[key] = [body[key]] * draw.choice((2, 40)) if draw.random() < 0.5 else [body[key], draw.choice(ODD)]
    return json.dumps(body).encode()


def _other_bytes(draw: random.Random, body: Any) -> bytes:
    return draw.choice((_flipped, _cut, _without))(draw, json.dumps(body).encode())


def _other_encoding(draw: random.Random, body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode(draw.choice(ENCODINGS), errors="replace")


def _no_object(draw: random.Random, body: Any) -> bytes:
    choices = (b"", b" ", b"null", b"[]", b"{}", b'"a"', b"0", b"\x00", b"\xff\xfe", b"--a\r\n\r\na\r\n--a--", b"a=b&c")
    return draw.choice((*choices, json.dumps([body]).encode(), json.dumps(json.dumps(body)).encode()))


CHANGES: tuple[Change, ...] = (
    _odd,
    _odd,
    _odd_raw,
    _odd_parameter,
    _odd_parameter,
    _other_keys,
    _many,
    _other_bytes,
    _other_encoding,
    _no_object,
)
