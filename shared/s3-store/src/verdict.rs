//! Whether bytes may be stored as what they should be: found, claimed and required compared.

use atelier_domain::asset::essence;
use atelier_domain::operation::MediaKind;
use atelier_domain::ports::ExpectedContent;

use crate::sniff::{Found, Media};

/// Raw samples have no header; these claims are all there is to tell them by.
const HEADERLESS: [&str; 14] = [
    "audio/pcm",
    "audio/x-pcm",
    "audio/raw",
    "audio/l8",
    "audio/l16",
    "audio/l24",
    "audio/basic",
    "audio/ulaw",
    "audio/mulaw",
    "audio/x-mulaw",
    "audio/pcmu",
    "audio/alaw",
    "audio/x-alaw",
    "audio/pcma",
];

/// The content type to store, or why not.
pub(crate) fn decide(expects: ExpectedContent, claim: Option<&str>, found: Found) -> Result<String, String> {
    match (expects, found) {
        (ExpectedContent::Media(required), found) => media(required, claim, found),
        (ExpectedContent::AnyMedia, Found::Media(sort) | Found::Perhaps(sort)) => {
            let is_claimed_sound = claim.map(essence).as_deref().and_then(kind_of) == Some(MediaKind::Speech);
            let is_sound =
                is_claimed_sound && (sort.may_be_audio.is_some() || matches!(found, Found::Perhaps(_)));
            media(if is_sound { MediaKind::Speech } else { sort.kind }, claim, found)
        }
        // Only sound has forms without a signature.
        (ExpectedContent::AnyMedia, Found::Unknown | Found::Other(_)) => {
            media(MediaKind::Speech, claim, found).map_err(|_| match found {
                Found::Other(name) => format!("found {name}, expected media"),
                _ => "found no known media type".to_owned(),
            })
        }
        (ExpectedContent::AnyMedia, Found::Text(sort)) => Err(format!("found {sort}, expected media")),
        (ExpectedContent::Text, Found::Text(_)) => Ok(PLAIN_TEXT.to_owned()),
        (ExpectedContent::Text, _) => Err("found no text".to_owned()),
        (ExpectedContent::Json, Found::Text("JSON")) => Ok("application/json".to_owned()),
        (ExpectedContent::Json, _) => Err("found no JSON".to_owned()),
    }
}

/// What a text is stored as.
pub(crate) const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

fn media(required: MediaKind, claim: Option<&str>, found: Found) -> Result<String, String> {
    let claimed = claim.map(essence).filter(|claimed| !claimed.is_empty());
    let is_headerless = claimed.as_deref().is_some_and(|claimed| HEADERLESS.contains(&claimed));
    let media = match found {
        Found::Media(media) => media,
        Found::Perhaps(_) | Found::Other(_) | Found::Unknown
            if is_headerless && required == MediaKind::Speech =>
        {
            return Ok(claim.and_then(header_value).or(claimed).unwrap_or_default());
        }
        Found::Perhaps(media) => media,
        Found::Text(sort) => return Err(format!("found {sort}, expected {required}")),
        Found::Other(name) => return Err(format!("found {name}, expected {required}")),
        Found::Unknown => return Err(format!("found no known media type, expected {required}")),
    };
    let media = as_audio(media, required, claimed.as_deref());
    if media.kind != required {
        return Err(format!("found {}, expected {required}", media.content_type));
    }
    match claimed.as_deref().and_then(kind_of) {
        Some(kind) if kind != media.kind => {
            Err(format!("found {}, claimed was {}", media.content_type, claimed.unwrap_or_default()))
        }
        _ => Ok(media.content_type.to_owned()),
    }
}

/// MP4 and WebM look alike with and without pictures: where sound is required and claimed, they are sound.
fn as_audio(media: Media, required: MediaKind, claimed: Option<&str>) -> Media {
    match media.may_be_audio {
        Some(audio)
            if required == MediaKind::Speech && claimed.and_then(kind_of) == Some(MediaKind::Speech) =>
        {
            Media { content_type: audio, kind: MediaKind::Speech, may_be_audio: None }
        }
        _ => media,
    }
}

/// The kind that a claim stands for. `application/octet-stream` and the like claim nothing.
fn kind_of(claimed: &str) -> Option<MediaKind> {
    match claimed.split('/').next() {
        Some("audio") => Some(MediaKind::Speech),
        Some("image") => Some(MediaKind::Image),
        Some("video") => Some(MediaKind::Video),
        _ => None,
    }
}

