"""Luma's two Python SDKs, which refuse bodies that are not exactly as they expect."""

import luma_agents
import lumaai
import pytest
from conftest import decoded_frames, probed

IMAGE = "https://example.com/image.png"


@pytest.fixture
def dream(simulator):
    return dream_with(simulator, "luma-x")


def dream_with(simulator, key, **options):
    return lumaai.LumaAI(
        auth_token=key,
        base_url=simulator.url + "/luma/dream-machine/v1",
        _strict_response_validation=True,
        **{"max_retries": 0, **options},
    )


@pytest.fixture
def agents(simulator):
    return agents_with(simulator, "luma-api-x")


def agents_with(simulator, key):
    return luma_agents.Luma(
        auth_token=key,
        base_url=simulator.url + "/luma/agents/v1",
        _strict_response_validation=True,
        max_retries=0,
    )


def ended(client, created, seen=None):
    while True:
        generation = client.generations.get(created.id)
        if seen is not None and (not seen or seen[-1] != generation.state):
            seen.append(generation.state)
        if generation.state in ("completed", "failed"):
            return generation


def video(client, prompt="a slow pan", **changes):
    return client.generations.create(**{"model": "ray-flash-2", "prompt": prompt, "resolution": "540p", **changes})


def test_a_video_decodes(dream, simulator, tmp_path):
    created = video(dream, duration="5s", loop=True, concepts=[])
    assert (created.state, created.generation_type, created.request.duration) == ("queued", "video", "5s")
    seen = []
    done = ended(dream, created, seen)
    assert seen[-2:] == ["dreaming", "completed"]
    data, content_type = simulator.download(done.assets.video)
    assert content_type == "video/mp4"
    assert decoded_frames(data) == (120, 960, 540)
    stream = probed(data, tmp_path / "video.mp4")["streams"][0]
    assert (stream["codec_name"], stream["duration"], stream["nb_read_frames"]) == ("h264", "5.000000", "120")


@pytest.mark.parametrize(
    "resolution, ratio, duration, size",
    [
        ("720p", "9:16", "9s", (216, 720, 1280)),
        ("540p", "21:9", "5s", (120, 1260, 540)),
        ("1080p", "4:3", "5s", (120, 1440, 1080)),
        ("4k", "16:9", "5s", (120, 3840, 2160)),
    ],
)
def test_a_video_has_the_size_and_length_asked_for(dream, simulator, resolution, ratio, duration, size):
    fields = {"resolution": resolution, "aspect_ratio": ratio, "duration": duration}
    done = ended(dream, dream.generations.video.create(model="ray-2", prompt="size", **fields))
    data, _ = simulator.download(done.assets.video)
    assert decoded_frames(data) == size
    assert len(data) < 6_000_000


def test_keyframes_of_both_forms(dream):
    first = ended(dream, video(dream, keyframes={"frame0": {"type": "image", "url": IMAGE}}))
    frames = {"frame0": {"type": "generation", "id": first.id}, "frame1": {"type": "image", "url": IMAGE}}
    done = ended(dream, video(dream, keyframes=frames))
    assert done.request.keyframes.frame0.id == first.id


@pytest.mark.parametrize("form, content_type", [("jpg", "image/jpeg"), ("png", "image/png")])
def test_images_decode(dream, simulator, form, content_type):
    created = dream.generations.image.create(
        model="photon-1",
        prompt="a cat",
        aspect_ratio="1:1",
        format=form,
        image_ref=[{"url": IMAGE, "weight": 0.5}],
        style_ref=[{"url": IMAGE}],
        character_ref={"identity0": {"images": [IMAGE]}},
        modify_image_ref={"url": IMAGE, "weight": 1},
    )
    data, found = simulator.download(ended(dream, created).assets.image)
    assert found == content_type
    assert decoded_frames(data) == (1, 1024, 1024)


def test_a_synchronous_image_is_there_at_once(dream):
    done = dream.generations.image.create(model="photon-flash-1", prompt="now", sync=True)
    assert done.state == "completed" and done.assets.image


