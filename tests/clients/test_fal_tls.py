"""Fal's own Python client, in a process of its own and without a single change to it: over TLS."""

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading

import pytest

# What is run; each ends with a line of JSON.
IMAGE = """
import fal_client, httpx, json
result = fal_client.subscribe("fal-ai/flux/dev", {"prompt": "a cat"}, with_logs=True)
url = result["images"][0]["url"]
file = httpx.get(url)
print(json.dumps({"url": url, "type": file.headers["content-type"], "bytes": len(file.content)}))
"""
CANCEL = """
import fal_client, json
model = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
handle = fal_client.submit(model, {"prompt": "stop"})
fal_client.cancel(model, handle.request_id)
print(json.dumps(fal_client.status(model, handle.request_id).error_type))
"""
UPLOAD = """
import fal_client, httpx, json, sys
image = fal_client.run("fal-ai/flux/dev", {"prompt": "in", "output_format": "png"})["images"][0]
with open("input.png", "wb") as file:
    file.write(httpx.get(image["url"]).content)
urls = [fal_client.SyncClient().upload_file("input.png", repository=kind, fallback_repository=[]) for kind in ("fal_v3", "fal")]
results = [
    fal_client.subscribe("fal-ai/pika/v2.2/image-to-video", {"prompt": "p", "image_url": url, "duration": "5"})
    for url in urls
]
print(json.dumps({"uploads": urls, "videos": [result["video"]["url"] for result in results]}))
"""


class Tunnel(socketserver.ThreadingTCPServer):
    """A proxy that leads every host to the one address, without looking inside."""

    daemon_threads = True

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), TunnelHandler)
        self.target = target
        self.hosts = set()


class TunnelHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, host, _ = self.rfile.readline().decode().split()
        assert method == "CONNECT"
        self.server.hosts.add(host)
        while self.rfile.readline().strip():
            pass
        with socket.create_connection(self.server.target) as there:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=pump, args=(there, self.connection), daemon=True)
            back.start()
            pump(self.connection, there)
            back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Copies until one side ends."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Secure:
    """A simulator that speaks TLS as Fal, and a way to run programs against it."""

    def __init__(self, url: str, certificate: str, folder: str) -> None:
        self.host = url.removeprefix("https://")
        self.certificate = certificate
        self.folder = folder

    def run(self, program: str, **environment: str):
        """Runs a program and gives the JSON of its last line."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "NO_PROXY") if name in os.environ}
        variables = {**kept, "FAL_KEY": "id:secret", "SSL_CERT_FILE": self.certificate, **environment}
        arguments = [sys.executable, "-c", program]
        done = subprocess.run(arguments, env=variables, cwd=self.folder, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def secure(tmp_path):
    program = os.environ.get("ATELIER_SIMULATOR")
    assert program, "ATELIER_SIMULATOR is not set: start the tests with tests/clients/run"
    certificate = tmp_path / "certificate.pem"
    arguments = ["--listen", "127.0.0.1:0", "--video", "300ms", "--tls-listen", "127.0.0.1:0"]
    arguments += ["--tls-certificate", str(certificate), "--tls-provider", "fal"]
    arguments += ["--tls-names", "fal.run,queue.fal.run,rest.fal.ai,v3.fal.media"]
    simulator = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        words = simulator.stdout.readline().split()
        url = next(word for word in words if word.startswith("https://"))
        yield Secure(url, str(certificate), str(tmp_path))
    finally:
        simulator.terminate()
        simulator.wait(timeout=20)
        simulator.stdout.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_host_alone_is_set(secure, name):
    host = secure.host.replace("127.0.0.1", name)
    result = secure.run(IMAGE, FAL_RUN_HOST=host, FAL_QUEUE_RUN_HOST=host)
    assert result["url"].startswith(f"https://{host}/media/fal/")
    assert result["type"] == "image/jpeg" and result["bytes"] > 1000


def test_requests_are_found_again_by_their_id(secure):
    assert secure.run(CANCEL, FAL_QUEUE_RUN_HOST=secure.host) == "client_cancelled"


def test_uploads_and_direct_calls_reach_the_real_hosts(secure):
    address, port = secure.host.split(":")
    with Tunnel((address, int(port))) as tunnel:
        thread = threading.Thread(target=tunnel.serve_forever)
        thread.start()
        try:
            result = secure.run(UPLOAD, HTTPS_PROXY=f"http://127.0.0.1:{tunnel.server_address[1]}")
        finally:
            tunnel.shutdown()
            thread.join()
        hosts = {host.removesuffix(":443") for host in tunnel.hosts}
    assert hosts == {"fal.run", "queue.fal.run", "rest.fal.ai", "v3.fal.media"}
    assert result["uploads"][0].startswith("https://v3.fal.media/files/")
    assert result["uploads"][1].startswith("https://rest.fal.ai/files/")
    assert all(url.startswith("https://queue.fal.run/media/fal/") for url in result["videos"])
