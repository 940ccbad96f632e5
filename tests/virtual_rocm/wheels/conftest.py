# SPDX-License-Identifier: MIT
"""The published wheels, unpacked: from VIRTUAL_ROCM_TEST_WHEELS (a folder of unpacked wheels), or fetched with pip."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# Releases, and nightlies from the first to the latest month.
RELEASES = ("1.1.1", "1.2.0", "1.2.1", "1.2.2", "1.2.3", "1.2.3.post1", "1.2.4")
NIGHTLIES = ("1.1.1.dev20260520", "1.2.3.dev20260810", "1.2.5.dev20261026")


def fetch(version: str, folder: Path) -> Path:
    """The unpacked cp310 wheel of that version below `folder`."""
    target = folder / version
    if target.is_dir():
        return target
    name = "amd-mori-nightly" if "dev" in version else "amd-mori"
    downloads = folder / "downloads"
    command = [
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--python-version", "3.10", "--platform",
        "manylinux_2_35_x86_64", "--only-binary=:all:", "-d", str(downloads), f"{name}=={version}",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(downloads.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    if not wheels:
        pytest.skip(f"{name} {version} cannot be fetched, so nothing is known of it: {result.stderr.strip()[-300:]}")
    aside = folder / f"{version}.part"
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(aside)
    aside.rename(target)
    return target


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which unpacked wheels lie, by version."""
    named = os.environ.get("VIRTUAL_ROCM_TEST_WHEELS")
    return Path(named) if named else tmp_path_factory.mktemp("wheels")
