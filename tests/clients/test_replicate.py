"""Replicate's own Python SDK, the released line (1.x). Its base URL is the root, without `/v1`."""

import asyncio
import importlib.metadata
import io

import pytest
from conftest import decoded_frames, probed
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.pagination import paginate
from replicate.webhook import InvalidSignatureError, Webhooks

SCHNELL = "black-forest-labs/flux-schnell"
KONTEXT = "black-forest-labs/flux-kontext-pro"
SEEDANCE = "bytedance/seedance-1-pro"
SDXL = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
OPEN_VIDEO = "feed0002" + "0" * 56


@pytest.fixture
def client(simulator):
    return client_with(simulator, "r8_x")


def client_with(simulator, token):
    client = Client(api_token=token, base_url=simulator.url + "/replicate")
    client.poll_interval = 0.05
    return client


@pytest.mark.parametrize("form, codec", [("webp", "webp"), ("png", "png"), ("jpg", "mjpeg")])
def test_run_makes_an_image_that_decodes(client, simulator, tmp_path, form, codec):
    options = {"prompt": "a cat", "output_format": form, "aspect_ratio": "3:2", "num_outputs": 2}
    first, second = client.run(SCHNELL, input=options)
    data, content_type = simulator.download(first)
    assert content_type == "image/" + form.replace("jpg", "jpeg")
    assert decoded_frames(data) == (1, 1216, 832)
    assert probed(data, tmp_path / f"image.{form}")["streams"][0]["codec_name"] == codec
    assert simulator.download(second)[0] != data
    assert simulator.billed() == 1


def test_run_by_version_asks_for_the_version_too(client, simulator):
    (url,) = client.run(f"stability-ai/sdxl:{SDXL}", input={"prompt": "a cat", "width": 768, "height": 512})
    assert decoded_frames(simulator.download(url)[0]) == (1, 768, 512)
    assert simulator.journal()[1]["path"] == f"/replicate/v1/models/stability-ai/sdxl/versions/{SDXL}"


def test_run_polls_when_it_must_not_wait(client, simulator):
    url = client.run(SEEDANCE, input={"prompt": "a walk", "duration": 2, "resolution": "480p"}, wait=False)
    data, content_type = simulator.download(url)
    assert content_type == "video/mp4"
    assert decoded_frames(data) == (48, 864, 480)
    assert "status" in [entry["kind"] for entry in simulator.journal()]


def test_run_takes_an_early_output_for_the_end(client, simulator):
    # The trap of the waiting mode: still processing, with the files as data.
    (file,) = client.run(SCHNELL, input={"prompt": "[sim:progress=processing]"})
    assert isinstance(file, FileOutput)
    assert file.url.startswith("data:image/webp;base64,")
    assert decoded_frames(file.read()) == (1, 1024, 1024)


def test_open_models_run_by_their_version(client, simulator):
    url = client.run(f"somebody/something:{OPEN_VIDEO}", input={"prompt": "x", "any": [1, 2], "duration": 1})
    assert decoded_frames(simulator.download(url)[0]) == (24, 1280, 720)


def test_async_run(client, simulator):
    (url,) = asyncio.run(client.async_run(SCHNELL, input={"prompt": "async"}))
    assert decoded_frames(simulator.download(url)[0]) == (1, 1024, 1024)


def test_a_prediction_is_followed_to_its_end(client):
    prediction = client.predictions.create(version=SDXL, input={"prompt": "follow"})
    assert (prediction.status, prediction.model, prediction.version) == ("starting", "stability-ai/sdxl", SDXL)
    seen = [prediction.status]
    while seen[-1] != "succeeded":
        prediction.reload()
        if prediction.status != seen[-1]:
            seen.append(prediction.status)
    assert seen == ["starting", "processing", "succeeded"]
    assert len(prediction.output) == 1
    assert prediction.metrics["predict_time"] > 0
    again = client.predictions.get(prediction.id)
    again.wait()
    assert again.output == prediction.output


def test_cancel_ends_the_prediction(client, simulator):
    prediction = client.models.predictions.create(SEEDANCE, input={"prompt": "cancel me"})
    prediction.cancel()
    assert prediction.status == "canceled"
    prediction.reload()
    assert (prediction.status, prediction.output) == ("canceled", None)
    assert [entry["kind"] for entry in simulator.journal()].count("cancel") == 1


def test_deployments_run_their_model(client):
    assert client.deployments.get("acme/sdxl").current_release.model == "stability-ai/sdxl"
    prediction = client.deployments.predictions.create("acme/sdxl", input={"prompt": "x"})
    prediction.wait()
    assert prediction.version.startswith("dp-")
    assert prediction.status == "succeeded"


def test_predictions_are_listed_newest_first(client):
    made = [client.models.predictions.create(SCHNELL, input={"prompt": "list"}).id for _ in range(102)]
    pages = paginate(client.predictions.list)
    first, second = next(pages), next(pages)
    listed = [prediction.id for page in (first, second) for prediction in page]
    assert len(first) == 100
    assert listed[: len(made)] == made[::-1]


