//! What media tell about themselves, read while they stream by and in bounded memory. A file that cannot be read is no
//! fault: its facts stay unknown. No length, count or offset of a file is believed further than its bytes go.

mod frames;
mod mp4;
mod ogg;
mod wav;

use atelier_domain::asset::{MediaFacts, essence};

use self::frames::Frames;
use self::mp4::Movie;
use self::ogg::Ogg;
use self::wav::Wav;

/// Enough of a picture for its size: a JPEG may have this much metadata before it.
const PICTURE_HEAD_BYTES: usize = 256 * 1024;
/// A FLAC begins with its signature and the 38 bytes of its stream information.
const FLAC_HEAD_BYTES: usize = 42;
/// A picture with more pixels a side is an error of its header.
const MOST_PIXELS: u32 = 1_000_000;
/// Thirty days.
const LONGEST_MS: u64 = 30 * 24 * 3_600_000;

/// Takes a file's bytes in order, in pieces of any size.
#[derive(Debug)]
pub(crate) struct Probe {
    reader: Reader,
    size_bytes: u64,
}

#[derive(Debug)]
enum Reader {
    Picture { codec: &'static str, head: Vec<u8> },
    Flac { head: Vec<u8> },
    Movie(Movie),
    Frames(Frames),
    Ogg(Ogg),
    Wav(Wav),
    Samples { codec: &'static str, bytes_per_second: u64 },
    Nothing,
}

impl Probe {
    /// A probe for a file of this type; the type's parameters count.
    pub(crate) fn of(content_type: &str) -> Self {
        let reader = match essence(content_type).as_str() {
            "image/png" => Reader::picture("png"),
            "image/jpeg" => Reader::picture("jpeg"),
            "image/webp" => Reader::picture("webp"),
            "image/gif" => Reader::picture("gif"),
            "image/avif" => Reader::picture("av1"),
            "image/heic" => Reader::picture("hevc"),
            "audio/flac" => Reader::Flac { head: Vec::with_capacity(FLAC_HEAD_BYTES) },
            "video/mp4" | "video/quicktime" | "audio/mp4" => Reader::Movie(Movie::default()),
            "audio/mpeg" => Reader::Frames(Frames::mpeg()),
            "audio/aac" => Reader::Frames(Frames::adts()),
            "audio/ogg" => Reader::Ogg(Ogg::default()),
            "audio/wav" => Reader::Wav(Wav::default()),
            named => Reader::samples(named, content_type),
        };
        Self { reader, size_bytes: 0 }
    }

    /// The next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        match &mut self.reader {
            Reader::Picture { head, .. } => keep(head, bytes, PICTURE_HEAD_BYTES),
            Reader::Flac { head } => keep(head, bytes, FLAC_HEAD_BYTES),
            Reader::Movie(movie) => movie.feed(bytes),
            Reader::Frames(frames) => frames.feed(bytes),
            Reader::Ogg(ogg) => ogg.feed(bytes),
            Reader::Wav(wav) => wav.feed(bytes),
            Reader::Samples { .. } | Reader::Nothing => {}
        }
    }

    /// What is known at the end.
    pub(crate) fn finish(&self) -> MediaFacts {
        let facts = match &self.reader {
            Reader::Picture { codec, head } => picture(codec, head),
            Reader::Flac { head } => flac(head),
            Reader::Movie(movie) => movie.facts(),
            Reader::Frames(frames) => frames.facts(),
            Reader::Ogg(ogg) => ogg.facts(),
            Reader::Wav(wav) => wav.facts(self.size_bytes),
            Reader::Samples { codec, bytes_per_second } => MediaFacts {
                duration_ms: milliseconds(self.size_bytes, *bytes_per_second),
                codec: Some((*codec).to_owned()),
                ..MediaFacts::default()
            },
            Reader::Nothing => MediaFacts::default(),
        };
        sensible(facts)
    }
}

impl Reader {
    fn picture(codec: &'static str) -> Self {
        Self::Picture { codec, head: Vec::new() }
    }

    /// Samples without a header: the type says all there is to know. Without a rate nothing is known.
    fn samples(named: &str, content_type: &str) -> Self {
        let rate = || parameter(content_type, "rate").filter(|rate| (1..=768_000).contains(rate));
        let (codec, rate, bytes) = match named {
            "audio/pcm" | "audio/x-pcm" | "audio/raw" => ("pcm_s16le", rate(), 2),
            "audio/l16" => ("pcm_s16be", rate(), 2),
            "audio/l8" => ("pcm_u8", rate(), 1),
            "audio/l24" => ("pcm_s24be", rate(), 3),
            // 8 kHz is the rate of the telephone, for which these were made.
            "audio/basic" | "audio/ulaw" | "audio/mulaw" | "audio/x-mulaw" | "audio/pcmu" => {
                ("pcm_mulaw", rate().or(Some(8_000)), 1)
            }
            "audio/alaw" | "audio/x-alaw" | "audio/pcma" | "audio/x-alaw-basic" => {
                ("pcm_alaw", rate().or(Some(8_000)), 1)
            }
            _ => return Self::Nothing,
        };
        let channels =
            parameter(content_type, "channels").filter(|count| (1..=64).contains(count)).unwrap_or(1);
        rate.map_or(Self::Nothing, |rate| Self::Samples { codec, bytes_per_second: rate * bytes * channels })
    }
}

