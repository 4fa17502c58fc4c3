"""LiteLLM's provider for Stability as the client (there is no SDK of the provider's for these endpoints), and httpx for
what LiteLLM does not do: bytes instead of JSON, work that is asked about, the older API."""

import base64
import io
import os
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing it asks the network for prices

import av
import httpx
import litellm
import pytest
from conftest import decoded_frames, probed

PROMPT = "a lighthouse at dusk"
pytestmark = pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning")  # of pydantic, about LiteLLM's types

SDXL = "/v1/generation/stable-diffusion-xl-1024-v1-0"


@pytest.fixture(autouse=True)
def quiet():
    litellm.suppress_debug_info = True
    litellm.telemetry = False


def generate(simulator, model="stable-image-core", prompt=PROMPT, key="sk-key", **options):
    return litellm.image_generation(
        model=f"stability/{model}",
        prompt=prompt,
        api_key=key,
        api_base=simulator.url + "/stability",
        timeout=20,
        max_retries=0,
        **options,
    )


def edit(simulator, model, prompt=PROMPT, **options):
    return litellm.image_edit(
        model=f"stability/{model}",
        image=picture(320, 240),
        prompt=prompt,
        api_key="sk-key",
        api_base=simulator.url + "/stability",
        timeout=20,
        **options,
    )


def post(simulator, path, key="sk-key", accept="image/*", **request):
    headers = {"Authorization": f"Bearer {key}", "Accept": accept}
    return httpx.post(simulator.url + "/stability" + path, headers=headers, timeout=20, **request)


def get(simulator, path, accept="application/json"):
    headers = {"Authorization": "Bearer sk-key", "Accept": accept}
    return httpx.get(simulator.url + "/stability" + path, headers=headers, timeout=20)


def image_of(answer) -> bytes:
    return base64.b64decode(answer.data[0].b64_json)


def picture(width, height) -> bytes:
    """A grey PNG, made by FFmpeg."""
    frame = av.VideoFrame(width, height, "rgb24")
    frame.planes[0].update(bytes([128]) * frame.planes[0].buffer_size)
    file = io.BytesIO()
    with av.open(file, "w", format="image2pipe") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize(
    "model, path",
    [("stable-image-core", "core"), ("stable-image-ultra", "ultra"), ("sd3.5-large", "sd3"), ("sd3-medium", "sd3")],
)
def test_every_way_to_generate_decodes(simulator, model, path, tmp_path):
    data = image_of(generate(simulator, model))
    frames, width, height = decoded_frames(data)
    assert (frames, width) == (1, height)
    probed(data, tmp_path / "image.png")
    (entry,) = simulator.journal()
    assert entry["path"] == f"/stability/v2beta/stable-image/generate/{path}"
    assert (entry["prompt"], entry["accepted"]) == (PROMPT, True)


@pytest.mark.parametrize("form, codec", [("png", "png"), ("jpeg", "mjpeg"), ("webp", "webp")])
def test_formats_and_ratios_are_as_asked_for(simulator, form, codec, tmp_path):
    data = image_of(generate(simulator, "stable-image-ultra", size="1792x1024", output_format=form))
    stream = probed(data, tmp_path / f"image.{form}")["streams"][0]
    assert (stream["codec_name"], stream["width"], stream["height"]) == (codec, 1344, 768)


@pytest.mark.parametrize(
    "model, options, size",
    [
        ("inpaint", {}, (320, 240)),
        ("outpaint", {"left": 100}, (420, 240)),
        ("search-and-replace", {"search_prompt": "dog"}, (320, 240)),
        ("sketch", {"control_strength": 0.6}, (320, 240)),
        ("conservative", {"creativity": 0.3}, (1280, 960)),
    ],
)
def test_edits_decode(simulator, model, options, size):
    assert decoded_frames(image_of(edit(simulator, model, **options)))[1:] == size


