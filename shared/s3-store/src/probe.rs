//! What media tell about themselves, read while they stream by and in bounded memory. A file that cannot be read is no
//! fault: its facts stay unknown. No length, count or offset of a file is believed further than its bytes go.

mod frames;
mod matroska;
mod mp4;
mod ogg;
mod picture;
mod samples;
mod wav;

use atelier_domain::asset::{MediaFacts, essence};

use self::frames::Frames;
use self::matroska::Matroska;
use self::mp4::Movie;
use self::ogg::Ogg;
use self::samples::Samples;
use self::wav::Wav;

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
    Picture { codec: Option<&'static str>, head: Vec<u8> },
    Flac { head: Vec<u8> },
    Movie(Movie),
    Matroska(Matroska),
    Frames(Frames),
    Ogg(Ogg),
    Wav(Wav),
    Samples(Samples),
    Nothing,
}

impl Probe {
    /// A probe for a file of this type; the type's parameters count.
    pub(crate) fn of(content_type: &str) -> Self {
        let picture = |codec| Reader::Picture { codec, head: Vec::new() };
        let reader = match essence(content_type).as_str() {
            "image/png" => picture(Some("png")),
            "image/jpeg" => picture(Some("jpeg")),
            "image/webp" => picture(Some("webp")),
            "image/gif" => picture(Some("gif")),
            "image/avif" => picture(Some("av1")),
            "image/heic" => picture(None),
            "audio/flac" => Reader::Flac { head: Vec::with_capacity(FLAC_HEAD_BYTES) },
            "video/mp4" | "video/quicktime" | "audio/mp4" => Reader::Movie(Movie::default()),
            "video/webm" | "audio/webm" | "video/x-matroska" => Reader::Matroska(Matroska::default()),
            "audio/mpeg" => Reader::Frames(Frames::mpeg()),
            "audio/aac" => Reader::Frames(Frames::adts()),
            "audio/ogg" => Reader::Ogg(Ogg::default()),
            "audio/wav" => Reader::Wav(Wav::default()),
            _ => Samples::of(content_type).map_or(Reader::Nothing, Reader::Samples),
        };
        Self { reader, size_bytes: 0 }
    }

    /// The next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        match &mut self.reader {
            Reader::Picture { head, .. } => keep(head, bytes, picture::HEAD_BYTES),
            Reader::Flac { head } => keep(head, bytes, FLAC_HEAD_BYTES),
            Reader::Movie(movie) => movie.feed(bytes),
            Reader::Matroska(file) => file.feed(bytes),
            Reader::Frames(frames) => frames.feed(bytes),
            Reader::Ogg(ogg) => ogg.feed(bytes),
            Reader::Wav(wav) => wav.feed(bytes),
            Reader::Samples(_) | Reader::Nothing => {}
        }
    }

    /// What is known at the end.
    pub(crate) fn finish(&self) -> MediaFacts {
        let facts = match &self.reader {
            Reader::Picture { codec, head } => picture::facts(*codec, head),
            Reader::Flac { head } => flac(head),
            Reader::Movie(movie) => movie.facts(),
            Reader::Matroska(file) => file.facts(),
            Reader::Frames(frames) => frames.facts(),
            Reader::Ogg(ogg) => ogg.facts(),
            Reader::Wav(wav) => wav.facts(self.size_bytes),
            Reader::Samples(samples) => samples.facts(self.size_bytes),
            Reader::Nothing => MediaFacts::default(),
        };
        sensible(facts)
    }
}

/// STREAMINFO is the first block: after `fLaC` and 4 bytes, 10 bytes of sizes, then 20 bits of rate, 8 of format, and 36
/// of the number of samples.
fn flac(head: &[u8]) -> MediaFacts {
    let bits =
        head.get(18..).and_then(|rest| rest.first_chunk::<8>()).map(|bytes| u64::from_be_bytes(*bytes));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed in pieces of each size, the answer is the same.
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
            "image/heic",
            "audio/flac",
            "video/mp4",
            "video/webm",
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
