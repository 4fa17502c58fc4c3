"""ElevenLabs' own Python SDK as the client."""

import time

import httpx
import pytest
from conftest import decoded_seconds, probed
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import NotFoundError, UnprocessableEntityError

TEXT = "The quick brown fox jumps over the lazy dog, and then it does so once more."


@pytest.fixture
def client(simulator):
    return client_with(simulator, "key")


def client_with(simulator, key):
    return ElevenLabs(api_key=key, base_url=simulator.url + "/elevenlabs", timeout=20)


def speak(client, text=TEXT, **options):
    return b"".join(client.text_to_speech.convert(voice_id="voice", text=text, **options))


def test_speech_decodes_and_lasts_as_long_as_the_text(client, tmp_path):
    audio = speak(client, model_id="eleven_multilingual_v2", output_format="mp3_44100_128")
    assert decoded_seconds(audio) == pytest.approx(len(TEXT) / 15, abs=0.1)
    probe = probed(audio, tmp_path / "speech.mp3")
    assert probe["streams"][0]["codec_name"] == "mp3"
    assert probe["format"]["bit_rate"] == "128000"


@pytest.mark.parametrize("name", ["mp3_22050_32", "mp3_24000_48", "mp3_44100_32", "mp3_44100_192", "wav_22050"])
def test_every_container_decodes(client, name):
    assert decoded_seconds(speak(client, output_format=name)) == pytest.approx(len(TEXT) / 15, abs=0.1)


def test_headers_carry_cost_and_request_id(client):
    with client.text_to_speech.with_raw_response.convert(voice_id="voice", text=TEXT) as response:
        assert b"".join(response.data)
        assert response.headers["character-cost"] == str(len(TEXT))
        assert response.headers["request-id"]


def test_timestamps_cover_the_text(client):
    answer = client.text_to_speech.convert_with_timestamps(voice_id="voice", text=TEXT)
    assert "".join(answer.alignment.characters) == TEXT
    assert answer.audio_base_64


def transcribe(client, **options):
    options.setdefault("model_id", "scribe_v1")
    # A retry would lose the form's fields (contract sheet, section 8).
    return client.speech_to_text.convert(request_options={"max_retries": 0}, **options)


@pytest.mark.parametrize("model", ["scribe_v1", "scribe_v1_experimental", "scribe_v2", "scribe_v2_medical", "scribe_v3"])
def test_a_spoken_text_comes_back_as_a_transcript(client, simulator, model):
    audio = speak(client, output_format="mp3_22050_32")
    answer = transcribe(client, model_id=model, file=("speech.mp3", audio))
    assert answer.text == TEXT
    assert answer.audio_duration_secs == pytest.approx(len(TEXT) / 15, abs=0.06)
    assert "".join(word.text for word in answer.words) == TEXT
    assert [word.type for word in answer.words[:3]] == ["word", "spacing", "word"]
    assert all(first.end <= second.start for first, second in zip(answer.words, answer.words[1:]))
    assert simulator.billed() == 2


def test_a_transcript_has_what_was_asked_for(client):
    answer = transcribe(
        client,
        file=("speech.wav", speak(client, text="Hello there. How are you?", output_format="wav_16000")),
        language_code="en",
        diarize=True,
        num_speakers=2,
        timestamps_granularity="character",
        additional_formats=[{"format": "srt"}, {"format": "txt"}],
        keyterms=["fox", "lazy dog"],
    )
    assert [word.speaker_id for word in answer.words if word.type == "word"] == ["speaker_0"] * 2 + ["speaker_1"] * 3
    assert "".join(character.text for character in answer.words[0].characters) == "Hello"
    subtitles, plain = answer.additional_formats
    assert "00:00:00,000 --> 00:00:00,800\nHello there." in subtitles.content
    assert plain.content == "Hello there.\nHow are you?"


