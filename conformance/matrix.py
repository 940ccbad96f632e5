# SPDX-License-Identifier: MIT
"""`matrix.toml`, typed: which wheels, which nightlies, which lanes, what is expected to fail.

The file is checked as a whole when it is read: an unknown key, a wrong type, a wheel listed twice or an expectation that
matches no wheel is an error that names file and key.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import tomllib
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from conformance.errors import MatrixError, SelectionError, WheelError
from conformance.wheels import NIGHTLY_DISTRIBUTION, STABLE_DISTRIBUTION, Wheel, wheel_from_filename

__all__ = [
    "DEFAULT_KERNEL_TYPE",
    "MATRIX_FILE",
    "Expectation",
    "Lane",
    "Matrix",
    "NightlyRule",
    "load_matrix",
    "nightlies_file",
]

MATRIX_FILE = "matrix.toml"
_NIGHTLIES_FILE = "matrix.nightlies.toml"
_DEFAULT_PYTHON = "cp310"
DEFAULT_KERNEL_TYPE = "IntraNode"
_SHA256_LENGTH = 64


class _WheelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    distribution: Literal["amd-mori", "amd-mori-nightly"]
    version: str
    tag: str
    sha256: str
    size: int
    uploaded: str


class NightlyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the published nightlies are part of the matrix.

    Attributes:
        rule: `all`, `sample` (every n-th by date, the newest always) or `range` (both dates included).
        every: n of `sample`.
        first, last: dates of `range`; an open end where left out.
        pythons: Python tags.
    """

    rule: Literal["all", "sample", "range"]
    every: int | None = None
    first: datetime.date | None = None
    last: datetime.date | None = None
    pythons: tuple[str, ...] = (_DEFAULT_PYTHON,)


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way of finding out: `survey` reads, `virtual` runs on the virtual GPU, `rocm` on AMD GPUs.

    Attributes:
        shows: a sentence.
        enabled: whether a run takes it when no lane is named.
        wheels: those it looks at when no wheel is named (`stable`, versions, dates of nightlies); empty for all that take part.
    """

    name: Literal["survey", "virtual", "rocm"]
    shows: str
    enabled: bool = True
    wheels: tuple[str, ...] = ()


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A failure that is known. It must be there, with this message, or it is itself a failure.

    Attributes:
        requirement: id.
        versions: PEP 440 specifier of stable releases (`==1.0.0`, `>=1.2.3`).
        message: must occur in the verdict's message.
        link: where the failure is discussed, or the facts behind it are.
        lane: where it shows.
        pythons: Python tags; empty for all.
        nightly_first, nightly_last: the nightlies that it covers too, by date, both included; none if both are left out.
        nightly_versions: PEP 440 specifier that narrows them further, for days on which two lines were built.
        kernel_types: those that it is about, where a requirement is judged for several; left out: the first, IntraNode.
        race: the failure depends on which rank is faster; a run in which it does not show contradicts nothing.
    """

    requirement: str
    versions: str
    message: str
    link: str
    lane: Literal["survey", "virtual", "rocm"]
    pythons: tuple[str, ...] = ()
    nightly_first: datetime.date | None = None
    nightly_last: datetime.date | None = None
    nightly_versions: str = ""
    kernel_types: tuple[str, ...] = ()
    race: bool = False

    def speaks_about(self, kernel_type: str) -> bool:
        """Whether it is about results for a kernel type ("" for those of no kernel type in particular)."""
        if not self.kernel_types:
            return kernel_type in ("", DEFAULT_KERNEL_TYPE)
        return kernel_type in self.kernel_types

    def covers(self, wheel: Wheel) -> bool:
        if self.pythons and wheel.python not in self.pythons:
            return False
        if wheel.nightly:
            first, last = self.nightly_first, self.nightly_last
            if first is None and last is None:
                return False
            dated = (first or datetime.date.min) <= wheel.built <= (last or datetime.date.max)
            return dated and _contains(self.nightly_versions, wheel)
        return _contains(self.versions, wheel)


def _contains(specifier: str, wheel: Wheel) -> bool:
    return SpecifierSet(specifier).contains(Version(wheel.version), prereleases=True)


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    nightlies: NightlyRule
    lanes: tuple[Lane, ...]
    wheels: tuple[_WheelEntry, ...]
    expectations: tuple[Expectation, ...] = ()


