# SPDX-License-Identifier: MIT
"""Small wheels with the files that a survey reads, and an index that serves them, well or badly."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conformance.wheels import Wheel, wheel_from_filename

CONFIG = '''\
class EpDispatchCombineKernelType(mori_cpp.EpDispatchCombineKernelType):
    pass


_QUANT_TYPE_MAP = {"none": 0, "fp8_direct_cast": 1}


@dataclass
class EpDispatchCombineConfig:
    """Text that mentions MORI but reads nothing."""

    rank: int
    world_size: int
    hidden_dim: int
    block_num: int = 80
    max_total_recv_tokens: int = 0
    kernel_type: EpDispatchCombineKernelType = EpDispatchCombineKernelType.IntraNode


class EpDispatchCombineOp:
    def __init__(self, config):
        self.config = config
        self.verbose = os.environ.get("MORI_VERBOSE")

    def dispatch(self, input: torch.Tensor, weights, scales, indices, block_num: int = -1, *, routing=None):
        self._check(indices)
        return input

    def _check(self, indices):
        if indices is None:
            raise ValueError("indices are needed")
'''
KERNEL = """\
namespace mori {
template <typename T>
__global__ void EpDispatchIntraNodeKernel_body(Args args) {
  int destTokId = atomicAdd(counter, 1);
  assert(destTokId < config.MaxNumTokensToRecv() &&
         "Total recv token overflow: "
         "increase maxTotalRecvTokens");
}
}
"""
HEADER = """\
enum KernelType { IntraNode = 0, InterNode, InterNodeV1 };
struct EpDispatchCombineConfig {
  inline __host__ __device__ int MaxNumTokensToRecvPerRank() const {
    return maxNumInpTokenPerRank;  // no cap
  }
};
"""
MAIN = "mori/ops/dispatch_combine.py"
SOURCES = "mori/_jit-sources"


def wheel_files(
    distribution: str = "amd_mori", version: str = "9.0.0", **changed: str | bytes | None
) -> dict[str, bytes]:
    """The files of a small sound wheel. Keyword `main`, `kernel`, `header` replace or (None) leave out a file."""
    contents: dict[str, str | bytes | None] = {
        "mori/__init__.py": "",
        "mori/_version.py": f'__version__ = "{version}"\n',
        f"{SOURCES}/3rdparty/pack/a.hpp": "// third party\n",
        f"{SOURCES}/include/mori/ops/dispatch_combine/dispatch_combine.hpp": changed.get("header", HEADER),
        f"{SOURCES}/src/ops/dispatch_combine/intranode.hpp": changed.get("kernel", KERNEL),
        "mori/ops/__init__.py": "from .dispatch_combine import EpDispatchCombineConfig, EpDispatchCombineOp\n",
        MAIN: changed.get("main", CONFIG),
        f"{distribution}-{version}.dist-info/METADATA": f"Name: {distribution}\nVersion: {version}\n",
        f"{distribution}-{version}.dist-info/RECORD": "",
    }
    return {
        name: data.encode() if isinstance(data, str) else data for name, data in contents.items() if data is not None
    }


def pack(files: Mapping[str, bytes], *, third_party: int = 0) -> bytes:
    """A zip of the files in their order, with `third_party` more files in the third parties' folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
            if name.endswith("/3rdparty/pack/a.hpp"):
                for number in range(third_party):
                    archive.writestr(f"{SOURCES}/3rdparty/pack/{'long_folder_name/' * 4}header_{number:05}.hpp", b"//")
    return buffer.getvalue()


def wheel_of(data: bytes, version: str = "9.0.0", distribution: str = "amd_mori", day: str = "2026-11-01") -> Wheel:
    """The identity of a packed wheel."""
    name = f"{distribution}-{version}-cp310-cp310-manylinux_2_35_x86_64.whl"
    return wheel_from_filename(name, hashlib.sha256(data).hexdigest(), len(data), f"{day}T00:00:00Z")


@dataclass
class FakeIndex:
    """An index on this machine. Change the attributes to make it misbehave.

    Attributes:
        files: file name → wheel bytes as served.
        listed: what the listing says of a file, where that is not the truth.
        ranges: whether range requests are honoured.
        failures: how many requests of files are answered 503 before they are answered properly.
        status: answer every request with this status.
        listing: answer listings with this text.
        delay: seconds before every answer.
        requests: every path asked for, with the range.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    listed: dict[str, Wheel] = field(default_factory=dict)
    ranges: bool = True
    failures: int = 0
    status: int | None = None
    listing: str | None = None
    delay: float = 0.0
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def add(self, wheel: Wheel, data: bytes, *, served: bytes | None = None) -> None:
        self.files[wheel.filename] = data if served is None else served
        self.listed[wheel.filename] = wheel

    def page(self, distribution: str) -> str:
        if self.listing is not None:
            return self.listing
        files = [
            {
                "filename": wheel.filename,
                "hashes": {"sha256": wheel.sha256},
                "size": wheel.size,
                "upload-time": wheel.uploaded,
                "url": f"{self.url}/files/{wheel.filename}",
                "yanked": False,
            }
            for wheel in self.listed.values()
            if wheel.distribution == distribution
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": distribution, "files": files})


def _handler(index: FakeIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:  # the name that http.server calls
            asked = self.headers.get("Range")
            index.requests.append((self.path, asked))
            time.sleep(index.delay)
            if index.status is not None:
                self._answer(index.status, b"no")
            elif "/files/" not in self.path:
                self._answer(200, index.page(self.path.strip("/")).encode())
            elif index.failures > 0:
                index.failures -= 1
                self._answer(503, b"later")
            else:
                data = index.files.get(self.path.rsplit("/", 1)[-1])
                if data is None:
                    self._answer(404, b"gone")
                elif asked and index.ranges:
                    start, stop = (int(part) for part in asked.removeprefix("bytes=").split("-"))
                    self._answer(206, data[start : stop + 1])
                else:
                    self._answer(200, data)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # The client may have given up waiting, which is what some tests are about.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

    return Handler


@contextmanager
def serving(index: FakeIndex) -> Iterator[FakeIndex]:
    """Serve the index on a free port of this machine for the length of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(index))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