def test_a_transcript_is_fetched_later_and_deleted(client):
    taken = transcribe(
        client, source_url="https://example.com/talk.mp3", webhook=True, webhook_metadata={"order": 17}
    )
    assert taken.message and taken.request_id
    deadline = time.monotonic() + 10
    while True:
        try:
            answer = client.speech_to_text.transcripts.get(taken.transcription_id)
            break
        except NotFoundError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert answer.transcription_id == taken.transcription_id
    assert answer.words[-1].type == "audio_event"
    client.speech_to_text.transcripts.delete(taken.transcription_id)
    with pytest.raises(NotFoundError):
        client.speech_to_text.transcripts.get(taken.transcription_id)


def test_a_retried_transcription_loses_its_fields(client, simulator):
    simulator.script({"type": "status", "code": 503}, times=1)
    with pytest.raises(UnprocessableEntityError) as caught:
        client.speech_to_text.convert(model_id="scribe_v1", file=("speech.mp3", b"audio"))
    assert caught.value.body["detail"][0]["loc"] == ["body", "model_id"]


@pytest.mark.parametrize(
    "options, status, field",
    [
        ({}, 422, "file"),
        ({"source_url": "https://example.com/a.mp3", "num_speakers": 33}, 422, "num_speakers"),
        ({"source_url": "ftp://example.com/a.mp3"}, 422, "source_url"),
        ({"file": ("a.mp3", b"not a recording")}, 400, "invalid_audio"),
        ({"source_url": "https://example.com/a.mp3", "model_id": "scribe_v0"}, 400, "invalid_model_id"),
    ],
)
def test_wrong_transcriptions_are_refused(client, simulator, options, status, field):
    with pytest.raises(ApiError) as caught:
        transcribe(client, **options)
    assert caught.value.status_code == status
    detail = caught.value.body["detail"]
    assert (detail[0]["loc"] == ["body", field]) if status == 422 else (detail["code"] == field)
    assert simulator.billed() == 0


def test_a_lost_transcript_is_billed(client, simulator):
    with pytest.raises(httpx.RemoteProtocolError):
        transcribe(client, file=("[sim:lost].mp3", speak(client)))
    assert simulator.billed() == 2


def test_models_voices_and_user_are_read(client):
    assert "eleven_v3" in [model.model_id for model in client.models.list()]
    assert client.user.get().subscription.character_limit > 0
    assert client.user.subscription.get().tier


@pytest.mark.parametrize("key, code", [("bad-key", "invalid_api_key"), ("no-money", "quota_exceeded")])
def test_refused_keys_are_401(simulator, key, code):
    with pytest.raises(ApiError) as caught:
        speak(client_with(simulator, key))
    assert caught.value.status_code == 401
    assert caught.value.body["detail"]["status"] == code
    assert simulator.billed() == 0


def test_invalid_input_is_422(client):
    with pytest.raises(UnprocessableEntityError) as caught:
        speak(client, output_format="mp3_1_2")
    assert caught.value.status_code == 422


def test_too_much_text_is_400(client):
    with pytest.raises(ApiError) as caught:
        speak(client, text="x" * 10_001)
    assert caught.value.body["detail"]["code"] == "max_character_limit_exceeded"


def test_limits_are_429_and_speech_is_not_retried(client, simulator):
    simulator.script({"type": "status", "code": 429, "retry_after_s": 1})
    with pytest.raises(ApiError) as caught:
        speak(client)
    assert caught.value.status_code == 429
    assert caught.value.headers["retry-after"] == "1"
    assert len(simulator.journal()) == 1


def test_refused_content_is_400(client):
    with pytest.raises(ApiError) as caught:
        speak(client, text="[sim:moderation]")
    assert caught.value.body["detail"]["code"] == "content_against_policy"


def test_a_lost_answer_is_billed(client, simulator):
    simulator.script({"type": "lost"})
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client)
    assert simulator.billed() == 1


def test_a_cut_body_is_an_error(client, simulator):
    simulator.script({"type": "truncated"})
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client)
