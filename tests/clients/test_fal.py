"""Fal's own Python client."""

import base64
import hashlib
import http.server
import json
import os
import queue
import threading

os.environ.setdefault("FAL_KEY", "id:secret")

import fal_client
import fal_client.client
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from conftest import decoded_frames, probed

FLUX = "fal-ai/flux/dev"
KLING = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
PIKA = "fal-ai/pika"
EDITS = {
    "fal-ai/flux/dev/image-to-image": {"strength": 0.8},
    "fal-ai/flux-pro/kontext": {},
    "fal-ai/flux-pro/v1/fill": {"mask_url": None},
    "fal-ai/stable-diffusion-v3-medium/image-to-image": {},
    "fal-ai/fast-sdxl/image-to-image": {"image_size": {"width": 320, "height": 200}},
    "fal-ai/fast-sdxl/inpainting": {"mask_url": None, "image_size": {"width": 320, "height": 200}},
    "fal-ai/nano-banana/edit": {"image_urls": None},
}


@pytest.fixture
def client(simulator, monkeypatch):
    # The client has no setting for the scheme, so its URL is replaced (contract sheet, section 6).
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", simulator.url + "/fal/")
    monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", simulator.url + "/fal/run/")
    monkeypatch.setattr(fal_client.client, "REST_URL", simulator.url + "/fal")
    monkeypatch.setattr(fal_client.client, "CDN_URL", simulator.url + "/fal")
    return fal_client.SyncClient(key="id:secret")


def run(client, model, **arguments):
    return client.submit(model, arguments=arguments)


@pytest.fixture
def picture(client, simulator):
    """The bytes of a PNG of 320 by 200."""
    size = {"width": 320, "height": 200}
    result = client.subscribe(FLUX, arguments={"prompt": "input", "output_format": "png", "image_size": size})
    return simulator.download(result["images"][0]["url"])[0]


@pytest.mark.parametrize("form, codec", [("jpeg", "mjpeg"), ("png", "png")])
def test_an_image_decodes_at_its_size(client, simulator, tmp_path, form, codec):
    result = client.subscribe(FLUX, arguments={"prompt": "a cat", "output_format": form, "image_size": "square"})
    image = result["images"][0]
    data, content_type = simulator.download(image["url"])
    assert content_type == image["content_type"] == f"image/{form}"
    assert len(data) == image["file_size"]
    assert decoded_frames(data) == (1, 512, 512)
    assert probed(data, tmp_path / f"image.{form}")["streams"][0]["codec_name"] == codec


def test_a_video_decodes_at_its_length(client, simulator, tmp_path):
    result = client.subscribe(KLING, arguments={"prompt": "a walk", "duration": "5", "aspect_ratio": "9:16"})
    data, _ = simulator.download(result["video"]["url"])
    assert decoded_frames(data) == (120, 720, 1280)
    assert probed(data, tmp_path / "video.mp4")["format"]["duration"] == "5.000000"


def test_the_handle_follows_the_states(client):
    handle = run(client, FLUX, prompt="states")
    kinds = [type(event) for event in handle.iter_events(with_logs=True, interval=0.02)]
    assert kinds[0] in (fal_client.Queued, fal_client.InProgress)
    assert isinstance(handle.status(), fal_client.Completed)
    assert handle.get()["prompt"] == "states"


def test_cancel_ends_the_request(client, simulator):
    handle = run(client, KLING, prompt="cancel me")
    handle.cancel()
    assert isinstance(handle.status(), fal_client.Completed)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 499
    assert [entry["kind"] for entry in simulator.journal()].count("cancel") == 1


@pytest.mark.parametrize("key, status", [("bad-key", 401), ("no-money", 403)])
def test_refused_keys(simulator, client, key, status):
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        run(fal_client.SyncClient(key=key), FLUX, prompt="x")
    assert caught.value.status_code == status
    assert simulator.billed() == 0


def test_invalid_input_is_422_with_a_list(client):
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        run(client, FLUX, image_size="square")
    assert caught.value.status_code == 422
    assert caught.value.response.json()["detail"][0]["loc"] == ["body", "prompt"]


def test_unknown_models_are_404(client):
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        run(client, "fal-ai/flux-pro", prompt="x")
    assert caught.value.status_code == 404


def test_limits_are_retried_until_they_end(client, simulator):
    simulator.script({"type": "status", "code": 429}, times=2, matches={"kind": "submit"})
    assert run(client, FLUX, prompt="patience").get()["images"]
    statuses = [entry["status"] for entry in simulator.journal() if entry["kind"] == "submit"]
    assert statuses == [429, 429, 200]
    assert simulator.billed() == 1


def test_refused_content_is_an_error_or_a_black_image(client, simulator):
    flagged = client.subscribe(FLUX, arguments={"prompt": "[sim:moderation]"})
    assert flagged["has_nsfw_concepts"] == [True]
    handle = run(client, KLING, prompt="[sim:moderation]")
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 422
    assert caught.value.response.json()["detail"][0]["type"] == "content_policy_violation"


@pytest.mark.parametrize("model", EDITS)
def test_edits_decode_at_the_size_of_their_picture(client, simulator, picture, model):
    url = fal_client.encode(picture, "image/png")
    arguments = {"prompt": "a hat", "image_url": url, **EDITS[model]}
    if "mask_url" in arguments:
        arguments["mask_url"] = url
    if "image_urls" in arguments:
        arguments["image_urls"] = [url]
    image = client.subscribe(model, arguments=arguments)["images"][0]
    data, content_type = simulator.download(image["url"])
    assert content_type == image["content_type"]
    assert decoded_frames(data) == (1, 320, 200)


