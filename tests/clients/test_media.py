"""Files that the simulator blows up or cuts, judged by decoders that know nothing of it."""

import urllib.error

import av
import pytest
from conftest import decoded_frames, decoded_seconds, probed
from test_elevenlabs import client, speak  # noqa: F401 (the fixture)
from test_fal import client as fal  # noqa: F401
from test_runway import client as runway, create, fast_polling  # noqa: F401

SIZE = 5_000_001


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_huge_images_decode(fal, simulator, form, tmp_path):  # noqa: F811
    arguments = {"prompt": "[sim:huge=5000001]", "output_format": form}
    image = fal.subscribe("fal-ai/flux/dev", arguments=arguments)["images"][0]
    data, _ = simulator.download(image["url"])
    assert len(data) == SIZE
    assert decoded_frames(data) == (1, 1024, 768)
    probed(data, tmp_path / f"huge.{form}")


def test_huge_videos_decode(runway, simulator, tmp_path):  # noqa: F811
    task = create(runway, prompt="[sim:huge=5000001]").wait_for_task_output()
    data, _ = simulator.download(task.output[0])
    assert len(data) == SIZE
    assert decoded_frames(data) == (48, 1280, 720)
    probed(data, tmp_path / "huge.mp4")


@pytest.mark.parametrize("form", ["mp3_44100_128", "mp3_22050_32", "wav_44100"])
def test_huge_speech_decodes(client, form, tmp_path):  # noqa: F811
    # Even, so that 16 bit samples are whole.
    data = speak(client, text="[sim:huge=5000002] loud", output_format=form)
    assert len(data) == SIZE + 1
    assert decoded_seconds(data) > 50
    probed(data, tmp_path / "huge.audio")


def test_cleanly_cut_videos_are_broken(runway, simulator):  # noqa: F811
    task = create(runway, prompt="[sim:cut_clean]").wait_for_task_output()
    data, _ = simulator.download(task.output[0])
    with pytest.raises(av.error.InvalidDataError):
        decoded_frames(data)


def test_files_that_are_gone_come_back(runway, simulator):  # noqa: F811
    task = create(runway, prompt="[sim:gone times=1]").wait_for_task_output()
    with pytest.raises(urllib.error.HTTPError):
        simulator.download(task.output[0])
    assert simulator.download(task.output[0])[1] == "video/mp4"