class _Nightlies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    wheels: tuple[_WheelEntry, ...]


@dataclass(frozen=True)
class Matrix:
    """The matrix as read. Wheels are in build order."""

    stable: tuple[Wheel, ...]
    nightlies: tuple[Wheel, ...]
    rule: NightlyRule
    lanes: tuple[Lane, ...]
    expectations: tuple[Expectation, ...]

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The stable wheels and the nightlies that the rule selects, in build order."""
        return tuple(sorted((*self.stable, *self.selected_nightlies()), key=lambda wheel: wheel.order))

    @property
    def every_wheel(self) -> tuple[Wheel, ...]:
        """All wheels that are locked, whatever the rule says."""
        return tuple(sorted((*self.stable, *self.nightlies), key=lambda wheel: wheel.order))

    def selected_nightlies(self) -> tuple[Wheel, ...]:
        chosen: list[Wheel] = []
        for python in self.rule.pythons:
            own = [wheel for wheel in self.nightlies if wheel.python == python]
            if self.rule.rule == "sample":
                own = own[::-1][:: self.rule.every][::-1]
            elif self.rule.rule == "range":
                first = self.rule.first or datetime.date.min
                last = self.rule.last or datetime.date.max
                own = [wheel for wheel in own if first <= wheel.built <= last]
            chosen += own
        return tuple(sorted(chosen, key=lambda wheel: wheel.order))

    def lane(self, name: str) -> Lane:
        """Raises SelectionError if the matrix has no such lane."""
        for lane in self.lanes:
            if lane.name == name:
                return lane
        raise SelectionError(f"no lane {name!r} in the matrix; it has {', '.join(lane.name for lane in self.lanes)}")

    def find(self, text: str) -> Wheel:
        """The wheel that a person means.

        `1.2.4` (its cp310 wheel if there is one), `1.1.1@cp312`, `1.2.3.dev20260810`, `20260810` (a nightly's date), or the
        first characters (8 or more) of a sha256.

        Raises:
            SelectionError: none, or more than one.
        """
        name, _, python = text.strip().partition("@")
        found = [wheel for wheel in self.every_wheel if _matches(wheel, name) and python in ("", wheel.python)]
        if not python and len(found) > 1:
            preferred = [wheel for wheel in found if wheel.python == _DEFAULT_PYTHON]
            found = preferred or found
        if len(found) == 1:
            return found[0]
        if found:
            raise SelectionError(f"{text!r} means more than one wheel: {', '.join(wheel.label for wheel in found)}")
        raise SelectionError(
            f"no wheel {text!r} in the matrix; stable: {', '.join(wheel.label for wheel in self.stable)}; nightlies by date "
            f"({self._nightly_span()}); `nox -s lock` looks for newer ones"
        )

    def _nightly_span(self) -> str:
        if not self.nightlies:
            return "none"
        return f"{self.nightlies[0].built:%Y%m%d} to {self.nightlies[-1].built:%Y%m%d}"


def _matches(wheel: Wheel, name: str) -> bool:
    if name == wheel.version or (len(name) >= 8 and wheel.sha256.startswith(name.lower())):
        return True
    if wheel.nightly and name == f"{wheel.built:%Y%m%d}":
        return True
    try:
        return Version(name) == Version(wheel.version)
    except InvalidVersion:
        return False


def nightlies_file(matrix_file: Path) -> Path:
    """Where the nightlies of a matrix are listed: beside it."""
    return matrix_file.with_name(_NIGHTLIES_FILE)


def _read(path: Path, kind: type[_Document] | type[_Nightlies]) -> _Document | _Nightlies:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MatrixError(
            f"{path.name}: not found in {path.parent}; run from the project's folder or name the file"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise MatrixError(f"{path.name}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise MatrixError(f"{path.name}: not valid TOML: {error}") from error
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        where = str(error).replace("`$", "`").replace("`.", "`")
        raise MatrixError(f"{path.name}: {where}; docs/matrix.md describes every key and its values") from error


def load_matrix(path: Path) -> Matrix:
    """Read and check a matrix and its list of nightlies.

    Raises:
        MatrixError: anything is wrong with either file.
    """
    document = _read(path, _Document)
    assert isinstance(document, _Document)
    listed = nightlies_file(path)
    extra: Sequence[_WheelEntry] = ()
    if listed.exists():
        nightly_document = _read(listed, _Nightlies)
        assert isinstance(nightly_document, _Nightlies)
        extra = nightly_document.wheels
    stable = _wheels(path.name, document.wheels, STABLE_DISTRIBUTION)
    nightlies = _wheels(listed.name, extra, NIGHTLY_DISTRIBUTION)
    _check_rule(path.name, document.nightlies)
    _check_unique(path.name, "lanes", [lane.name for lane in document.lanes])
    for position, expectation in enumerate(document.expectations):
        _check_expectation(f"{path.name}: expectations[{position}]", expectation, stable)
    return Matrix(stable, nightlies, document.nightlies, document.lanes, document.expectations)


def _wheels(file: str, entries: Iterable[_WheelEntry], distribution: str) -> tuple[Wheel, ...]:
    wheels: list[Wheel] = []
    for position, entry in enumerate(entries):
        where = f"{file}: wheels[{position}]"
        if entry.distribution != distribution:
            raise MatrixError(
                f"{where}: {entry.distribution} does not belong here: {STABLE_DISTRIBUTION} is listed in {MATRIX_FILE}, "
                f"{NIGHTLY_DISTRIBUTION} in {_NIGHTLIES_FILE}, and they are never mixed (both provide the module `mori`)"
            )
        if len(entry.sha256) != _SHA256_LENGTH or not set(entry.sha256) <= set("0123456789abcdef"):
            raise MatrixError(
                f"{where}: sha256 must be {_SHA256_LENGTH} lower-case hexadecimal digits, not {entry.sha256!r}"
            )
        if entry.size <= 0:
            raise MatrixError(f"{where}: size must be a positive number of bytes, not {entry.size}")
        if not entry.uploaded:
            raise MatrixError(f"{where}: uploaded is empty; wheels are ordered by it")
        name = f"{entry.distribution.replace('-', '_')}-{entry.version}-{entry.tag}.whl"
        try:
            wheel = wheel_from_filename(name, entry.sha256, entry.size, entry.uploaded)
            _ = wheel.built
        except (WheelError, ValueError) as error:
            raise MatrixError(f"{where}: version, tag or uploaded is malformed: {error}") from error
        wheels.append(wheel)
    _check_unique(file, "wheels", [wheel.filename for wheel in wheels])
    _check_unique(file, "sha256 of wheels", [wheel.sha256 for wheel in wheels])
    return tuple(sorted(wheels, key=lambda wheel: wheel.order))


def _check_unique(file: str, key: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) != len(names) else []
    if twice:
        raise MatrixError(f"{file}: {key}: listed twice: {', '.join(twice)}; remove one")


def _check_rule(file: str, rule: NightlyRule) -> None:
    where = f"{file}: nightlies"
    if (rule.rule == "sample") != (rule.every is not None) or (rule.every is not None and rule.every < 1):
        raise MatrixError(f'{where}: `every` (a number from 1) belongs to rule = "sample", and only to it')
    if rule.rule != "range" and (rule.first or rule.last):
        raise MatrixError(f'{where}: `first` and `last` belong to rule = "range"')
    if rule.first and rule.last and rule.first > rule.last:
        raise MatrixError(f"{where}: `first` ({rule.first}) is after `last` ({rule.last})")


def _check_expectation(where: str, expectation: Expectation, stable: Sequence[Wheel]) -> None:
    for key, specifier in (("versions", expectation.versions), ("nightly_versions", expectation.nightly_versions)):
        try:
            SpecifierSet(specifier)
        except InvalidSpecifier as error:
            raise MatrixError(f'{where}: {key}: {specifier!r} is no PEP 440 specifier, like ">=1.2.3"') from error
    if not any(expectation.covers(wheel) for wheel in stable):
        raise MatrixError(
            f"{where}: {expectation.requirement}: versions {expectation.versions!r} covers no wheel of the matrix; correct it "
            "or remove the expectation"
        )
    if not expectation.message or not expectation.link:
        raise MatrixError(f"{where}: {expectation.requirement}: message and link must say something")
