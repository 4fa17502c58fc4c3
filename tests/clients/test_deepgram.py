"""Deepgram's own Python SDK as the client."""

import http.server
import io
import json
import queue
import threading
import wave

import av
import httpx
import pytest
from conftest import decoded_seconds, probed
from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.errors import BadRequestError

TEXT = "The quick brown fox jumps over the lazy dog. Then it does so once more, slowly."
URL = "https://example.com/talk.mp3"


@pytest.fixture
def client(simulator):
    return client_with(simulator, "key")


def client_with(simulator, key):
    base = simulator.url + "/deepgram"
    sockets = base.replace("http", "ws", 1)
    environment = DeepgramClientEnvironment(base=base, production=sockets, agent=sockets, agent_rest=base)
    return DeepgramClient(api_key=key, environment=environment, timeout=20)


NO_RETRIES = {"max_retries": 0}


def speak(client, text=TEXT, **options):
    options.setdefault("model", "aura-2-thalia-en")
    return b"".join(client.speak.v1.audio.generate(text=text, request_options=NO_RETRIES, **options))


def transcribe(client, audio, **options):
    options.setdefault("model", "nova-3")
    return client.listen.v1.media.transcribe_file(request=audio, request_options=NO_RETRIES, **options)


def transcribe_url(client, **options):
    options = {"url": URL, "model": "nova-3", **options}
    return client.listen.v1.media.transcribe_url(request_options=NO_RETRIES, **options)


def wav(channels, samples):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(samples)
    return file.getvalue()


