"""Runway's own Python SDK, which refuses bodies that are not exactly as it expects."""

import pytest
import runwayml
import runwayml.lib.polling
from conftest import decoded_frames, probed
from runwayml import RunwayML
from runwayml.lib.polling import TaskFailedError

IMAGE = "https://example.com/image.png"


@pytest.fixture(autouse=True)
def fast_polling(monkeypatch):
    monkeypatch.setattr(runwayml.lib.polling, "POLL_TIME", 0.1)
    monkeypatch.setattr(runwayml.lib.polling, "POLL_JITTER", 0.02)


@pytest.fixture
def client(simulator):
    return client_with(simulator, "key_x")


def client_with(simulator, key, **options):
    return RunwayML(
        api_key=key,
        base_url=simulator.url + "/runway",
        _strict_response_validation=True,
        **{"max_retries": 0, **options},
    )


def create(client, prompt="a slow pan", **changes):
    fields = {"model": "gen4.5", "prompt_text": prompt, "ratio": "1280:720", "duration": 2, **changes}
    return client.text_to_video.create(**fields)


def test_text_to_video_decodes(client, simulator, tmp_path):
    created = create(client)
    assert created.estimated_cost.credits == 24
    task = created.wait_for_task_output()
    assert (task.status, task.cost.credits) == ("SUCCEEDED", 24)
    data, content_type = simulator.download(task.output[0])
    assert content_type == "video/mp4"
    assert decoded_frames(data) == (48, 1280, 720)
    stream = probed(data, tmp_path / "video.mp4")["streams"][0]
    assert (stream["codec_name"], stream["duration"], stream["nb_read_frames"]) == ("h264", "2.000000", "48")


@pytest.mark.parametrize("ratio", ["1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672"])
def test_image_to_video_has_the_ratio_asked_for(client, simulator, ratio):
    task = client.image_to_video.create(
        model="gen4_turbo", prompt_image=IMAGE, prompt_text="pan", ratio=ratio, duration=2
    ).wait_for_task_output()
    data, _ = simulator.download(task.output[0])
    width, height = map(int, ratio.split(":"))
    assert decoded_frames(data) == (48, width, height)
    assert len(data) < 3_000_000


def test_every_state_passes_strict_validation(client, simulator):
    created = create(client, prompt="[sim:progress=THROTTLED]")
    seen = []
    while not seen or seen[-1] not in ("SUCCEEDED", "FAILED"):
        status = client.tasks.retrieve(created.id).status
        if status not in seen:
            seen.append(status)
    assert seen == ["THROTTLED", "PENDING", "RUNNING", "SUCCEEDED"]
    cancelled = create(client, prompt="[sim:fail=CANCELLED]")
    while (task := client.tasks.retrieve(cancelled.id)).status in ("PENDING", "RUNNING"):
        pass
    assert task.status == "CANCELLED"


def test_delete_cancels(client, simulator):
    created = create(client)
    client.tasks.delete(created.id)
    with pytest.raises(runwayml.NotFoundError):
        client.tasks.retrieve(created.id)
    assert [entry["kind"] for entry in simulator.journal()].count("cancel") == 1


def test_failures_carry_their_code(client):
    for prompt, code in [("[sim:moderation]", "SAFETY.INPUT.TEXT"), ("[sim:fail=ASSET.INVALID]", "ASSET.INVALID")]:
        with pytest.raises(TaskFailedError) as caught:
            create(client, prompt=prompt).wait_for_task_output()
        assert caught.value.task_details.failure_code == code


def test_wrong_keys_are_401(simulator):
    with pytest.raises(runwayml.AuthenticationError):
        create(client_with(simulator, "bad-key"))


def test_no_credits_is_400(simulator):
    with pytest.raises(runwayml.BadRequestError) as caught:
        create(client_with(simulator, "no-money"))
    assert "enough credits" in caught.value.body["error"]


@pytest.mark.parametrize(
    "change, field",
    [({"ratio": "16:9"}, "ratio"), ({"duration": 11}, "duration"), ({"prompt_text": "\U0001f600" * 501}, "promptText")],
)
def test_wrong_fields_are_400_and_named(client, simulator, change, field):
    with pytest.raises(runwayml.BadRequestError) as caught:
        create(client, **change)
    assert caught.value.body["issues"][0]["path"] == [field]
    assert simulator.billed() == 0


def test_the_retired_model_is_400(client):
    with pytest.raises(runwayml.BadRequestError) as caught:
        client.image_to_video.create(model="gen3a_turbo", prompt_image=IMAGE, ratio="1280:768", duration=5)
    assert "issues" not in caught.value.body


def test_limits_are_429(client, simulator):
    simulator.script({"type": "status", "code": 429}, matches={"kind": "submit"})
    with pytest.raises(runwayml.RateLimitError) as caught:
        create(client)
    assert "daily task limit" in caught.value.body["error"]


def test_the_sdk_pays_twice_when_an_answer_is_lost(simulator):
    simulator.script({"type": "lost"}, times=1, matches={"kind": "submit"})
    create(client_with(simulator, "key_x", max_retries=1))
    assert simulator.billed() == 2


def test_organization_and_uploads(client, tmp_path):
    organization = client.organization.retrieve()
    assert organization.credit_balance > 0
    assert organization.tier.models["gen4_turbo"].max_concurrent_generations == 5
    image = tmp_path / "image.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    uploaded = client.uploads.create_ephemeral(file=image)
    assert uploaded.uri.startswith("runway://")
    assert client.image_to_video.create(model="gen4_turbo", prompt_image=uploaded.uri, ratio="960:960", duration=2).id
