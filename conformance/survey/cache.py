# SPDX-License-Identifier: MIT
"""Surveys on disk, keyed by the wheel's sha256 and the revision of the readers: immutable, so never invalidated."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

import msgspec

from conformance.survey.facts import EXTRACTOR_REVISION, WheelFacts

__all__ = ["SurveyCache", "default_cache_folder"]


def default_cache_folder() -> Path:
    """`MORIEP_CACHE`, else `moriep` in the user's cache folder."""
    configured = os.environ.get("MORIEP_CACHE")
    if configured:
        return Path(configured).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "moriep"


@lru_cache(maxsize=1)
def _decoder() -> msgspec.msgpack.Decoder[WheelFacts]:
    return msgspec.msgpack.Decoder(WheelFacts)


class SurveyCache:
    """One file per wheel. A damaged or foreign file counts as absent: the survey is made again."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or default_cache_folder()) / "surveys" / f"revision-{EXTRACTOR_REVISION}"

    def load(self, sha256: str) -> WheelFacts | None:
        try:
            facts = _decoder().decode((self._folder / f"{sha256}.msgpack").read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None
        return facts if facts.sha256 == sha256 else None

    def store(self, facts: WheelFacts) -> None:
        """Write by rename, so that a killed run or a full disk leaves no half file.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.msgpack.encode(facts))
            Path(name).replace(self._folder / f"{facts.sha256}.msgpack")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def clear(self) -> int:
        """Remove all surveys of this revision; returns how many there were."""
        files = list(self._folder.glob("*.msgpack"))
        for file in files:
            file.unlink(missing_ok=True)
        return len(files)
