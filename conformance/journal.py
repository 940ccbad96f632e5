# SPDX-License-Identifier: MIT
"""What was measured on one wheel in one lane, kept as it comes: each verdict is on disk before the next one is looked for.

The file looks like `results.jsonl`. A run that is killed, or a disk that is full, leaves a file whose last line may be torn and
whose footer is missing; whoever opens it next reads up to the last whole line and goes on from there. Verdicts of another suite
revision, or of a wheel with another hash, are set aside and never mixed in.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from conformance.errors import ResultsError
from conformance.results import Footer, Header, Line, encode_footer, new_header
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

__all__ = ["Journal", "journal_path", "read_journal"]

# What says nothing about the wheel is looked for again.
_PASSING = frozenset({Verdict.ENGINE_ERROR, Verdict.NOT_RUN})
_decoder = msgspec.json.Decoder(Header | Line | Footer)


def journal_path(folder: Path, wheel: Wheel, lane: str) -> Path:
    """The file of one wheel and lane below the folder of all journals."""
    return folder / lane / f"{wheel.distribution}-{wheel.version}-{wheel.tag}.jsonl"


def _whole_lines(data: bytes) -> tuple[Header | None, list[Record], int]:
    """The header, the records up to the first line that is not whole, and how many bytes these are."""
    header: Header | None = None
    records: list[Record] = []
    size = 0
    for line in data.split(b"\n")[:-1]:
        try:
            item = _decoder.decode(line)
        except msgspec.MsgspecError:
            break
        if isinstance(item, Header) and header is None:
            header = item
        elif isinstance(item, Line) and header is not None:
            records.append(item.record)
        else:
            break
        size += len(line) + 1
    return header, records, size


def _latest(records: list[Record]) -> dict[tuple[str, str], Record]:
    return {(record.requirement, record.kernel_type): record for record in records}


def _fits(header: Header | None, wheel: Wheel, lane: str, revision: str) -> bool:
    return header is not None and (header.revision, header.wheels, header.lanes) == (revision, (wheel,), (lane,))


def read_journal(path: Path, wheel: Wheel, lane: str, revision: str) -> Mapping[tuple[str, str], Record]:
    """The latest record of each requirement and kernel type; none if the file is missing or follows other rules."""
    try:
        header, records, _ = _whole_lines(path.read_bytes())
    except OSError:
        return {}
    return _latest(records) if _fits(header, wheel, lane, revision) else {}


class Journal:
    """One wheel's verdicts in one lane, open for more. To be used in a `with` statement, which closes it with its footer."""

    def __init__(self, path: Path, wheel: Wheel, lane: str, *, fresh: bool = False) -> None:
        """Raises:
        ResultsError: the file cannot be written, or another run is writing it.
        """
        self.path = path
        header = new_header((wheel,), (lane,), (), {})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_name(f".{path.name}.lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise ResultsError(f"{path}: another run is writing it; wait for it, or name another folder") from error
        except OSError as error:
            raise self._error(error) from error
        try:
            self._file, records = self._open(header, fresh)
        except OSError as error:
            self._lock.close()
            raise self._error(error) from error
        self._records = _latest(records)
        self._written = list(records)
        self._body = b"".join(self._line(record) for record in records)

    def _open(self, header: Header, fresh: bool) -> tuple[IO[bytes], list[Record]]:
        data = self.path.read_bytes() if self.path.exists() else b""
        old, records, size = _whole_lines(data)
        if not fresh and _fits(old, header.wheels[0], header.lanes[0], header.revision):
            # What is cut off is a footer, or a line that was never whole.
            os.truncate(self.path, size)
            return self.path.open("ab"), records
        if data and not fresh:
            self.path.replace(self.path.with_suffix(f".{old.revision if old else 'damaged'}.aside"))
        aside = self.path.with_suffix(".part")
        with aside.open("wb") as file:
            file.write(msgspec.json.encode(header) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)
        return self.path.open("ab"), []

    def _error(self, error: OSError) -> ResultsError:
        return ResultsError(
            f"{self.path}: cannot be written: {error.strerror or error}; what was measured before is kept: free some space and "
            "give the same command again"
        )

    @staticmethod
    def _line(record: Record) -> bytes:
        return msgspec.json.encode(Line(record)) + b"\n"

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())

    def known(self, requirement: str, kernel_type: str = "") -> Record | None:
        """What was measured, by this run or an earlier one; None if it is to be measured (again)."""
        record = self._records.get((requirement, kernel_type))
        return None if record is None or record.verdict in _PASSING else record

    def append(self, record: Record) -> None:
        """Keep a verdict; when this returns it is on disk.

        Raises:
            ResultsError: it is not.
        """
        line = self._line(record)
        try:
            self._write(line)
        except OSError as error:
            raise self._error(error) from error
        self._records[record.requirement, record.kernel_type] = record
        self._written.append(record)
        self._body += line

    def close(self) -> None:
        """Write the footer and let go of the file."""
        if self._file.closed:
            return
        try:
            self._write(encode_footer(self._written, self._body))
        except OSError as error:
            raise self._error(error) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is: what was appended stays."""
        self._file.close()
        self._lock.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
