# SPDX-License-Identifier: MIT
"""From what a person types to wheels and their facts: names out of the matrix, or wheel files on disk."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import MatrixError, SelectionError, WheelError
from conformance.matrix import MATRIX_FILE, Matrix, load_matrix
from conformance.survey.cache import SurveyCache
from conformance.survey.collect import Progress, survey_reader, survey_wheels
from conformance.survey.facts import WheelFacts
from conformance.survey.reader import FileReader
from conformance.survey.soname_plan import LibraryDepth
from conformance.wheels import Wheel, wheel_from_filename

__all__ = ["Chosen", "choose_wheels", "find_matrix", "survey_choice"]


@dataclass(frozen=True)
class Chosen:
    """A wheel that was asked for, and the file if it is one on disk."""

    wheel: Wheel
    file: Path | None = None


def find_matrix(given: Path | None = None) -> Path:
    """The matrix file: the given one, else that of this folder or one above, else that beside the package.

    Raises:
        MatrixError: there is none.
    """
    if given is not None:
        return given
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / MATRIX_FILE).is_file():
            return folder / MATRIX_FILE
    raise MatrixError(f"{MATRIX_FILE}: not found here or above; run from the project's folder or give --matrix FILE")


def choose_wheels(matrix: Matrix, names: Sequence[str]) -> tuple[Chosen, ...]:
    """The wheels that the names mean, each once; all of the matrix if there are no names.

    A name is what `Matrix.find` takes, the path of a wheel file, or one of `stable`, `nightlies`, `all`.

    Raises:
        SelectionError, WheelError: a name that means nothing, or too much.
    """
    groups = {"stable": matrix.stable, "nightlies": matrix.selected_nightlies(), "all": matrix.wheels}
    chosen: list[Chosen] = []
    for name in names or ("all",):
        if name.endswith(".whl"):
            path = Path(name)
            reader = FileReader(path)
            wheel = wheel_from_filename(path.name, reader.sha256, reader.size, "")
            known = next((item for item in matrix.every_wheel if item.filename == path.name), None)
            if known is not None and known.sha256 != wheel.sha256:
                raise WheelError(
                    f"{path}: sha256 is {wheel.sha256}, the matrix has locked {known.sha256} for this name: not the published "
                    "wheel (truncated, altered, or rebuilt under the same name)"
                )
            chosen.append(Chosen(known or wheel, path))
        elif name in groups:
            chosen += [Chosen(wheel) for wheel in groups[name]]
        else:
            chosen.append(Chosen(matrix.find(name)))
    return tuple(dict.fromkeys(chosen))


def survey_choice(
    chosen: Iterable[Chosen],
    *,
    cache: SurveyCache | None = None,
    libraries: LibraryDepth = "changes",
    progress: Progress | None = None,
) -> tuple[dict[Wheel, WheelFacts], dict[Wheel, str]]:
    """Facts, and reasons for the wheels that have none. Files are read whole, the rest comes from cache or index."""
    facts: dict[Wheel, WheelFacts] = {}
    failures: dict[Wheel, str] = {}
    remote: list[Wheel] = []
    for item in chosen:
        if item.file is None:
            remote.append(item.wheel)
            continue
        try:
            facts[item.wheel] = asyncio.run(survey_reader(item.wheel, FileReader(item.file, item.wheel.sha256)))
        except WheelError as error:
            failures[item.wheel] = str(error)
    outcome = survey_wheels(remote, cache=cache, libraries=libraries, progress=progress)
    facts.update({wheel: outcome.facts[wheel.sha256] for wheel in remote if wheel.sha256 in outcome.facts})
    failures.update(outcome.failures)
    return facts, failures


def one_wheel(matrix: Matrix, name: str) -> Chosen:
    """The one wheel that a name means.

    Raises:
        SelectionError: none, or several.
    """
    chosen = choose_wheels(matrix, [name])
    if len(chosen) != 1:
        raise SelectionError(f"{name!r} means {len(chosen)} wheels; name one")
    return chosen[0]


def load_project_matrix(given: Path | None) -> Matrix:
    """The matrix that a command works on."""
    return load_matrix(find_matrix(given))


def as_json(value: object) -> object:
    """Dataclasses, enums and dates as JSON has them."""
    import msgspec

    if dataclasses.is_dataclass(value) or isinstance(value, (dict, list, tuple)):
        return msgspec.to_builtins(value, str_keys=True)
    return value
