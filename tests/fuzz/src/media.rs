//! Bytes that are to be stored: looked at whole and in pieces, which must come to the same.

use atelier_domain::operation::MediaKind;
use atelier_domain::ports::{ExpectedContent, NewObject};
use atelier_s3_store::probe_pieces;

use crate::pieces;

const EXPECTED: [ExpectedContent; 6] = [
    ExpectedContent::Media(MediaKind::Speech),
    ExpectedContent::Media(MediaKind::Image),
    ExpectedContent::Media(MediaKind::Video),
    ExpectedContent::AnyMedia,
    ExpectedContent::Text,
    ExpectedContent::Json,
];
const CLAIMS: [Option<&str>; 5] =
    [None, Some("image/png"), Some("video/mp4"), Some("audio/pcm;rate=16000"), Some("text/plain")];

pub(crate) fn attack(data: &[u8]) {
    let pieces = pieces(data);
    let claimed_type = CLAIMS.get(data.len() % CLAIMS.len()).copied().flatten().map(str::to_owned);
    for expects in EXPECTED {
        let object = NewObject {
            key_prefix: "a/0".to_owned(),
            claimed_type: claimed_type.clone(),
            expects,
            length_bytes: None,
        };
        let whole = probe_pieces(object.clone(), &[data]).ok();
        let cut = probe_pieces(object, &pieces).ok();
        assert_eq!(whole, cut, "it matters how the bytes come");
        if let Some(found) = whole {
            assert_eq!(found.size_bytes, data.len() as u64);
        }
    }
}
