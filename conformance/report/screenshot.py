# SPDX-License-Identifier: MIT
"""A picture of the page for the README, taken by the machine's Chromium. Not part of the check for drift: browsers differ."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from conformance.errors import ConformanceError

__all__ = ["BROWSERS", "BROWSER_OPTIONS", "GRID_PICTURE", "find_browser", "take_screenshot"]

GRID_PICTURE = "grid.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A browser that asks nobody for anything.
BROWSER_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_LARGEST = 200 * 1024
_SECONDS = 60


def find_browser() -> str | None:
    """The first Chromium on the path, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def take_screenshot(page: Path, picture: Path, *, width: int = 1400, height: int = 720) -> int:
    """Photograph the group on overflow over the cp310 wheels; returns the picture's size in bytes.

    Raises:
        ConformanceError: no browser, no picture, or one too large for a README.
    """
    browser = find_browser()
    if browser is None:
        raise ConformanceError(f"no browser found ({', '.join(BROWSERS)}); install Debian's `chromium`")
    with tempfile.TemporaryDirectory(prefix="moriep-browser-") as folder:
        taken = Path(folder) / GRID_PICTURE
        command = [
            browser,
            *BROWSER_OPTIONS,
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height}",
            f"--screenshot={taken}",
            f"{page.resolve().as_uri()}?group=OVF&python=cp310",
        ]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConformanceError(f"{browser}: no picture within {_SECONDS} seconds") from error
        if not taken.is_file():
            last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ConformanceError(f"{browser}: ended with {ended.returncode} and without a picture: {last}")
        content = taken.read_bytes()
    if len(content) > _LARGEST:
        raise ConformanceError(f"{picture.name}: {len(content)} bytes, more than {_LARGEST}; make the window smaller")
    picture.write_bytes(content)
    return len(content)
