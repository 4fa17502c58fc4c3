//! Samples without a header: the content type says all there is to know.

use atelier_domain::asset::{MediaFacts, essence};

use super::milliseconds;

/// The rate of the telephone, for which these codecs were made.
const TELEPHONE_RATE: u64 = 8_000;

/// How fast the bytes go by.
#[derive(Debug)]
pub(super) struct Samples {
    codec: &'static str,
    bytes_per_second: u64,
}

impl Samples {
    /// `None` for another type, or one that leaves its rate out.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let rate = parameter(content_type, "rate").filter(|rate| (1..=768_000).contains(rate));
        let (codec, rate, bytes) = match essence(content_type).as_str() {
            "audio/pcm" | "audio/x-pcm" | "audio/raw" => ("pcm_s16le", rate?, 2),
            "audio/l16" => ("pcm_s16be", rate?, 2),
            "audio/l8" => ("pcm_u8", rate?, 1),
            "audio/l24" => ("pcm_s24be", rate?, 3),
            "audio/basic" | "audio/ulaw" | "audio/mulaw" | "audio/x-mulaw" | "audio/pcmu" => {
                ("pcm_mulaw", rate.unwrap_or(TELEPHONE_RATE), 1)
            }
            "audio/alaw" | "audio/x-alaw" | "audio/pcma" | "audio/x-alaw-basic" => {
                ("pcm_alaw", rate.unwrap_or(TELEPHONE_RATE), 1)
            }
            _ => return None,
        };
        let channels =
            parameter(content_type, "channels").filter(|count| (1..=64).contains(count)).unwrap_or(1);
        Some(Self { codec, bytes_per_second: rate * bytes * channels })
    }

    pub(super) fn facts(&self, size_bytes: u64) -> MediaFacts {
        MediaFacts {
            duration_ms: milliseconds(size_bytes, self.bytes_per_second),
            codec: Some(self.codec.to_owned()),
            ..MediaFacts::default()
        }
    }
}

/// A parameter of a content type, such as `rate` of `audio/pcm;rate=24000`.
fn parameter(content_type: &str, name: &str) -> Option<u64> {
    let pairs = content_type.split(';').skip(1).filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    found.next()?.1.trim().trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::probe::tests::facts;

    #[test]
    fn samples_last_as_long_as_their_type_says() {
        for (content_type, codec, millis) in [
            ("audio/pcm;rate=24000", Some("pcm_s16le"), Some(1_000)),
            ("audio/L16; rate=24000; channels=2", Some("pcm_s16be"), Some(500)),
            ("audio/l16;rate=\"24000\"", Some("pcm_s16be"), Some(1_000)),
            ("audio/basic", Some("pcm_mulaw"), Some(6_000)),
            ("audio/x-alaw;rate=16000", Some("pcm_alaw"), Some(3_000)),
            ("audio/pcm", None, None),
            ("audio/pcm;rate=0", None, None),
            ("audio/pcm;rate=99999999999999999999", None, None),
        ] {
            let found = facts(content_type, &[0; 48_000]);
            assert_eq!((found.codec.as_deref(), found.duration_ms), (codec, millis), "{content_type}");
        }
    }
}
