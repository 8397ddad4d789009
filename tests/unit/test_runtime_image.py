"""Images of all kinds of files, read as transformers reads them where that is what people see."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from tests import media
from tests.unit.conftest import Encoders
from transformers.image_utils import load_image

from hf_runtime.error import InvalidInput
from hf_runtime.image import FORMATS, MAX_PIXELS, MAX_RATIO, ImageReader, decode, encode
from hf_runtime.row import Row
from hub2triton.tasks.media import base64_of

PHOTO = media.photo()
SCRIPT = """
import pathlib, resource, sys
from hf_runtime.error import InvalidInput
from hf_runtime.image import decode
content = pathlib.Path(sys.argv[1]).read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(content)
except InvalidInput as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def array(image: Image.Image) -> media.Array:
    return np.asarray(image, dtype=np.int16)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", media.IMAGE_FILES)
def test_every_kind_of_file_is_read_as_transformers_does(kind: str) -> None:
    content = media.image_file(PHOTO, kind)
    found = decode(content)
    assert found.mode == "RGB"
    assert found.size == PHOTO.size
    assert (array(found) == array(load_image(base64_of(content)))).all()
    if kind in ("png", "png-alpha", "webp-alpha", "bmp", "tiff", "ppm"):  # the pixels of transparent ones, too
        assert (array(found) == array(PHOTO)).all()
    elif kind not in ("jpeg-grey", "png-grey", "png-grey-alpha", "png-black-and-white", "png-palette", "gif"):
        assert np.abs(array(found) - array(PHOTO)).mean() < 20


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(kind: str, orientation: int) -> None:
    content = media.image_file(PHOTO, kind, orientation=orientation)
    found = decode(content)
    assert found.size == (PHOTO.size if orientation < 5 else PHOTO.size[::-1])
    assert (array(found) == array(load_image(base64_of(content)))).all()
    turn = {6: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180, 8: Image.Transpose.ROTATE_90}
    if orientation in turn and kind == "png":
        assert (array(found) == array(PHOTO.transpose(turn[orientation]))).all()


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01"]
)
def test_damaged_exif_data_do_no_harm(exif: bytes) -> None:
    content = saved(PHOTO, "JPEG", exif=exif)
    assert (array(decode(content)) == array(decode(saved(PHOTO, "JPEG")))).all()


def test_sixteen_bits_are_scaled_and_not_cut() -> None:
    """As transformers' loading cuts them: all above 255 would be white."""
    ramp = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    for form in ("PNG", "TIFF", "PPM"):
        found = array(decode(saved(Image.fromarray(ramp), form)))
        assert np.abs(found[..., 0] - ramp / 257).max() <= 1, form
    assert (array(load_image(base64_of(saved(Image.fromarray(ramp), "PNG")))) == 255).mean() > 0.9


def test_transparent_colours_of_a_palette_stay() -> None:
    image = PHOTO.quantize(16)
    content = saved(image, "PNG", transparency=3)
    assert (array(decode(content)) == array(image.convert("RGB"))).all()


def test_of_an_animation_the_first_image_is_taken() -> None:
    frames = [media.photo(seed=seed) for seed in range(3)]
    for form, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        content = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
        expected = decode(saved(frames[0], form, **options))
        assert (array(decode(content)) == array(expected)).all(), form
        assert (array(decode(content)) != array(frames[1])).any()


def test_pictures_of_telephones_with_a_second_one_inside() -> None:
    content = saved(PHOTO, "MPO", save_all=True, append_images=[media.photo(seed=1)])
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "MPO"
    assert (array(decode(content)) == array(decode(saved(PHOTO, "JPEG")))).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (3, 50), (50, 1)])
def test_small_images_are_images(size: tuple[int, int]) -> None:
    image = media.photo(*size)
    assert (array(decode(media.image_file(image))) == array(image)).all()


# ---- what is refused


@pytest.mark.parametrize("kind", media.IMAGE_FILES)
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_file_that_is_cut_short_is_refused(kind: str, part: float) -> None:
    content = media.image_file(media.photo(200, 160), kind)
    with pytest.raises(InvalidInput, match=r"cut short|no image"):
        decode(content[: int(part * len(content))])


def test_a_truncated_jpeg_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    content = media.image_file(PHOTO, "jpeg")
    with pytest.raises(InvalidInput, match=r"the image is damaged or cut short \(.+\); send the whole file"):
        decode(content[:-200])
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    "content",
    [
        b"a text that is no image",
        b"",
        b"\0" * 1000,
        b"\xff\xd8\xff",
        b"GIF89a",
        b"%PDF-1.4\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"RIFF\x24\0\0\0WAVEfmt ",
    ],
)
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="the bytes are no image; send one as JPEG, PNG") as caught:
        decode(content)
    assert "0x" not in str(caught.value)  # Pillow would tell an object's place in memory