fn picture(codec: &str, head: &[u8]) -> MediaFacts {
    let size = imagesize::blob_size(head).ok();
    let pixels = |side: usize| u32::try_from(side).ok();
    MediaFacts {
        width: size.and_then(|size| pixels(size.width)),
        height: size.and_then(|size| pixels(size.height)),
        codec: Some(codec.to_owned()),
        duration_ms: None,
    }
}

/// STREAMINFO is the first block: after `fLaC` and 4 bytes, 10 bytes of sizes, then 20 bits of rate, 8 of format, and 36
/// of the number of samples.
fn flac(head: &[u8]) -> MediaFacts {
    let bits =
        head.get(18..26).and_then(|bytes| bytes.first_chunk::<8>()).map(|bytes| u64::from_be_bytes(*bytes));
    let duration_ms = bits.and_then(|bits| milliseconds(bits & 0xf_ffff_ffff, bits >> 44));
    MediaFacts { duration_ms, codec: Some("flac".to_owned()), ..MediaFacts::default() }
}

/// `count` of what comes `per_second`, in milliseconds; `None` for none at all.
fn milliseconds(count: u64, per_second: u64) -> Option<u64> {
    let millis = u128::from(count) * 1000 / u128::from(per_second.max(1));
    (per_second > 0 && count > 0).then(|| u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Leaves out what no file can have.
fn sensible(facts: MediaFacts) -> MediaFacts {
    let is_size = |side: &u32| (1..=MOST_PIXELS).contains(side);
    let (width, height) = (facts.width.filter(is_size), facts.height.filter(is_size));
    let has_both = width.is_some() && height.is_some();
    MediaFacts {
        width: width.filter(|_| has_both),
        height: height.filter(|_| has_both),
        duration_ms: facts.duration_ms.filter(|millis| (1..=LONGEST_MS).contains(millis)),
        codec: facts.codec,
    }
}

fn keep(head: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let room = limit.saturating_sub(head.len()).min(bytes.len());
    head.extend_from_slice(bytes.get(..room).unwrap_or_default());
}

/// A parameter of a content type, such as `rate` of `audio/pcm;rate=24000`.
fn parameter(content_type: &str, name: &str) -> Option<u64> {
    let pairs = content_type.split(';').skip(1).filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    found.next()?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn facts(content_type: &str, bytes: &[u8]) -> MediaFacts {
        let answers = [1, 7, 4096, bytes.len().max(1)].map(|size| {
            let mut probe = Probe::of(content_type);
            bytes.chunks(size).for_each(|piece| probe.feed(piece));
            probe.finish()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        answers[0].clone()
    }

    #[test]
    fn samples_without_a_header_last_as_long_as_their_type_says() {
        for (content_type, codec, millis) in [
            ("audio/pcm;rate=24000", Some("pcm_s16le"), Some(1_000)),
            ("audio/L16; rate=24000; channels=2", Some("pcm_s16be"), Some(500)),
            ("audio/basic", Some("pcm_mulaw"), Some(6_000)),
            ("audio/pcm", None, None),
            ("audio/pcm;rate=0", None, None),
        ] {
            let found = facts(content_type, &[0; 48_000]);
            assert_eq!((found.codec.as_deref(), found.duration_ms), (codec, millis), "{content_type}");
        }
    }

    #[test]
    fn what_no_file_can_have_is_left_out() {
        let absurd = MediaFacts {
            width: Some(0),
            height: Some(5),
            duration_ms: Some(u64::MAX),
            codec: Some("x".to_owned()),
        };
        let expected = MediaFacts { codec: Some("x".to_owned()), ..MediaFacts::default() };
        assert_eq!(sensible(absurd), expected);
    }

    #[test]
    fn noise_gives_no_facts_and_no_panic() {
        let noise: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for content_type in [
            "image/png",
            "image/jpeg",
            "image/webp",
            "image/gif",
            "image/avif",
            "audio/flac",
            "video/mp4",
            "audio/mpeg",
            "audio/aac",
            "audio/ogg",
            "audio/wav",
            "text/plain",
        ] {
            let found = facts(content_type, &noise);
            assert_eq!((found.width, found.height), (None, None), "{content_type}");
        }
    }
}
