"""Fal's own Python client."""

import os

os.environ.setdefault("FAL_KEY", "id:secret")

import fal_client
import fal_client.client
import pytest
from conftest import decoded_frames, probed

FLUX = "fal-ai/flux/dev"
KLING = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"


@pytest.fixture
def client(simulator, monkeypatch):
    # The client has no setting for the scheme, so its URL is replaced (contract sheet, section 6).
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", simulator.url + "/fal/")
    return fal_client.SyncClient(key="id:secret")


def run(client, model, **arguments):
    return client.submit(model, arguments=arguments)


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