class Receiver:
    """A server that keeps what is sent to it and answers with the next of some statuses, the last one for ever."""

    def __init__(self, *statuses):
        received = self.received = queue.Queue()
        left = list(statuses)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Content-Length", "0")
                self.end_headers()
                received.put((dict(self.headers), body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/callback"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def next(self):
        headers, body = self.received.get(timeout=10)
        return {name.lower(): value for name, value in headers.items()}, body


@pytest.mark.parametrize(
    "options, codec, rate",
    [
        ({}, "mp3", 22050),
        ({"encoding": "mp3", "bit_rate": 32000}, "mp3", 22050),
        ({"encoding": "linear16"}, "pcm_s16le", 24000),
        ({"encoding": "linear16", "container": "wav", "sample_rate": 48000}, "pcm_s16le", 48000),
        ({"encoding": "mulaw"}, "pcm_mulaw", 8000),
        ({"encoding": "alaw", "sample_rate": 16000}, "pcm_alaw", 16000),
        ({"encoding": "flac"}, "flac", 48000),
        ({"encoding": "flac", "sample_rate": 8000}, "flac", 8000),
        ({"encoding": "aac"}, "aac", 22050),
        ({"encoding": "aac", "bit_rate": 4000}, "aac", 22050),
        ({"encoding": "aac", "bit_rate": 192000}, "aac", 22050),
    ],
)
def test_every_encoding_decodes(client, tmp_path, options, codec, rate):
    audio = speak(client, **options)
    assert decoded_seconds(audio) == pytest.approx(len(TEXT) / 15, abs=0.06)
    stream = probed(audio, tmp_path / "speech")["streams"][0]
    assert (stream["codec_name"], int(stream["sample_rate"]), stream["channels"]) == (codec, rate, 1)


def test_opus_decodes_to_silence(client, tmp_path):
    audio = speak(client, encoding="opus", container="ogg", bit_rate=16000)
    stream = probed(audio, tmp_path / "speech.ogg")["streams"][0]
    assert (stream["codec_name"], stream["sample_rate"]) == ("opus", "48000")
    with av.open(io.BytesIO(audio)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 48000 == pytest.approx(len(TEXT) / 15, abs=0.06)


@pytest.mark.parametrize("encoding, raw", [("linear16", "s16le"), ("mulaw", "mulaw"), ("alaw", "alaw")])
def test_headerless_samples_decode_once_they_are_named(client, encoding, raw):
    audio = speak(client, encoding=encoding, container="none", sample_rate=8000)
    options = {"sample_rate": "8000", "ch_layout": "mono"}
    with av.open(io.BytesIO(audio), format=raw, options=options) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 8000 == pytest.approx(len(TEXT) / 15, abs=0.01)


@pytest.mark.parametrize("encoding", ["mp3", "flac", "aac"])
def test_huge_speech_decodes(client, encoding, tmp_path):
    audio = speak(client, text="[sim:huge=3000002] loud", encoding=encoding)
    assert len(audio) == 3_000_002
    assert decoded_seconds(audio) > 1
    probed(audio, tmp_path / "huge")


def test_speed_shortens_speech(client):
    audio = speak(client, encoding="linear16", speed=1.5)
    assert decoded_seconds(audio) == pytest.approx(len(TEXT) / 15 / 1.5, abs=0.01)


def test_headers_carry_id_characters_and_model(client):
    with client.speak.v1.audio.with_raw_response.generate(text=TEXT, model="aura-luna-en") as response:
        assert b"".join(response.data)
        assert response.headers["dg-char-count"] == str(len(TEXT))
        assert response.headers["dg-model-name"] == "aura-luna-en"
        assert response.headers["dg-request-id"]


def test_a_spoken_text_comes_back_as_a_transcript(client, simulator):
    audio = speak(client, encoding="flac")
    answer = transcribe(client, audio, smart_format=True, diarize=True, utterances=True, detect_language=True)
    channel = answer.results.channels[0]
    best = channel.alternatives[0]
    assert best.transcript == TEXT
    assert channel.detected_language == "en"
    assert [word.punctuated_word for word in best.words][8] == "dog."
    assert [word.speaker for word in best.words] == [0] * 9 + [1] * 7
    assert [sentence.text for group in best.paragraphs.paragraphs for sentence in group.sentences][1].startswith("Then")
    assert answer.results.utterances[1].speaker == 1
    assert answer.metadata.duration == pytest.approx(len(TEXT) / 15, abs=0.01)
    assert answer.metadata.model_info[answer.metadata.models[0]]["arch"] == "nova-3"
    assert all(first.end <= second.start for first, second in zip(best.words, best.words[1:]))
    assert simulator.billed() == 2


def test_a_url_is_transcribed(client):
    answer = transcribe_url(client, model="nova-2-meeting", punctuate=True, tag="first")
    assert answer.results.channels[0].alternatives[0].transcript.endswith(".")
    assert answer.metadata.tags == ["first"]
    assert answer.metadata.request_id


def test_channels_are_transcribed_apart(client):
    stereo = wav(2, bytes(index % 200 for index in range(64_000)))
    answer = transcribe(client, stereo, multichannel=True)
    assert (answer.metadata.channels, answer.metadata.duration) == (2, 2.0)
    assert len(answer.results.channels) == 2


def test_silence_is_an_empty_transcript(client):
    answer = transcribe(client, wav(1, bytes(16_000)))
    assert answer.results.channels[0].alternatives[0].transcript == ""
    assert answer.metadata.duration == 1.0


def test_a_transcript_is_sent_to_the_callback_until_it_is_taken(client, simulator):
    with Receiver(500, 200) as receiver:
        taken = transcribe(client, speak(client), smart_format=True, callback=receiver.url)
        first, second = receiver.next(), receiver.next()
    headers, body = second
    assert first[1] == body
    assert headers["dg-token"]
    answer = json.loads(body)
    assert answer["metadata"]["request_id"] == taken.request_id
    assert answer["results"]["channels"][0]["alternatives"][0]["transcript"] == TEXT
    assert [entry["status"] for entry in simulator.journal() if entry["kind"] == "webhook"] == [500, 200]


def test_speech_is_sent_to_the_callback(client):
    with Receiver(200) as receiver:
        taken = json.loads(speak(client, callback=receiver.url))
        headers, audio = receiver.next()
    assert headers["content-type"] == "audio/mpeg"
    assert headers["dg-request-id"] == taken["request_id"]
    assert decoded_seconds(audio) == pytest.approx(len(TEXT) / 15, abs=0.06)


def test_models_projects_and_balances_are_read(client):
    models = client.manage.v1.models.list()
    assert "aura-2-thalia-en" in [model.canonical_name for model in models.tts]
    assert "general-nova-3" in [model.canonical_name for model in models.stt]
    project = client.manage.v1.projects.list().projects[0].project_id
    assert client.manage.v1.projects.billing.balances.list(project).balances[0].amount > 0
    with pytest.raises(ApiError) as caught:
        client.manage.v1.projects.billing.balances.list("00000000-0000-4000-8000-000000000000")
    assert (caught.value.status_code, caught.value.body["err_code"]) == (404, "PROJECT_NOT_FOUND")


@pytest.mark.parametrize("key, status, code", [("bad-key", 401, "INVALID_AUTH"), ("no-money", 402, "ASR_PAYMENT_REQUIRED")])
def test_refused_keys(simulator, key, status, code):
    for call in (speak, transcribe_url):
        with pytest.raises(ApiError) as caught:
            call(client_with(simulator, key))
        assert (caught.value.status_code, caught.value.body["err_code"]) == (status, code)
    assert simulator.billed() == 0


@pytest.mark.parametrize(
    "options, code",
    [
        ({"encoding": "mp3", "container": "wav"}, "UNSUPPORTED_AUDIO_FORMAT"),
        ({"encoding": "opus", "container": "none"}, "UNSUPPORTED_AUDIO_FORMAT"),
        ({"encoding": "linear16", "sample_rate": 44100}, "UNSUPPORTED_AUDIO_FORMAT"),
        ({"model": "aura-nobody-en"}, "INVALID_QUERY_PARAMETER"),
        ({"text": ""}, "PAYLOAD_ERROR"),
    ],
)
def test_wrong_speech_is_400(client, simulator, options, code):
    with pytest.raises(BadRequestError) as caught:
        speak(client, **options)
    assert caught.value.body["err_code"] == code
    assert simulator.billed() == 0


def test_too_much_text_is_413(client):
    with pytest.raises(ApiError) as caught:
        speak(client, text="x" * 2001)
    assert caught.value.status_code == 413


@pytest.mark.parametrize(
    "options, message",
    [
        ({"model": "nova-9"}, "No such model/language/tier combination found."),
        ({"model": "nova-2", "keyterm": ["fox"]}, "Keyterms"),
        ({"keywords": ["fox:2"]}, "Keywords"),
        ({"url": "https://missing.example/a.mp3"}, "404 Not Found"),
    ],
)
def test_wrong_transcriptions_are_400(client, options, message):
    with pytest.raises(BadRequestError) as caught:
        transcribe_url(client, **options)
    assert message in caught.value.body["err_msg"]


def test_what_is_no_recording_is_400(client):
    with pytest.raises(BadRequestError) as caught:
        transcribe(client, b"not a recording")
    assert "corrupt or unsupported data" in caught.value.body["err_msg"]


def test_limits_are_retried_until_they_end(client, simulator):
    simulator.script({"type": "status", "code": 429}, times=1)
    answer = client.listen.v1.media.transcribe_url(url=URL, model="nova-3")
    assert answer.results.channels
    assert [entry["status"] for entry in simulator.journal()] == [429, 200]
    assert simulator.billed() == 1


def test_a_lost_answer_is_billed(client, simulator):
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client, text="[sim:lost]")
    with pytest.raises(httpx.RemoteProtocolError):
        transcribe_url(client, tag="[sim:lost]")
    assert simulator.billed() == 2


def test_a_cut_body_is_an_error(client, simulator):
    simulator.script({"type": "truncated"})
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client)