def test_list_delete_and_account(dream):
    created = video(dream)
    listed = dream.generations.list(limit=1)
    assert (listed.generations[0].id, listed.count) == (created.id, 1)
    assert dream.generations.delete(created.id) is None
    with pytest.raises(lumaai.NotFoundError):
        dream.generations.get(created.id)
    assert dream.credits.get().credit_balance > 0
    assert dream.ping.check().message == "pong"
    assert "push_in" in dream.generations.concepts.list()


def test_failures_carry_their_reason(dream):
    failed = ended(dream, video(dream, prompt="[sim:moderation]"))
    assert failed.state == "failed" and "moderation" in failed.failure_reason


@pytest.mark.parametrize(
    "change, status, place",
    [
        ({"duration": "7s"}, 422, "duration"),
        ({"aspect_ratio": "2:1"}, 422, "aspect_ratio"),
        ({"keyframes": {"frame0": {"type": "image", "url": "data:image/png;base64,AAAA"}}}, 422, "keyframes"),
        ({"extra_body": {"seed": 1}}, 422, "seed"),
        ({"prompt": ""}, 400, None),
        ({"model": "ray-1-6"}, 400, None),
        ({"concepts": [{"key": "push_in"}]}, 400, None),
    ],
)
def test_wrong_fields_are_refused(dream, simulator, change, status, place):
    with pytest.raises(lumaai.APIStatusError) as caught:
        video(dream, **change)
    assert caught.value.status_code == status
    detail = caught.value.body["detail"]
    assert detail[0]["loc"][1] == place if place else detail.startswith("400: ")
    assert simulator.billed() == 0


def test_keys_and_limits(simulator, dream):
    with pytest.raises(lumaai.AuthenticationError):
        video(dream_with(simulator, "bad-key"))
    with pytest.raises(lumaai.BadRequestError) as caught:
        video(dream_with(simulator, "no-money"))
    assert "credit" in caught.value.body["detail"]
    simulator.script({"type": "status", "code": 429}, matches={"kind": "submit"})
    with pytest.raises(lumaai.RateLimitError):
        video(dream)


def test_the_sdk_pays_twice_when_an_answer_is_lost(simulator):
    simulator.script({"type": "lost"}, times=1, matches={"kind": "submit"})
    video(dream_with(simulator, "luma-x", max_retries=1))
    assert simulator.billed() == 2


def test_agents_make_videos(agents, simulator):
    created = agents.generations.create(
        model="ray-3.2",
        type="video",
        prompt="sea",
        aspect_ratio="1:1",
        video={"resolution": "360p", "duration": "10s", "keyframes": [{"url": IMAGE}], "keyframe_indexes": [0]},
    )
    done = ended(agents, created)
    assert (done.type, done.output[0].type) == ("video", "video")
    data, _ = simulator.download(done.output[0].url)
    assert decoded_frames(data) == (240, 360, 360)


@pytest.mark.parametrize("model", ["uni-1", "uni-1-max"])
def test_agents_make_and_edit_images(agents, simulator, model):
    first = ended(agents, agents.generations.create(model=model, prompt="a cat", output_format="jpeg"))
    assert simulator.download(first.output[0].url)[1] == "image/jpeg"
    source = {"generation_id": first.id}
    edited = ended(agents, agents.generations.create(model=model, type="image_edit", prompt="a dog", source=source))
    data, _ = simulator.download(edited.output[0].url)
    assert decoded_frames(data) == (1, 1024, 1024)


def test_agents_refuse(agents, simulator):
    failed = ended(agents, agents.generations.create(prompt="[sim:moderation]"))
    assert failed.failure_code == "content_moderated"
    with pytest.raises(luma_agents.UnprocessableEntityError):
        agents.generations.create(prompt="x", model="ray-3.2", type="image")
    with pytest.raises(luma_agents.AuthenticationError):
        agents_with(simulator, "bad-key").generations.create(prompt="x")
    with pytest.raises(luma_agents.APIStatusError) as caught:
        agents_with(simulator, "no-money").generations.create(prompt="x")
    assert caught.value.status_code == 402