def test_files_are_uploaded_and_used(client, simulator, tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    file = client.files.create(path, metadata={"of": "a cat"})
    assert (file.name, file.content_type, file.size) == ("cat.png", "image/png", 1008)
    assert file.metadata == {"of": "a cat"}
    assert client.files.get(file.id) == file
    assert file.id in [known.id for known in client.files.list()]
    prediction = client.models.predictions.create(KONTEXT, input={"prompt": "x", "input_image": path.open("rb")})
    assert prediction.input["input_image"].startswith(f"{simulator.url}/replicate/v1/files/")
    prediction.wait()
    assert decoded_frames(simulator.download(prediction.output)[0]) == (1, 1024, 1024)
    assert client.files.delete(file.id)
    with pytest.raises(ReplicateError) as caught:
        client.files.get(file.id)
    assert caught.value.status == 404


def test_small_files_go_along_as_data(client):
    prediction = client.models.predictions.create(
        KONTEXT, input={"prompt": "x", "input_image": io.BytesIO(b"image")}, file_encoding_strategy="base64"
    )
    assert prediction.input["input_image"] == "data:application/octet-stream;base64,aW1hZ2U="


def test_webhooks_carry_a_signature_that_the_sdk_accepts(client, receiver):
    prediction = client.models.predictions.create(
        SCHNELL, input={"prompt": "hook ü"}, webhook=receiver.url, webhook_events_filter=["completed"]
    )
    headers, body = receiver.next()
    assert f'"id":"{prediction.id}"' in body
    assert '"status":"succeeded"' in body
    secret = client.webhooks.default.secret()
    Webhooks.validate(headers=headers, body=body, secret=secret, tolerance=60)
    with pytest.raises(InvalidSignatureError):
        Webhooks.validate(headers=headers, body=body + " ", secret=secret, tolerance=60)


@pytest.mark.parametrize("prompt, text", [("[sim:moderation]", "NSFW"), ("[sim:fail=E8765]", "(E8765)")])
def test_failures_are_told_in_the_prediction(client, prompt, text):
    with pytest.raises(ModelError) as caught:
        client.run(SCHNELL, input={"prompt": prompt})
    assert text in caught.value.prediction.error


def test_the_newest_status_is_too_new_for_this_sdk(client):
    prediction = client.models.predictions.create(SCHNELL, input={"prompt": "[sim:fail=aborted]"})
    with pytest.raises(ValueError, match="unexpected value"):
        prediction.wait()


@pytest.mark.parametrize("token, status, title", [("bad-key", 401, "Unauthenticated"), ("no-money", 402, "Insufficient credit")])
def test_refused_keys(simulator, token, status, title):
    with pytest.raises(ReplicateError) as caught:
        client_with(simulator, token).run(SCHNELL, input={"prompt": "x"})
    assert (caught.value.status, caught.value.title) == (status, title)
    assert simulator.billed() == 0


def test_wrong_input_is_422_and_named(client):
    with pytest.raises(ReplicateError) as caught:
        client.run(SCHNELL, input={"num_inference_steps": 50, "aspect_ratio": "5:3"})
    assert caught.value.status == 422
    lines = caught.value.detail.splitlines()
    assert lines[0] == "- input: prompt is required"
    assert lines[1].startswith('- input.aspect_ratio: aspect_ratio must be one of the following: "1:1"')
    assert lines[2] == "- input.num_inference_steps: Must be less than or equal to 4"


def test_unknown_models_and_versions(client):
    for call, status in [
        (lambda: client.run("nobody/nothing", input={}), 404),
        (lambda: client.predictions.create(version="0" * 64, input={}), 422),
        (lambda: client.predictions.get("none"), 404),
        (lambda: client.models.get("nobody/nothing"), 404),
    ]:
        with pytest.raises(ReplicateError) as caught:
            call()
        assert caught.value.status == status


def test_limits_are_retried_where_that_costs_nothing(client, simulator):
    simulator.script({"type": "status", "code": 429, "retry_after_s": 0}, times=1)
    with pytest.raises(ReplicateError) as caught:
        client.models.predictions.create(SCHNELL, input={"prompt": "x"})
    assert caught.value.status == 429
    assert "throttled" in caught.value.detail
    prediction = client.models.predictions.create(SCHNELL, input={"prompt": "x"})
    simulator.script({"type": "status", "code": 429}, times=2, matches={"kind": "status"})
    prediction.reload()
    statuses = [entry["status"] for entry in simulator.journal() if entry["kind"] == "status"]
    assert statuses == [429, 429, 200]


def test_models_describe_their_input(client):
    model = client.models.get("stability-ai/sdxl")
    version = model.versions.get(SDXL)
    assert version.id in [known.id for known in model.versions.list()]
    fields = version.openapi_schema["components"]["schemas"]["Input"]["properties"]
    assert fields["num_outputs"]["maximum"] == 4
    assert client.models.get(SCHNELL).latest_version.openapi_schema["components"]["schemas"]["Input"]["required"] == ["prompt"]


def test_account_and_hardware(client):
    assert client.accounts.current().username == "simulated"
    assert "gpu-l40s" in [hardware.sku for hardware in client.hardware.list()]


def test_this_is_the_released_sdk():
    assert importlib.metadata.version("replicate").startswith("1.")