/// The claim with its parameters (`audio/l16; rate=24000`: nothing else tells the rate), when it is fit for a header.
fn header_value(claim: &str) -> Option<String> {
    let is_fit = claim.len() <= 127 && claim.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_fit.then(|| claim.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sniff::sniff;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    const MP4: &[u8] = b"\0\0\0\x18ftypisom\0\0\0\0";
    const NOISE: &[u8] = b"\x00\x01\x02\x03\x80\x81";

    fn verdict(required: MediaKind, claim: &str, head: &[u8]) -> Result<String, String> {
        decide(ExpectedContent::Media(required), (!claim.is_empty()).then_some(claim), sniff(head))
    }

    #[test]
    fn an_input_may_be_any_media_but_must_be_media() {
        let input = |claim: &str, head: &[u8]| {
            decide(ExpectedContent::AnyMedia, (!claim.is_empty()).then_some(claim), sniff(head))
        };
        assert_eq!(input("", PNG).unwrap(), "image/png");
        assert_eq!(input("", MP4).unwrap(), "video/mp4");
        assert_eq!(input("audio/mp4", MP4).unwrap(), "audio/mp4");
        assert_eq!(input("audio/l16;rate=8000", NOISE).unwrap(), "audio/l16;rate=8000");
        for (claim, head) in [("", NOISE), ("image/png", NOISE), ("image/png", &b"<html></html>"[..])] {
            assert!(input(claim, head).is_err(), "{claim}");
        }
    }

    #[test]
    fn text_is_text_and_json_is_json() {
        let found = |expects, head: &[u8]| decide(expects, None, sniff(head));
        assert_eq!(found(ExpectedContent::Text, b"hello").unwrap(), PLAIN_TEXT);
        assert_eq!(found(ExpectedContent::Json, b" {\"a\": 1}").unwrap(), "application/json");
        assert!(found(ExpectedContent::Json, b"hello").is_err());
        assert!(found(ExpectedContent::Text, PNG).is_err());
    }

    #[test]
    fn the_bytes_win_within_a_kind() {
        assert_eq!(verdict(MediaKind::Image, "image/jpeg", PNG).unwrap(), "image/png");
        assert_eq!(verdict(MediaKind::Image, "application/octet-stream", PNG).unwrap(), "image/png");
        assert_eq!(verdict(MediaKind::Image, "", PNG).unwrap(), "image/png");
    }

    #[test]
    fn another_kind_is_refused_and_both_are_named() {
        assert_eq!(
            verdict(MediaKind::Video, "video/mp4", PNG).unwrap_err(),
            "found image/png, expected video"
        );
        assert_eq!(
            verdict(MediaKind::Image, "video/mp4", PNG).unwrap_err(),
            "found image/png, claimed was video/mp4"
        );
    }

    #[test]
    fn text_is_refused_whatever_it_claims_to_be() {
        let page = b"<!doctype html><title>502</title>";
        assert_eq!(verdict(MediaKind::Video, "video/mp4", page).unwrap_err(), "found HTML, expected video");
        assert_eq!(
            verdict(MediaKind::Speech, "audio/pcm", b"{\"detail\": 1}").unwrap_err(),
            "found JSON, expected speech"
        );
    }

    #[test]
    fn samples_without_a_header_are_taken_only_when_claimed_so() {
        assert_eq!(verdict(MediaKind::Speech, "audio/pcm", NOISE).unwrap(), "audio/pcm");
        assert_eq!(
            verdict(MediaKind::Speech, "audio/L16; rate=24000", NOISE).unwrap(),
            "audio/l16; rate=24000"
        );
        assert_eq!(verdict(MediaKind::Speech, "audio/x-alaw", NOISE).unwrap(), "audio/x-alaw");
        for claim in ["", "audio/mpeg", "application/octet-stream"] {
            assert!(verdict(MediaKind::Speech, claim, NOISE).is_err(), "{claim}");
        }
        assert!(verdict(MediaKind::Video, "audio/pcm", NOISE).is_err());
    }

    #[test]
    fn samples_that_begin_like_a_frame_header_stay_samples() {
        assert_eq!(verdict(MediaKind::Speech, "audio/pcm", b"\xff\xfb\x90\x64\0\0").unwrap(), "audio/pcm");
    }

    #[test]
    fn a_wav_that_was_claimed_as_samples_is_a_wav() {
        assert_eq!(verdict(MediaKind::Speech, "audio/pcm", b"RIFF\x10\0\0\0WAVEfmt ").unwrap(), "audio/wav");
    }

    #[test]
    fn mp4_is_sound_only_where_sound_is_required_and_claimed() {
        assert_eq!(verdict(MediaKind::Speech, "audio/mp4", MP4).unwrap(), "audio/mp4");
        assert!(verdict(MediaKind::Speech, "", MP4).is_err());
        assert_eq!(verdict(MediaKind::Video, "", MP4).unwrap(), "video/mp4");
    }

    #[test]
    fn a_claim_unfit_for_a_header_is_cut_to_its_essence() {
        assert_eq!(verdict(MediaKind::Speech, "audio/pcm; x=\r\nevil: 1", NOISE).unwrap(), "audio/pcm");
    }
}
