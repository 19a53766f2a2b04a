"""POST /predict: images as bodies or parts of a form, answered as `mobilenets predict --json` prints them."""

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..errors import ImageError, printable
from ..runtime import PredictedImage
from .engine import Done, Engine
from .messages import JSON, Refused, Request, Response
from .metrics import Metrics
from .served import Served

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["predict_images"]

MAX_PARTS = 1000

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # its warnings are the errors that clients get


async def predict_images(request: Request, model: Served, engine: Engine, metrics: Metrics) -> Response:
    """Return the predictions for the images of a request.

    An image that cannot be decoded has its error beside the others; where there is no other, it is the response's.
    """
    top = _whole(request.query["top"], "top") if "top" in request.query else model.task.top
    images = _images(request.header(b"content-type"), await request.body())
    if len(images) > engine.most:
        raise Refused(413, f"{len(images)} images, at most {engine.most} may wait (--max-queue)")
    request.images = len(images)
    futures = request.scope["futures"] = engine.submit(
        [partial(model.predict, name, data, top) for name, data in images]
    )
    if len(futures) == 1:
        done: list[Done | ImageError] = [await futures[0]]
    else:
        done = [_done_or_error(one) for one in await asyncio.gather(*futures, return_exceptions=True)]
    good = [one for one in done if isinstance(one, Done)]
    if not good:
        raise Refused(415, f"no part is an image that can be decoded: {done[0]}")
    answers, waited = [one.result for one in good], max(one.waited for one in good)
    metrics.predicted(model.name, answers, waited)
    lines = [
        one.result.line if isinstance(one, Done) else json.dumps(PredictedImage(name, None, str(one)).to_dict())
        for (name, _), one in zip(images, done, strict=True)
    ]
    decode, network = sum(one.decode for one in answers), sum(one.network for one in answers)
    timing = f"queue;dur={waited * 1e3:.3f}, decode;dur={decode * 1e3:.3f}, network;dur={network * 1e3:.3f}"
    return Response(200, as_printed(lines), [JSON, (b"server-timing", timing.encode())])


def _done_or_error(one: Done | BaseException) -> Done | ImageError:
    if isinstance(one, Done | ImageError):
        return one
    raise one


def as_printed(lines: Sequence[str]) -> bytes:
    """Return predictions as `mobilenets predict --json` prints them."""
    return ('{"predictions": [\n' + "\n,\n".join(lines) + "\n]}\n").encode()


def _whole(text: str, name: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise Refused(400, f"{name} (={text}) must be a whole number of at least 1")
    return int(text)


def _images(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Return (name, content) of each image of a body."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        if not body:
            raise Refused(400, "the body is empty: it must be an image, or a form with images")
        return [("image 0", body)]
    if not (boundary := options.get(b"boundary", b"")):
        raise Refused(400, "content-type multipart/form-data must state its boundary")
    images = _parts(boundary, body)
    if not images:
        raise Refused(400, "the form holds no image")
    return images


def _parts(boundary: bytes, body: bytes) -> list[tuple[str, bytes]]:
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError) as exc:
        raise Refused(400, f"the form cannot be read: {exc}") from exc
    if not form.ended:
        raise Refused(400, "the form ends before its last boundary")
    return form.images


class _Form:
    """Collects the parts of a form that python-multipart finds."""

    def __init__(self) -> None:
        self.images: list[tuple[str, bytes]] = []
        self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.images) >= MAX_PARTS:
            raise ValueError(f"more than {MAX_PARTS} parts")
        self._name, self._header, self._text, self._content = "", b"", b"", bytearray()

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._text += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = parse_options_header(self._text)[1].get(b"filename", b"")
            self._name = printable(name.decode("utf-8", "replace"))
        self._header = self._text = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _end(self) -> None:
        self.images.append((self._name or f"image {len(self.images)}", bytes(self._content)))

    def _finish(self) -> None:
        self.ended = True