@pytest.mark.parametrize("form", ["EPS", "ICO", "PDF", "PCX", "SGI", "TGA", "JPEG2000", "ICNS"])
def test_other_formats_are_not_read(form: str) -> None:
    """EPS starts Ghostscript; icons hold images of other sizes than they say."""
    content = saved(PHOTO, form)
    assert form not in FORMATS
    with pytest.raises(InvalidInput, match="the bytes are no image"):
        decode(content)


def test_no_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_args: object, **_options: object) -> None:
        raise AssertionError("a program was started")

    for place, name in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn")):
        monkeypatch.setattr(place, name, never)
    with pytest.raises(InvalidInput):
        decode(saved(PHOTO, "EPS"))


def test_the_limit_of_pixels_is_the_operators() -> None:
    content = media.image_file(PHOTO)
    assert decode(content, max_pixels=2000).size == (50, 40)
    with pytest.raises(InvalidInput, match=r"50 x 40 pixels; this model takes at most 1,999 pixels \(max_image_pixels"):
        decode(content, max_pixels=1999)


@pytest.fixture
def reader(encoders: Encoders) -> Callable[..., ImageReader]:
    settings = encoders.settings(Path("model"))
    return lambda **parameters: ImageReader(dataclasses.replace(settings, parameters=parameters))


def test_a_reader_reads_rows(reader: Callable[..., ImageReader]) -> None:
    row = Row({"image": np.array([media.image_file(PHOTO)], dtype=np.object_)}, 1000)
    assert reader().max_pixels == MAX_PIXELS
    assert (array(reader().read(row)) == array(PHOTO)).all()
    with pytest.raises(InvalidInput, match="at most 1,999 pixels"):
        reader(max_image_pixels="1999").read(row)
    with pytest.raises(ValueError, match=r"max_image_pixels in config\.pbtxt must be a whole number"):
        reader(max_image_pixels="many")


def test_a_mere_line_is_refused() -> None:
    assert decode(media.image_file(media.photo(MAX_RATIO, 1))).size == (MAX_RATIO, 1)
    for size in ((MAX_RATIO + 1, 1), (1, MAX_RATIO + 1)):
        with pytest.raises(InvalidInput, match=f"one side may be at most {MAX_RATIO} times as long as the other"):
            decode(media.image_file(media.photo(*size)))


def bomb() -> bytes:
    content = media.png_bomb(25_000, 20_000)
    assert len(content) < 2_000_000
    return content


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: media.png_header(25_000, 20_000), "25000 x 20000 pixels"),
        (lambda: media.png_header(2**31 - 1, 2**31 - 1), "pixels"),
        (bomb, "25000 x 20000 pixels"),
        (lambda: b"GIF89a\xff\xff\xff\xff\0\0\0," + b"\0" * 4 + b"\xff\xff\xff\xff\0\x02\x02L\x01\0;", "65535 x 65535"),
        (lambda: b"P6 60000 60000 255\n", "60000 x 60000"),
    ],
    ids=["a header alone", "the largest header", "a bomb", "gif", "ppm"],
)
def test_large_images_are_refused_without_memory(make: Callable[[], bytes], words: str, tmp_path: Path) -> None:
    """In a process of its own, whose memory tells what was decoded: 500 megapixels are 1.5 GB."""
    place = tmp_path / "image"
    place.write_bytes(make())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, place], check=True, capture_output=True, text=True, env=environment
    )
    kib, _, message = done.stdout.partition(" ")
    assert words in message
    assert int(kib) < 20_000


def test_threads_read_at_the_same_time() -> None:
    contents = [media.image_file(media.photo(300, 200, seed), kind) for seed, kind in enumerate(media.IMAGE_FILES)]
    expected = [array(decode(content)) for content in contents]
    found: dict[int, media.Array] = {}

    def read(index: int) -> None:
        found[index] = array(decode(contents[index]))

    threads = [threading.Thread(target=read, args=(index,)) for index in range(len(contents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[index] == expected[index]).all() for index in range(len(contents)))


def test_written_images_are_read_back() -> None:
    assert (array(decode(encode(PHOTO))) == array(PHOTO)).all()
    assert encode(PHOTO).startswith(b"\x89PNG")
