"""Replicate's next Python SDK (2.x, a pre-release), strict about bodies. Its base URL includes `/v1`."""

import importlib.metadata
import json

import pytest
import replicate
from conftest import decoded_frames
from replicate import Replicate
from replicate.exceptions import ModelError

SCHNELL = "black-forest-labs/flux-schnell"
KONTEXT = "black-forest-labs/flux-kontext-pro"
SEEDANCE = "bytedance/seedance-1-pro"
SDXL = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc"


@pytest.fixture
def client(simulator):
    return client_with(simulator, "r8_x")


def client_with(simulator, token, **options):
    client = Replicate(
        bearer_token=token,
        base_url=simulator.url + "/replicate/v1",
        **{"max_retries": 0, "_strict_response_validation": True, **options},
    )
    client.poll_interval = 0.05
    return client


def create(client, model=SCHNELL, **options):
    owner, name = model.split("/")
    return client.models.predictions.create(model_owner=owner, model_name=name, **options)


def test_run_makes_an_image_that_decodes(client, simulator):
    (url,) = client.run(SCHNELL, input={"prompt": "a cat", "aspect_ratio": "9:16"})
    assert decoded_frames(simulator.download(url)[0]) == (1, 768, 1344)


def test_run_by_version(client, simulator):
    (url,) = client.run(f"stability-ai/sdxl:{SDXL}", input={"prompt": "a cat"})
    assert decoded_frames(simulator.download(url)[0]) == (1, 1024, 1024)


def test_run_polls_when_it_must_not_wait(client, simulator):
    url = client.run(SEEDANCE, input={"prompt": "a walk", "duration": 2, "resolution": "480p"}, wait=False)
    assert decoded_frames(simulator.download(url)[0]) == (48, 864, 480)


def test_run_takes_an_early_output_for_the_end(client):
    (file,) = client.run(SCHNELL, input={"prompt": "[sim:progress=processing]"})
    assert file.url.startswith("data:image/webp;base64,")
    assert decoded_frames(file.read()) == (1, 1024, 1024)


def test_every_state_passes_strict_validation(client):
    prediction = client.predictions.create(version=SDXL, input={"prompt": "follow"})
    assert (prediction.status, prediction.version, prediction.output) == ("starting", SDXL, None)
    seen = [prediction.status]
    while seen[-1] != "succeeded":
        prediction = client.predictions.get(prediction_id=prediction.id)
        if prediction.status != seen[-1]:
            seen.append(prediction.status)
    assert seen == ["starting", "processing", "succeeded"]
    assert prediction.metrics.total_time > prediction.metrics.predict_time > 0
    assert prediction.completed_at > prediction.started_at > prediction.created_at
    assert client.predictions.wait(prediction.id).output == prediction.output


def test_official_models_have_a_hidden_version(client):
    assert client.predictions.create(version=SCHNELL, input={"prompt": "x"}).version == "hidden"


def test_cancel_ends_the_prediction(client):
    prediction = create(client, SEEDANCE, input={"prompt": "cancel me"})
    assert client.predictions.cancel(prediction_id=prediction.id).status == "canceled"
    assert client.predictions.get(prediction_id=prediction.id).status == "canceled"


def test_a_wait_that_is_too_short_tells_how_it_stands(client):
    prediction = create(client, input={"prompt": "[sim:stuck]"}, prefer="wait=1")
    assert prediction.status == "processing"
    assert prediction.output is None


def test_deadlines_are_shown(client):
    prediction = create(client, input={"prompt": "[sim:stuck]"}, cancel_after="1s", prefer="wait")
    assert prediction.status == "canceled"
    assert (prediction.deadline - prediction.created_at).total_seconds() == 1


def test_this_sdk_lets_the_newest_status_pass_when_it_is_not_strict(simulator):
    client = client_with(simulator, "r8_x", _strict_response_validation=False)
    prediction = create(client, input={"prompt": "[sim:fail=aborted]"}, prefer="wait")
    assert (prediction.status, prediction.started_at) == ("aborted", None)


def test_predictions_are_listed_over_pages(client):
    moment = create(client, input={"prompt": "first"}).created_at
    made = [create(client, input={"prompt": "list"}).id for _ in range(101)]
    listed = [prediction.id for prediction in client.predictions.list(created_after=moment)]
    assert listed[:101] == made[::-1]
    assert len(listed) < 110


