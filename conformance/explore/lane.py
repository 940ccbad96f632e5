# SPDX-License-Identifier: MIT
"""The virtual GPU with one wheel on it: installed in an environment of its own, or unpacked somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.environments import EnvironmentFailure, add_base, wheel_environment
from conformance.explore.dimensions import ExplorationError
from conformance.selection import Chosen
from conformance.suite.lanes import Lane, device_compiler_digest, virtual_lane, virtual_variables
from conformance.suite.measuring import project_folder
from conformance.wheels import Wheel

__all__ = ["NotHereError", "Unpacked", "wheel_lane", "wheel_lanes"]


class NotHereError(ExplorationError):
    """The machine cannot run the wheel: it was built for a newer system, or its Python is missing."""


@dataclass(frozen=True)
class Unpacked:
    """Wheels that are unpacked already: `FOLDER/VERSION/mori`.

    Attributes:
        folder: of all of them. jit_cache: where each keeps its compiled kernels, by version.
    """

    folder: Path
    jit_cache: Path | None = None


def wheel_lane(chosen: Chosen, *, base: Path | None, unpacked: Unpacked | None = None) -> Lane:
    """The lane `virtual` with a wheel.

    Args:
        base: an interpreter with torch and numpy; None for an environment of our own, which an unpacked wheel does not have.

    Raises:
        NotHereError, ExplorationError, LaneError, EnvironmentFailure: this machine cannot run it.
    """
    wheel = chosen.wheel
    if unpacked is not None:
        if base is None:
            raise ExplorationError("--unpacked needs --base-python, an interpreter with torch and numpy for the ranks")
        packages = unpacked.folder / wheel.version
        if not (packages / "mori").is_dir():
            raise ExplorationError(f"{packages} holds no unpacked wheel (no folder mori)")
        _check_system(wheel, packages)
        cache = None if unpacked.jit_cache is None else unpacked.jit_cache / wheel.version
        return _virtual(str(base), packages, cache)
    try:
        environment = wheel_environment(wheel, file=chosen.file)
        _check_system(wheel, environment.packages)
        cache = environment.jit_cache / device_compiler_digest(project_folder())
        lane = _virtual(str(environment.python), environment.packages, cache)
        add_base(environment, wheel, base=base)
    except EnvironmentFailure as failure:
        if failure.machine:
            raise NotHereError(f"{wheel.label}: {failure}") from failure
        raise
    return lane


def wheel_lanes(
    chosen: Sequence[Chosen], *, base: Path | None, unpacked: Unpacked | None = None, say: Callable[[str], None]
) -> Iterator[tuple[Chosen, Lane]]:
    """The lane of each wheel, in turn. One that this machine cannot run is left out with a word: groups hold such wheels.

    Raises:
        NotHereError: all of them are. What `wheel_lane` raises.
    """
    refused: NotHereError | None = None
    played = False
    for item in chosen:
        try:
            lane = wheel_lane(item, base=base, unpacked=unpacked)
        except NotHereError as error:
            refused = error
            if len(chosen) > 1:
                say(f"left out: {error}")
            continue
        played = True
        yield item, lane
    if refused is not None and not played:
        raise refused


def _check_system(wheel: Wheel, packages: Path) -> None:
    too_new = virtual_variables((packages,), project_folder()).too_new
    if too_new:
        raise NotHereError(f"{wheel.label}: {too_new}; explore it on a newer system, or take a cp310 wheel")


def _virtual(python: str, packages: Path, jit_cache: Path | None) -> Lane:
    return virtual_lane(python, packages=(packages,), launcher_path=project_folder(), jit_cache=jit_cache)
