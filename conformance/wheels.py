# SPDX-License-Identifier: MIT
"""What identifies a wheel: distribution × version × tag × sha256, and the order of wheels in time.

The axis of this project is the wheel, not the version: 1.1.1 for Python 3.10 and 1.1.1 for Python 3.12 hold different code.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from functools import cached_property

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from conformance.errors import WheelError

__all__ = ["NIGHTLY_DISTRIBUTION", "STABLE_DISTRIBUTION", "Wheel", "wheel_from_filename"]

STABLE_DISTRIBUTION = "amd-mori"
NIGHTLY_DISTRIBUTION = "amd-mori-nightly"
_NIGHTLY_DATE = re.compile(r"^20\d{6}$")


@dataclass(frozen=True)
class Wheel:
    """One published wheel.

    Attributes:
        distribution: normalized name, `amd-mori` or `amd-mori-nightly`.
        version: as published.
        tag: the whole compatibility tag, `cp310-cp310-manylinux_2_35_x86_64`.
        sha256: of the file.
        size: of the file, bytes.
        uploaded: when the index received it, ISO 8601 in UTC; empty for a file that no index knows.
    """

    distribution: str
    version: str
    tag: str
    sha256: str
    size: int
    uploaded: str

    @property
    def python(self) -> str:
        """`cp310`."""
        return self.tag.split("-", 1)[0]

    @property
    def filename(self) -> str:
        return f"{self.distribution.replace('-', '_')}-{self.version}-{self.tag}.whl"

    @property
    def label(self) -> str:
        """What people type and read: `1.2.4@cp310`."""
        return f"{self.version}@{self.python}"

    @property
    def nightly(self) -> bool:
        return self.distribution == NIGHTLY_DISTRIBUTION

    @cached_property
    def built(self) -> datetime.date:
        """The date in a nightly's version; else the day of upload, for nothing else in a wheel dates it.

        PEP 440 order is not time order: `1.2.4.dev20260909` was built before `1.2.3.1.dev20260916`.
        """
        suffix = str(Version(self.version).dev or "")
        if _NIGHTLY_DATE.match(suffix):
            return datetime.datetime.strptime(suffix, "%Y%m%d").date()
        if not self.uploaded:
            return datetime.date.max  # a file on disk that no index knows: after everything that is published
        return datetime.datetime.fromisoformat(self.uploaded.replace("Z", "+00:00")).date()

    @cached_property
    def order(self) -> tuple[datetime.date, str, Version, str]:
        """Sort key: build date, then nightlies after stable releases of the same day, version, tag."""
        return self.built, self.distribution, Version(self.version), self.tag

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.python})"


def wheel_from_filename(filename: str, sha256: str, size: int, uploaded: str) -> Wheel:
    """Read a wheel's identity off its file name.

    Raises:
        WheelError: not a wheel file name, or more than one compatibility tag.
    """
    try:
        name, version, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise WheelError(f"{filename}: not a wheel file name: {error}") from error
    if len(tags) != 1 or build:
        raise WheelError(f"{filename}: expected exactly one compatibility tag and no build number")
    return Wheel(str(canonicalize_name(name)), str(version), str(next(iter(tags))), sha256, size, uploaded)
