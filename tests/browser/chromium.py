"""Chromium from the operating system's packages, and what the browser tests look at with it.

Where it is missing the tests are skipped with a message, and fail where CI is set: there it has to be installed.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
HERE = Path(__file__).resolve().parent
CELLS = (24, 18)
"""What a picture is blurred to before it is compared: fonts differ from machine to machine, the layout does not."""

_SHRINK = """async ([picture, wide, high]) => {
  const image = new Image();
  image.src = "data:image/png;base64," + picture;
  await image.decode();
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [image.width, image.height];
  context.drawImage(image, 0, 0);
  const from = context.getImageData(0, 0, image.width, image.height).data;
  const sums = new Float64Array(wide * high * 4), counts = new Float64Array(wide * high);
  for (let y = 0; y < image.height; y++) for (let x = 0; x < image.width; x++) {
    const cell = Math.floor(y * high / image.height) * wide + Math.floor(x * wide / image.width);
    counts[cell] += 1;
    for (let part = 0; part < 4; part++) sums[cell * 4 + part] += from[(y * image.width + x) * 4 + part];
  }
  const pixels = [...sums].map((sum, place) => Math.round(sum / counts[Math.floor(place / 4)]));
  [canvas.width, canvas.height] = [wide, high];
  context.putImageData(new ImageData(new Uint8ClampedArray(pixels), wide, high), 0, 0);
  return [canvas.toDataURL("image/png").split(",")[1], pixels];
}"""


def executable():
    """Where Chromium is. Fails or skips where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = "Chromium is not installed: apt install chromium fonts-dejavu-core"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


@contextmanager
def launched() -> Iterator:
    """A browser. To be closed before anything else in the process runs an event loop."""
    from playwright.sync_api import sync_playwright

    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-gpu", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


class Seen:
    """A page that was opened, and everything it tried: requests, dialogs, complaints of the policy, errors."""

    def __init__(self, page, url):
        self.page, self.url = page, url
        self.requests, self.dialogs, self.said = [], [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.goto(url)

    def assert_quiet(self):
        assert [url for url in self.requests if url.partition("#")[0] != self.url] == []
        assert (self.dialogs, self.said) == ([], [])


def opened(browser, path, *, width=1200, height=900, scheme="light", scripts=True, online=False):
    """A file in a fresh context: no cache, no storage, no network that is not recorded."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        java_script_enabled=scripts,
        offline=not online,
    )
    return Seen(context.new_page(), path.as_uri())


def shrunk(browser, picture, size):
    """A PNG made smaller, each pixel the mean of what it covers: its bytes, and its pixels as numbers."""
    page = browser.new_page()
    try:
        written, pixels = page.evaluate(_SHRINK, [base64.b64encode(picture).decode(), *size])
    finally:
        page.close()
    return base64.b64decode(written), pixels


def difference(browser, one, other):
    """How far two pictures are apart in the mean, 0 to 255, once both are blurred to CELLS."""
    first, second = (shrunk(browser, picture, CELLS)[1] for picture in (one, other))
    colours = [abs(a - b) for place, (a, b) in enumerate(zip(first, second, strict=True)) if place % 4 != 3]
    return sum(colours) / len(colours)
