"""The published PromptRails SDK against the whole service; run once with each of its versions on the path."""

import importlib.metadata
import json
import os
import urllib.request

import promptrails
import pytest

SERVICE = json.loads(os.environ["ATELIER_SERVICE"])
VERSION = importlib.metadata.version("promptrails")
# Studio, costs and dashboard left the SDK with 0.9.0.
HAS_STUDIO = not VERSION.startswith("0.9")
VALUE = "a-good-key-0123456789"


def call(method: str, path: str, body: dict | None = None) -> dict:
    """A request without the SDK."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-API-Key": SERVICE["key"], "Content-Type": "application/json"}
    request = urllib.request.Request(SERVICE["api"] + path, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=40) as answer:
        return json.loads(answer.read() or b"null")


@pytest.fixture
def client():
    client = promptrails.PromptRails(SERVICE["key"], base_url=SERVICE["api"], max_retries=0)
    yield client
    client.close()


@pytest.fixture
def credential(client):
    made = client.credentials.create(name="main", type="luma", category="video", value=VALUE, is_default=True)
    yield made
    client.credentials.delete(made.id)


def test_a_credential_is_made_read_listed_and_changed(client, credential):
    assert (credential.name, credential.type, credential.category) == ("main", "luma", "video")
    assert credential.masked_content == "a-go...6789" and VALUE not in str(credential)
    assert credential.is_default is True and credential.is_valid is True
    assert client.credentials.get(credential.id) == credential
    page = client.credentials.list(page=1, limit=5)
    assert credential.id in [one.id for one in page.data]
    assert page.meta.total >= 1
    changed = client.credentials.update(credential.id, name="renamed", description="of the team")
    assert (changed.name, changed.description) == ("renamed", "of the team")


def test_one_credential_of_a_type_is_the_default(client, credential):
    second = client.credentials.create(name="second", type="luma", category="video", value=VALUE)
    try:
        assert second.is_default is False
        assert client.credentials.set_default(second.id).is_default is True
        assert client.credentials.get(credential.id).is_default is False
    finally:
        client.credentials.delete(second.id)


def test_a_check_asks_the_provider(client, credential):
    assert client.credentials.check_connection(credential.id)["ok"] is True
    client.credentials.update(credential.id, value="bad-key")
    checked = client.credentials.check_connection(credential.id)
    assert checked["ok"] is False and "HTTP 401" in checked["message"]
    assert client.credentials.get(credential.id).is_valid is False


@pytest.mark.parametrize("kind", ["elevenlabs", "deepgram", "fal", "replicate", "stability", "runway", "pika", "luma"])
def test_a_credential_of_each_provider_is_checked(client, kind):
    made = call("POST", "/api/v1/credentials", {"name": kind, "type": kind, "value": VALUE})["data"]
    try:
        assert client.credentials.check_connection(made["id"])["outcome"] == "valid"
        client.credentials.update(made["id"], value="bad-key")
        assert client.credentials.check_connection(made["id"])["outcome"] == "invalid"
    finally:
        client.credentials.delete(made["id"])


def test_assets_are_listed_read_fetched_and_deleted(client):
    job = call("POST", "/api/v1/media/jobs", {"operation": "image_gen", "provider": "fal", "prompt": "a fox"})["data"]
    job = call("GET", f"/api/v1/media/jobs/{job['id']}?wait=20")["data"]
    asset = client.assets.get(job["asset_ids"][0])
    assert (asset.type, asset.provider, asset.mime_type) == ("image", "fal", job["assets"][0]["mime_type"])
    assert asset.file_size > 100 and asset.storage_path.startswith("demo/")
    listed = client.assets.list(type="image", provider="fal", limit=5)
    assert asset.id == listed.data[0].id and listed.meta.total >= 1
    assert client.assets.list(type="video", provider="fal").data == []
    signed = client.assets.get_signed_url(asset.id)
    with urllib.request.urlopen(signed.url, timeout=20) as answer:
        assert len(answer.read()) == asset.file_size
    client.assets.delete(asset.id)
    with pytest.raises(promptrails.NotFoundError):
        client.assets.get(asset.id)
    assert asset.id not in [one.id for one in client.assets.list(limit=50).data]


def test_errors_are_those_of_the_sdk(client):
    with pytest.raises(promptrails.NotFoundError):
        client.credentials.get("0ujtsYcgvSTl8PAuAdqWYSMnLOv")
    with pytest.raises(promptrails.ValidationError) as refused:
        client.credentials.create(name="", type="sora", category="video", value="x")
    assert [problem["field"] for problem in refused.value.details["fields"]] == ["name", "type"]
    stranger = promptrails.PromptRails("wrong", base_url=SERVICE["api"], max_retries=0)
    with pytest.raises(promptrails.UnauthorizedError):
        stranger.credentials.list()


def test_a_key_without_the_scope_is_forbidden():
    key = call("POST", "/api/v1/api-keys", {"name": "reader", "scopes": ["jobs:read"]})["data"]
    reader = promptrails.PromptRails(key["key"], base_url=SERVICE["api"], max_retries=0)
    with pytest.raises(promptrails.ForbiddenError):
        reader.credentials.list()
    call("DELETE", f"/api/v1/api-keys/{key['id']}")


if HAS_STUDIO:

    def test_the_studio_makes_an_image(client):
        made = client.media.generate(
            provider="fal", media_type="image", model="fal-ai/flux/schnell", prompt="a fox in the snow", guardrails=[]
        )
        assert (made.media_type, made.provider, made.model) == ("image_gen", "fal", "fal-ai/flux/schnell")
        assert made.cost > 0 and made.duration_ms > 0
        with urllib.request.urlopen(made.url, timeout=20) as answer:
            assert answer.headers["Content-Type"].startswith("image/")
            assert len(answer.read()) > 100

    def test_the_studio_speaks(client):
        made = client.media.generate(
            provider="elevenlabs", media_type="speech", model="eleven_multilingual_v2", prompt="Good morning."
        )
        assert made.asset_id and made.media_type == "tts"

    def test_a_refused_prompt_is_an_error_that_is_not_sent_again(client):
        with pytest.raises(promptrails.ValidationError) as refused:
            client.media.generate(
                provider="fal", media_type="image", model="fal-ai/flux/schnell", prompt="[sim:moderation]"
            )
        assert refused.value.details["code"] == "rejected"

    def test_models_are_listed(client):
        models = client.media_models.list(provider="runway", media_type="video", is_active=True)
        assert models and all(model.provider == "runway" and model.is_active for model in models)
        assert {model.media_type for model in models} == {"video_gen", "video_from_image"}

    def test_costs_and_boards_count_what_was_made(client):
        before = client.costs.get_summary()
        client.media.generate(provider="fal", media_type="image", model="fal-ai/flux/schnell", prompt="a hare")
        after = client.costs.get_summary()
        assert after.total_executions == before.total_executions + 1
        assert after.total_cost > before.total_cost
        board = client.dashboard.get_metrics(days=7)
        assert len(board.executions_by_day) == 7 and board.overview["total_executions"] >= 1
        assert "fal-ai/flux/schnell" in [usage["model_name"] for usage in board.model_usage]
