# SPDX-License-Identifier: MIT
"""The requirements, as data: `requirements.toml` beside this module, read and checked."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec
import tomllib
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from conformance.errors import MatrixError
from conformance.survey.facts import EXTRACTOR_REVISION
from conformance.wheels import Wheel

__all__ = [
    "DEPTHS",
    "GROUPS",
    "KERNEL_TYPES",
    "Aspect",
    "Depth",
    "Requirement",
    "aspects",
    "kernel_type_order",
    "load_catalogue",
    "suite_revision",
]

Depth = Literal["quick", "standard", "deep"]
# Each holds all that is judged at those before it.
DEPTHS: tuple[Depth, ...] = ("quick", "standard", "deep")
# As they came: the first is what one node runs, the others in the order of their numbers.
KERNEL_TYPES = ("IntraNode", "InterNode", "InterNodeV1", "InterNodeV1LL", "AsyncLL", "IntraNodeLL")

GROUPS = {
    "PKG": "the wheel itself",
    "CFG": "configuration: arguments and values",
    "CAP": "receive capacity",
    "OVF": "more tokens than the capacity",
    "DSP": "dispatch",
    "CMB": "combine",
    "IDS": "expert ids that name no expert",
    "STA": "state between calls",
    "RTE": "routing handle",
    "LNC": "launch geometry",
    "NOD": "world sizes and shapes of nodes",
    "ASY": "send and receive apart",
    "SEC": "the second op, dispatch_combine_v2",
    "MEM": "memory",
    "CON": "consumers, as they call it",
    "GRD": "moriep's dispatcher and its overflow guard on this release",
}
_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)
_ID = re.compile(r"^([A-Z]{3})-([1-9][0-9]*)$")


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sentence that a wheel keeps or breaks.

    Attributes:
        id: group and number, `OVF-1`.
        level: MUST or SHOULD.
        sentence: what holds.
        why: what it costs a caller when it does not hold.
        source: where the requirement comes from.
        lanes: the lanes that can show it.
        kernel_types: the kernel types that it is about; empty for all.
        versions: PEP 440 specifier of the releases that it speaks about; empty for all. Nightlies count as what they precede.
        depth: the shallowest run that judges it. A requirement of several kernel types is judged for the first of them at its
            depth, and for the others from `standard` on.
    """

    id: str
    level: Literal["MUST", "SHOULD"]
    sentence: str
    why: str
    source: str
    lanes: tuple[Literal["survey", "virtual", "rocm"], ...]
    kernel_types: tuple[str, ...] = ()
    versions: str = ""
    depth: Depth = "quick"

    def judged_for(self, depth: Depth) -> tuple[str, ...]:
        """The kernel types that a run of this depth judges it for; ("",) where there is nothing to tell apart."""
        reached = DEPTHS.index(depth)
        if reached < DEPTHS.index(self.depth):
            return ()
        if len(self.kernel_types) < 2:
            return ("",)
        return self.kernel_types if reached else self.kernel_types[:1]

    @property
    def group(self) -> str:
        return self.id.split("-", 1)[0]

    def speaks_about(self, wheel: Wheel) -> bool:
        return not self.versions or SpecifierSet(self.versions).contains(Version(wheel.version), prereleases=True)


@dataclass(frozen=True)
class Aspect:
    """A requirement as it is judged: for one kernel type, or ("") for none in particular."""

    requirement: Requirement
    kernel_type: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.requirement.id, self.kernel_type

    def __str__(self) -> str:
        return f"{self.requirement.id}-{self.kernel_type}".rstrip("-")


def aspects(
    requirements: Iterable[Requirement], depth: Depth, kernel_types: Collection[str] = ()
) -> tuple[Aspect, ...]:
    """What a run of this depth judges, in the catalogue's order.

    Args:
        kernel_types: only these, and what is about one of them; empty for all. Whoever names one sees it at any depth.
    """
    found = []
    for item in requirements:
        chosen = item.judged_for("standard" if kernel_types and depth == "quick" and item.depth == "quick" else depth)
        for kernel_type in chosen:
            about = {kernel_type} if kernel_type else set(item.kernel_types)
            if not kernel_types or about & set(kernel_types):
                found.append(Aspect(item, kernel_type))
    return tuple(found)


def kernel_type_order(name: str) -> int:
    """Where results for a kernel type stand; "" comes first."""
    return KERNEL_TYPES.index(name) + 1 if name in KERNEL_TYPES else 0


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    requirement: tuple[Requirement, ...]


def _text() -> str:
    return resources.files("conformance").joinpath("requirements.toml").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def load_catalogue() -> tuple[Requirement, ...]:
    """All requirements, in the catalogue's order.

    Raises:
        MatrixError: the catalogue is malformed.
    """
    try:
        document = msgspec.convert(tomllib.loads(_text()), _Document)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise MatrixError(f"requirements.toml: {error}") from error
    seen: set[str] = set()
    for item in document.requirement:
        match = _ID.match(item.id)
        if match is None or match.group(1) not in GROUPS:
            raise MatrixError(f"requirements.toml: {item.id}: an id is one of {', '.join(GROUPS)}, a hyphen, a number")
        if item.id in seen:
            raise MatrixError(f"requirements.toml: {item.id} stands there twice")
        unknown = [name for name in item.kernel_types if name not in KERNEL_TYPES]
        if unknown or len(set(item.kernel_types)) != len(item.kernel_types):
            raise MatrixError(
                f"requirements.toml: {item.id}: kernel_types are some of {', '.join(KERNEL_TYPES)}, each once; it names "
                f"{', '.join(unknown or item.kernel_types)}"
            )
        seen.add(item.id)
    return document.requirement


# Modules of the suite that start, watch and keep, and decide no verdict.
_NO_RULES = frozenset(
    {
        "__main__.py",
        "compiling.py",
        "lanes.py",
        "measuring.py",
        "nodes.py",
        "plugin.py",
        "processes.py",
        "progress.py",
        "rank_groups.py",
        "rank_server.py",
        "rocm.py",
        "test_requirements.py",
    }
)


@lru_cache(maxsize=1)
def suite_revision() -> str:
    """Names the rules by which results were made.

    These are the catalogue's text, the revision of the survey's readers, the suite's modules that decide verdicts (cases, oracle,
    judges, what ranks do), and the version of the virtual GPU.
    """
    digest = hashlib.sha256(_text().encode())
    digest.update(f"extractor {EXTRACTOR_REVISION}".encode())
    for file in sorted(Path(__file__).with_name("suite").glob("*.py")):
        if file.name not in _NO_RULES:
            digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    digest.update(f"virtual GPU {_virtual_gpu_version()}".encode())
    return digest.hexdigest()[:12]


def _virtual_gpu_version() -> str:
    """Of the one beside this package, else of the one that is installed; read, not imported."""
    beside = Path(__file__).resolve().parent.parent / "virtual_rocm" / "__init__.py"
    if not beside.is_file():
        spec = importlib.util.find_spec("virtual_rocm")
        if spec is None or spec.origin is None:
            return "none"
        beside = Path(spec.origin)
    found = _VERSION.search(beside.read_text(encoding="utf-8"))
    return found[1] if found else "unknown"