def test_a_webp_decodes(client, simulator, tmp_path):
    arguments = {"prompt": "p", "output_format": "webp", "aspect_ratio": "5:4"}
    image = client.subscribe("fal-ai/nano-banana", arguments=arguments)["images"][0]
    data, content_type = simulator.download(image["url"])
    assert content_type == "image/webp"
    assert decoded_frames(data) == (1, 1152, 896)


@pytest.mark.parametrize("content", ["hello", ""])
def test_what_is_no_picture_is_refused(client, content):
    url = fal_client.encode(content, "image/png")
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        run(client, "fal-ai/flux-pro/kontext", prompt="p", image_url=url)
    assert caught.value.status_code == 422
    assert caught.value.response.json()["detail"][0]["type"] == "image_load_error"


@pytest.mark.parametrize("version", ["v2.2", "v2.1", "v2/turbo"])
def test_pika_makes_videos_of_text_and_of_pictures(client, simulator, picture, version):
    arguments = {"prompt": "a walk", "aspect_ratio": "1:1", "duration": 5}
    result = client.subscribe(f"{PIKA}/{version}/text-to-video", arguments=arguments)
    assert decoded_frames(simulator.download(result["video"]["url"])[0]) == (120, 720, 720)
    arguments = {"prompt": "a walk", "image_url": fal_client.encode(picture, "image/png")}
    result = client.subscribe(f"{PIKA}/{version}/image-to-video", arguments=arguments)
    assert decoded_frames(simulator.download(result["video"]["url"])[0]) == (120, 1152, 720)


def test_pikaframes_take_pictures_and_transitions(client, simulator, picture):
    urls = [fal_client.encode(picture, "image/png")] * 2
    arguments = {"image_urls": urls, "transitions": [{"duration": 2, "prompt": "melt"}], "resolution": "1080p"}
    result = client.subscribe(f"{PIKA}/v2.2/pikaframes", arguments=arguments)
    assert decoded_frames(simulator.download(result["video"]["url"])[0]) == (48, 1728, 1080)


@pytest.mark.parametrize(
    "model, options, expected",
    [
        ("fal-ai/wan/v2.2-a14b/text-to-video", {"num_frames": 33, "resolution": "480p"}, (33, 854, 480)),
        ("fal-ai/ltx-video", {}, (121, 768, 512)),
    ],
)
def test_other_videos_decode(client, simulator, model, options, expected):
    result = client.subscribe(model, arguments={"prompt": "p", **options})
    assert decoded_frames(simulator.download(result["video"]["url"])[0]) == expected
    assert isinstance(result["seed"], int)


@pytest.mark.parametrize("repository", ["fal_v3", "fal"])
def test_an_uploaded_file_is_an_input(client, simulator, picture, tmp_path, repository):
    path = tmp_path / "input.png"
    path.write_bytes(picture)
    url = client.upload_file(path, repository=repository, fallback_repository=[])
    assert simulator.download(url) == (picture, "image/png")
    result = client.subscribe(f"{PIKA}/v2.2/image-to-video", arguments={"prompt": "p", "image_url": url})
    assert decoded_frames(simulator.download(result["video"]["url"])[0]) == (120, 1152, 720)


def test_direct_calls_bring_the_output(client, simulator):
    result = client.run(FLUX, arguments={"prompt": "now", "image_size": "square"})
    assert decoded_frames(simulator.download(result["images"][0]["url"])[0]) == (1, 512, 512)


def test_priority_and_start_timeout_are_understood(client):
    handle = client.submit(FLUX, arguments={"prompt": "p"}, priority="low", start_timeout=30, hint="any")
    assert handle.get()["images"]


@pytest.fixture
def receiver():
    """A server that keeps each call: its headers and its body."""
    calls = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            calls.put((self.headers, body))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?a=1&b=2", calls
    server.shutdown()
    thread.join()
    server.server_close()


def is_signed(simulator, headers, body) -> bool:
    """The check that Fal's documentation asks of receivers."""
    names = ("Request-Id", "User-Id", "Timestamp")
    lines = [headers[f"X-Fal-Webhook-{name}"] for name in names] + [hashlib.sha256(body).hexdigest()]
    signature = bytes.fromhex(headers["X-Fal-Webhook-Signature"])
    for key in json.loads(simulator.download(simulator.url + "/fal/.well-known/jwks.json")[0])["keys"]:
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
        try:
            public.verify(signature, "\n".join(lines).encode())
            return True
        except InvalidSignature:
            continue
    return False


def test_a_webhook_brings_the_result_and_is_signed(client, simulator, receiver):
    url, calls = receiver
    handle = client.submit(FLUX, arguments={"prompt": "tell me"}, webhook_url=url)
    headers, body = calls.get(timeout=20)
    assert is_signed(simulator, headers, body)
    assert not is_signed(simulator, headers, body + b" ")
    told = json.loads(body)
    assert (told["request_id"], told["status"]) == (handle.request_id, "OK")
    assert told["payload"] == handle.get()


def test_a_webhook_tells_of_a_failure(client, simulator, receiver):
    url, calls = receiver
    run_with = {"prompt": "[sim:fail=generation_timeout]"}
    client.submit(f"{PIKA}/v2.2/text-to-video", arguments=run_with, webhook_url=url)
    headers, body = calls.get(timeout=20)
    assert is_signed(simulator, headers, body)
    told = json.loads(body)
    assert (told["status"], told["error"]) == ("ERROR", "Unexpected status code: 504")
    assert told["payload"]["detail"][0]["type"] == "generation_timeout"