def test_files_are_uploaded_and_used(client, simulator):
    file = client.files.create(content=b"picture", filename="cat.png", type="image/png")
    assert (file.size, file.content_type) == (7, "image/png")
    assert client.files.get(file_id=file.id).urls.get == file.urls.get
    assert file.id in [known.id for known in client.files.list()]
    signed = {"owner": "simulated", "expiry": 4_000_000_000, "signature": "any"}
    assert client.files.download(file_id=file.id, **signed).read() == b"picture"
    output = client.run(KONTEXT, input={"prompt": "x", "input_image": file.urls.get})
    assert decoded_frames(simulator.download(output)[0]) == (1, 1024, 1024)
    client.files.delete(file_id=file.id)
    with pytest.raises(replicate.NotFoundError):
        client.files.get(file_id=file.id)


def test_webhooks_hold_a_whole_prediction(client, receiver):
    prediction = create(client, input={"prompt": "x"}, webhook=receiver.url, webhook_events_filter=["start", "completed"])
    statuses = {}
    for _ in range(2):
        headers, body = receiver.next()
        told = type(prediction).model_validate(json.loads(body))
        assert told.id == prediction.id
        statuses[told.status] = headers["webhook-signature"].startswith("v1,")
    assert statuses == {"processing": True, "succeeded": True}
    assert client.webhooks.default.secret.get().key.startswith("whsec_")


def test_failures_are_told_in_the_prediction(client):
    with pytest.raises(ModelError) as caught:
        client.run(SEEDANCE, input={"prompt": "[sim:moderation]"})
    assert caught.value.prediction.error.endswith("(E005)")


def test_refused_keys(simulator):
    for token, status in [("bad-key", 401), ("no-money", 402)]:
        with pytest.raises(replicate.APIStatusError) as caught:
            client_with(simulator, token).run(SCHNELL, input={"prompt": "x"})
        assert caught.value.status_code == status
        assert caught.value.response.headers["content-type"] == "application/problem+json"
    assert simulator.billed() == 0


def test_wrong_input_is_422_and_named(client):
    with pytest.raises(replicate.UnprocessableEntityError) as caught:
        client.run(SCHNELL, input={"prompt": "x", "num_outputs": 9})
    (field,) = caught.value.response.json()["invalid_fields"]
    assert (field["type"], field["field"]) == ("number_lte", "input.num_outputs")


def test_the_model_does_not_belong_into_the_body(client):
    with pytest.raises(replicate.UnprocessableEntityError) as caught:
        client.predictions.create(version="", input={}, extra_body={"model": SCHNELL})
    assert "Additional property model is not allowed" in caught.value.response.json()["detail"]


def test_the_sdk_pays_twice_when_an_answer_is_lost(simulator):
    simulator.script({"type": "lost"}, times=1, matches={"kind": "submit"})
    create(client_with(simulator, "r8_x", max_retries=1), input={"prompt": "twice"})
    assert simulator.billed() == 2


def test_limits_are_429(client, simulator):
    simulator.script({"type": "status", "code": 429, "retry_after_s": 3}, matches={"kind": "submit"})
    with pytest.raises(replicate.RateLimitError) as caught:
        create(client, input={"prompt": "x"})
    assert caught.value.response.json()["retry_after"] == 3


def test_models_accounts_and_hardware(client):
    model = client.models.get(model_owner="black-forest-labs", model_name="flux-schnell")
    assert model.is_official
    assert model.latest_version.openapi_schema["components"]["schemas"]["Output"]["type"] == "array"
    client.models.versions.list(model_owner="stability-ai", model_name="sdxl")
    version = client.models.versions.get(model_owner="stability-ai", model_name="sdxl", version_id=SDXL)
    assert version.id == SDXL
    assert client.deployments.get(deployment_owner="acme", deployment_name="sdxl").current_release.model == "stability-ai/sdxl"
    assert client.account.get().username == "simulated"
    assert "gpu-l40s" in [hardware.sku for hardware in client.hardware.list()]


def test_this_is_the_next_sdk():
    assert importlib.metadata.version("replicate").startswith("2.")
