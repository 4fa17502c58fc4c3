//! Small media files and sources of bytes.

use atelier_domain::operation::MediaKind;
use atelier_domain::ports::{ByteStream, ExpectedContent, NewObject, SourceBroken};
use bytes::Bytes;
use futures::{StreamExt, stream};

pub fn png(payload: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend((0..payload).map(|index| (index % 251) as u8));
    bytes.extend_from_slice(b"\0\0\0\0IEND\xae\x42\x60\x82");
    bytes
}

/// `ftyp`, `moov`, and an `mdat` of any length.
pub fn mp4_head(mdat_payload: u64) -> Vec<u8> {
    let mut bytes = b"\0\0\0\x10ftypisom\0\0\x02\0\0\0\0\x10moovmoovmoov\0\0\0\x01mdat".to_vec();
    bytes.extend_from_slice(&(mdat_payload + 16).to_be_bytes());
    bytes
}

pub fn mp4(mdat_payload: usize) -> Vec<u8> {
    let mut bytes = mp4_head(mdat_payload as u64);
    bytes.extend((0..mdat_payload).map(|index| (index % 253) as u8));
    bytes
}

pub fn object(kind: MediaKind, claimed_type: &str) -> NewObject {
    NewObject {
        key_prefix: "acme/2026/11/22/job/0".to_owned(),
        claimed_type: (!claimed_type.is_empty()).then(|| claimed_type.to_owned()),
        expects: ExpectedContent::Media(kind),
        length_bytes: None,
    }
}

pub fn video() -> NewObject {
    object(MediaKind::Video, "video/mp4")
}

pub fn image() -> NewObject {
    object(MediaKind::Image, "image/png")
}

/// The bytes in pieces, as a network gives them.
pub fn source(bytes: impl Into<Bytes>) -> ByteStream {
    let bytes = bytes.into();
    Box::pin(stream::unfold(bytes, async |mut left: Bytes| {
        (!left.is_empty()).then(|| (Ok(left.split_to(left.len().min(60_000))), left))
    }))
}

/// The bytes, and then a broken connection.
pub fn breaking_source(bytes: impl Into<Bytes>) -> ByteStream {
    let broken = SourceBroken { message: "connection reset".to_owned() };
    Box::pin(source(bytes).chain(stream::iter([Err(broken)])))
}

/// The bytes, and then nothing ever.
pub fn stalling_source(bytes: impl Into<Bytes>) -> ByteStream {
    Box::pin(source(bytes).chain(stream::pending()))
}