def test_a_mask_is_taken(simulator):
    assert decoded_frames(image_of(edit(simulator, "inpaint", mask=picture(320, 240))))[1:] == (320, 240)


def test_filtered_images_are_an_error(simulator):
    with pytest.raises(Exception, match="Content was filtered"):
        generate(simulator, prompt="[sim:moderation=nsfw_flag]")
    assert simulator.billed() == 1


@pytest.mark.parametrize(
    "prompt, key, status, word",
    [
        (PROMPT, "bad-key", 401, "unauthorized"),
        (PROMPT, "no-money", 402, "payment_required"),
        ("[sim:moderation]", "sk-key", 403, "content_moderation"),
        ("[sim:fail=public_figure]", "sk-key", 422, "public_figure"),
        ("x" * 10_001, "sk-key", 400, "bad_request"),
    ],
)
def test_refusals_are_told(simulator, prompt, key, status, word):
    with pytest.raises(Exception) as caught:
        generate(simulator, prompt=prompt, key=key)
    assert caught.value.status_code == status
    assert word in str(caught.value)
    assert simulator.billed() == 0


def test_bytes_come_with_their_facts_in_headers(simulator):
    fields = {"prompt": (None, PROMPT), "output_format": (None, "webp"), "seed": (None, "5")}
    answer = post(simulator, "/v2beta/stable-image/generate/core", files=fields)
    assert answer.headers["content-type"] == "image/webp"
    assert (answer.headers["finish-reason"], answer.headers["seed"]) == ("SUCCESS", "5")
    frames, width, height = decoded_frames(answer.content)
    assert (frames, width) == (1, height)


def test_the_published_example_is_taken(simulator):
    """The provider's pages force a multipart body by an empty file."""
    answer = post(
        simulator, "/v2beta/stable-image/generate/core", files={"none": ("none", "")}, data={"prompt": PROMPT}
    )
    assert answer.status_code == 200


def test_a_style_is_taken_from_a_second_image(simulator):
    """LiteLLM sends this to another path, as the word `style` comes first in its list."""
    files = {"init_image": ("init.png", picture(320, 240)), "style_image": ("style.png", picture(64, 64))}
    answer = post(simulator, "/v2beta/stable-image/control/style-transfer", files=files)
    assert decoded_frames(answer.content)[1:] == (320, 240)


def test_a_plain_form_is_refused(simulator):
    answer = post(simulator, "/v2beta/stable-image/generate/core", data={"prompt": PROMPT})
    assert (answer.status_code, answer.json()["name"]) == (400, "bad_request")


def test_slow_work_is_asked_about(simulator):
    answer = post(
        simulator,
        "/v2beta/stable-image/edit/replace-background-and-relight",
        files={"subject_image": ("subject.png", picture(320, 240), "image/png")},
        data={"background_prompt": "a beach"},
    )
    path = f"/v2beta/results/{answer.json()['id']}"
    assert get(simulator, path).json()["status"] == "in-progress"
    deadline = time.monotonic() + 20
    while (answer := get(simulator, path, accept="image/*")).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert decoded_frames(answer.content)[1:] == (320, 240)
    assert get(simulator, path).json()["finish_reason"] == "SUCCESS"


def test_the_older_api_makes_several_images(simulator):
    body = {"text_prompts": [{"text": PROMPT}], "samples": 2, "width": 896, "height": 1152}
    artifacts = post(simulator, SDXL + "/text-to-image", accept="application/json", json=body).json()["artifacts"]
    assert [decoded_frames(base64.b64decode(artifact["base64"]))[1:] for artifact in artifacts] == [(896, 1152)] * 2


def test_the_older_api_changes_images_by_form(simulator):
    answer = post(
        simulator,
        SDXL + "/image-to-image",
        accept="image/png",
        files={"init_image": ("init.png", picture(1024, 1024), "image/png")},
        data={"text_prompts[0][text]": PROMPT, "image_strength": "0.35"},
    )
    assert decoded_frames(answer.content)[1:] == (1024, 1024)
