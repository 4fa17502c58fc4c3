//! One object's inspection while it streams by: length, digest, type, completeness. No I/O.

use atelier_domain::asset::MediaFacts;
use atelier_domain::ports::{ExpectedContent, NewObject};
use sha2::{Digest, Sha256};

use crate::ending::Ending;
use crate::probe::Probe;
use crate::sniff::{HEAD_BYTES, sniff};
use crate::verdict::{PLAIN_TEXT, decide};

/// What is known of an object that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) content_type: String,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
    pub(crate) media: MediaFacts,
}

/// Takes the bytes in order. An error is the reason why the object must not be stored.
pub(crate) struct Inspector {
    object: NewObject,
    limit_bytes: u64,
    size_bytes: u64,
    digest: Sha256,
    look: Look,
}

/// Before and after the type is known.
enum Look {
    Head(Vec<u8>),
    Decided { content_type: String, ending: Ending, probe: Probe },
}

impl Inspector {
    /// Fails when the announced length alone rules the object out.
    pub(crate) fn new(object: NewObject, limit_bytes: u64) -> Result<Self, String> {
        if let Some(announced) = object.length_bytes.filter(|announced| *announced > limit_bytes) {
            return Err(format!("{announced} bytes were announced, the limit is {limit_bytes}"));
        }
        let look = Look::Head(Vec::with_capacity(HEAD_BYTES));
        Ok(Self { object, limit_bytes, size_bytes: 0, digest: Sha256::new(), look })
    }

    /// The next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.limit_bytes {
            return Err(format!("it is longer than the limit of {} bytes", self.limit_bytes));
        }
        if let Some(expected) = self.object.length_bytes.filter(|expected| self.size_bytes > *expected) {
            return Err(format!("it is longer than the {expected} bytes that were announced"));
        }
        self.digest.update(bytes);
        match &mut self.look {
            Look::Decided { ending, probe, .. } => {
                probe.feed(bytes);
                ending.feed(bytes)
            }
            Look::Head(head) => {
                let (taken, rest) = bytes.split_at((HEAD_BYTES - head.len()).min(bytes.len()));
                head.extend_from_slice(taken);
                if head.len() == HEAD_BYTES { self.decide(rest) } else { Ok(()) }
            }
        }
    }

    /// The end of the bytes: everything that only the end can tell.
    pub(crate) fn finish(&mut self) -> Result<Facts, String> {
        if self.size_bytes == 0 {
            return self.empty();
        }
        if let Some(expected) = self.object.length_bytes.filter(|expected| self.size_bytes < *expected) {
            return Err(format!("it has {} bytes of the {expected} that were announced", self.size_bytes));
        }
        if matches!(self.look, Look::Head(_)) {
            self.decide(&[])?;
        }
        let Look::Decided { content_type, ending, probe } = &self.look else {
            return Err("its type was not decided".to_owned());
        };
        ending.finish().map_err(|reason| format!("it is an incomplete {content_type}: {reason}"))?;
        let sha256 = hex(&std::mem::take(&mut self.digest).finalize());
        Ok(Facts {
            content_type: content_type.clone(),
            size_bytes: self.size_bytes,
            sha256,
            media: probe.finish(),
        })
    }

    /// Silence has no words: only a text may be empty.
    fn empty(&mut self) -> Result<Facts, String> {
        if self.object.expects != ExpectedContent::Text
            || self.object.length_bytes.is_some_and(|length| length > 0)
        {
            return Err("it is empty".to_owned());
        }
        Ok(Facts {
            content_type: PLAIN_TEXT.to_owned(),
            size_bytes: 0,
            sha256: hex(&std::mem::take(&mut self.digest).finalize()),
            media: MediaFacts::default(),
        })
    }

    /// The type, once enough bytes have come to tell it.
    pub(crate) fn content_type(&self) -> Option<&str> {
        match &self.look {
            Look::Head(_) => None,
            Look::Decided { content_type, .. } => Some(content_type),
        }
    }

    fn decide(&mut self, rest: &[u8]) -> Result<(), String> {
        let Look::Head(head) = &self.look else {
            return Ok(());
        };
        let content_type = decide(self.object.expects, self.object.claimed_type.as_deref(), sniff(head))?;
        let mut ending = Ending::of(&content_type);
        let mut probe = Probe::of(&content_type);
        for bytes in [head, rest] {
            ending.feed(bytes)?;
            probe.feed(bytes);
        }
        self.look = Look::Decided { content_type, ending, probe };
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use atelier_domain::operation::MediaKind;

    use super::*;

    const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";

    fn inspect(length_bytes: Option<u64>, limit_bytes: u64, bytes: &[u8]) -> Result<Facts, String> {
        let object = NewObject {
            key_prefix: "a/0".to_owned(),
            claimed_type: Some("image/png".to_owned()),
            expects: ExpectedContent::Media(MediaKind::Image),
            length_bytes,
        };
        let mut inspector = Inspector::new(object, limit_bytes)?;
        bytes.chunks(5).try_for_each(|piece| inspector.feed(piece))?;
        inspector.finish()
    }

    #[test]
    fn facts_are_those_of_the_bytes() {
        let facts = inspect(Some(GIF.len() as u64), 100, GIF).unwrap();
        assert_eq!(facts.content_type, "image/gif");
        assert_eq!(facts.size_bytes, 14);
        assert_eq!(facts.sha256, hex(&Sha256::digest(GIF)));
    }

    #[test]
    fn a_known_digest_is_met() {
        assert_eq!(
            hex(&Sha256::digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn lengths_are_kept() {
        assert_eq!(inspect(None, 100, b"").unwrap_err(), "it is empty");
        assert_eq!(inspect(Some(15), 100, GIF).unwrap_err(), "it has 14 bytes of the 15 that were announced");
        assert_eq!(
            inspect(Some(13), 100, GIF).unwrap_err(),
            "it is longer than the 13 bytes that were announced"
        );
        assert_eq!(inspect(None, 13, GIF).unwrap_err(), "it is longer than the limit of 13 bytes");
        assert_eq!(inspect(Some(14), 13, b"").unwrap_err(), "14 bytes were announced, the limit is 13");
    }

    #[test]
    fn the_type_is_known_before_the_end_of_a_long_object() {
        let object = NewObject {
            key_prefix: "a/0".to_owned(),
            claimed_type: None,
            expects: ExpectedContent::Media(MediaKind::Image),
            length_bytes: None,
        };
        let mut inspector = Inspector::new(object, u64::MAX).unwrap();
        inspector.feed(GIF).unwrap();
        assert_eq!(inspector.content_type(), None);
        inspector.feed(&[0; HEAD_BYTES]).unwrap();
        assert_eq!(inspector.content_type(), Some("image/gif"));
    }
}
