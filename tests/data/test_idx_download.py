"""A download ends with the published file or with a line, whatever the mirrors send."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cvtrain.data import idx_download
from cvtrain.data.idx_download import download
from cvtrain.data.idx_fft import FASHION, FILES, MNIST

CONTENT = {f"{name}.gz": os.urandom(50_000) for name in ("images", "labels")}
CHECKSUMS = {name: hashlib.md5(content).hexdigest() for name, content in CONTENT.items()}
TIMEOUT = 0.3
WRONG = "MD5 hash .* does not match the known hash"

FAULTS = {
    "truncated": WRONG,
    "changed": WRONG,
    "aborted": WRONG,
    "silent": "timed out",
    "mute": "timed out",
    "missing": "HTTP Error 404: Not Found",
    "garbled": "no protocol",
    "endless": WRONG,
}


class Mirror(BaseHTTPRequestHandler):
    """`/good/NAME` is the file; the other folders are of mirrors with a fault each."""

    asked: list[str]
    ended: threading.Event
    together: threading.Barrier

    def do_GET(self) -> None:
        self.asked.append(self.path)
        _, fault, name = self.path.split("/")
        content = CONTENT[name]
        if fault == "missing":
            return self.send_error(404)
        if fault == "mute":
            self.ended.wait()
            return None
        if fault == "garbled":
            self.wfile.write(b"no protocol\r\n\r\n")
            return None
        if fault == "together":
            self.together.wait()
        self.send_response(200)
        half = content[: len(content) // 2]
        bodies = {"truncated": half, "changed": content[::-1], "endless": content * 2}
        body = bodies.get(fault, content)
        if fault != "endless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(half if fault in ("aborted", "silent") else body)
        if fault == "silent":
            self.wfile.flush()
            self.ended.wait()
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    state = {"asked": [], "ended": threading.Event(), "together": threading.Barrier(2, timeout=10)}
    handler = type("Handler", (Mirror,), state)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler, f"http://127.0.0.1:{serving.server_port}"
        handler.ended.set()
        serving.shutdown()
        thread.join()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_gets_the_files_and_nothing_else(tmp_path, server):
    download(tmp_path / "new" / "folder", CHECKSUMS, [f"{server[1]}/good/"])
    assert contents(tmp_path / "new" / "folder") == CONTENT
    umask = os.umask(0)
    os.umask(umask)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "new" / "folder").iterdir()}
    assert modes == {0o666 & ~umask}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mirror_with_a_fault_leaves_nothing_and_is_named_and_the_next_one_is_asked(
    tmp_path, server, fault, monkeypatch
):
    monkeypatch.setattr(idx_download, "LARGEST", 60_000)
    monkeypatch.setattr(idx_download, "TIMEOUT", TIMEOUT)
    mirror = f"{server[1]}/{fault}/"
    message = (
        rf"^images\.gz cannot be downloaded: {mirror}: .*{FAULTS[fault]}.* put it into {tmp_path}"
    )
    with pytest.raises(ValueError, match=message) as refused:
        download(tmp_path, CHECKSUMS, [mirror])
    assert "\n" not in str(refused.value)
    assert contents(tmp_path) == {}
    one = {"images.gz": CHECKSUMS["images.gz"]}
    download(tmp_path, one, [mirror, f"{server[1]}/good/"])
    assert contents(tmp_path) == {"images.gz": CONTENT["images.gz"]}


def test_what_is_there_is_neither_asked_for_nor_changed(tmp_path, server):
    (tmp_path / "images").write_bytes(b"mine")
    (tmp_path / "labels.gz").write_bytes(b"mine, packed")
    download(tmp_path, CHECKSUMS, [f"{server[1]}/good/"])
    assert contents(tmp_path) == {"images": b"mine", "labels.gz": b"mine, packed"}
    (tmp_path / "labels.gz").unlink()
    download(tmp_path, CHECKSUMS, [f"{server[1]}/good/"])
    assert server[0].asked == ["/good/labels.gz"]


def test_two_downloads_at_once_leave_one_whole_file(tmp_path, server):
    one = {"images.gz": CHECKSUMS["images.gz"]}
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(download, tmp_path, one, [f"{server[1]}/together/"]) for _ in range(2)]
    assert [download.result() for download in both] == [None, None]
    assert server[0].asked == ["/together/images.gz"] * 2
    assert contents(tmp_path) == {"images.gz": CONTENT["images.gz"]}


@pytest.mark.parametrize("moment", ["fsync", "rename"])
def test_an_interruption_leaves_no_part(tmp_path, server, monkeypatch, moment):
    def interrupt(*_: object) -> None:
        (part,) = tmp_path.iterdir()
        assert part.name != "images.gz"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(tmp_path, CHECKSUMS, [f"{server[1]}/good/"])
    assert contents(tmp_path) == {}


def test_a_place_that_cannot_be_written_is_a_line(tmp_path, server, monkeypatch):
    (tmp_path / "file").touch()
    message = re.escape(f"{tmp_path / 'file' / 'images.gz'}: cannot be written (")
    with pytest.raises(ValueError, match=message):
        download(tmp_path / "file", CHECKSUMS, [f"{server[1]}/good/"])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match=r"cannot be written \(No space left on device\)"):
        download(tmp_path, CHECKSUMS, [f"{server[1]}/good/"])
    assert contents(tmp_path) == {"file": b""}


def test_without_a_network_every_mirror_is_named_with_its_reason(tmp_path, monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    reason = "[Errno -2] Name or service not known"
    for source in (MNIST, FASHION):
        first, second = source.mirrors
        message = (
            f"train-images-idx3-ubyte.gz cannot be downloaded: {first}: {reason};"
            f" {second}: {reason};"
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            download(tmp_path, dict(zip(FILES, source.checksums, strict=True)), source.mirrors)


@pytest.mark.parametrize("source", [MNIST, FASHION], ids=lambda source: source.name)
def test_published_sources_are_addresses_of_folders_and_checksums(source):
    assert all(re.fullmatch(r"https?://[\w./-]+/", mirror) for mirror in source.mirrors)
    assert all(re.fullmatch("[0-9a-f]{32}", checksum) for checksum in source.checksums)
    assert len(set(source.checksums)) == len(FILES) == 4
