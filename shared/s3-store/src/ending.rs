//! Whether media is complete, told while it streams by and in a few bytes of memory.
//!
//! A file that was cut cleanly has a plausible beginning and, when its source gave no length, nothing else that shows it.

/// Watches for a format's end. Formats without a rule are taken as they come.
#[derive(Debug)]
pub(crate) enum Ending {
    /// ISO base media: boxes up to the last byte.
    Boxes(Boxes),
    /// PNG and JPEG: a closing marker.
    Marker(Marker),
    /// WebP: a length in the header.
    Riff(Riff),
    /// Text: UTF-8 to the last byte.
    Text(Text),
    /// JSON: UTF-8, all brackets and strings closed.
    Json(Json),
    /// Nothing to tell it by.
    Unchecked,
}

impl Ending {
    pub(crate) fn of(content_type: &str) -> Self {
        match content_type {
            "video/mp4" | "video/quicktime" | "audio/mp4" => Self::Boxes(Boxes::new(&[*b"moov", *b"mdat"])),
            "image/avif" | "image/heic" => Self::Boxes(Boxes::new(&[*b"meta"])),
            "image/png" => Self::Marker(Marker::new(b"\0\0\0\0IEND\xae\x42\x60\x82", "an IEND chunk")),
            "image/jpeg" => Self::Marker(Marker::new(b"\xff\xd9", "an EOI marker")),
            "image/webp" => Self::Riff(Riff::default()),
            "text/plain; charset=utf-8" => Self::Text(Text::default()),
            "application/json" => Self::Json(Json::default()),
            _ => Self::Unchecked,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Boxes(boxes) => boxes.feed(bytes),
            Self::Marker(marker) => {
                marker.feed(bytes);
                Ok(())
            }
            Self::Riff(riff) => {
                riff.feed(bytes);
                Ok(())
            }
            Self::Text(text) => text.feed(bytes),
            Self::Json(json) => json.feed(bytes),
            Self::Unchecked => Ok(()),
        }
    }

    pub(crate) fn finish(&self) -> Result<(), String> {
        match self {
            Self::Boxes(boxes) => boxes.finish(),
            Self::Marker(marker) => marker.finish(),
            Self::Riff(riff) => riff.finish(),
            Self::Text(text) => text.finish(),
            Self::Json(json) => json.finish(),
            Self::Unchecked => Ok(()),
        }
    }
}

/// UTF-8, with a character that is cut between two pieces kept for the next.
#[derive(Debug, Default)]
pub(crate) struct Text {
    cut: Vec<u8>,
}

impl Text {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut whole = std::mem::take(&mut self.cut);
        whole.extend_from_slice(bytes);
        match std::str::from_utf8(&whole) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                self.cut = whole.get(error.valid_up_to()..).unwrap_or_default().to_vec();
                Ok(())
            }
            Err(_) => Err("it is not UTF-8 text".to_owned()),
        }
    }

    fn finish(&self) -> Result<(), String> {
        if self.cut.is_empty() { Ok(()) } else { Err("the text ends within a character".to_owned()) }
    }
}

/// Brackets and strings of a JSON document. It is no parser: what it lets through is whole, not necessarily right.
#[derive(Debug, Default)]
pub(crate) struct Json {
    text: Text,
    depth: u64,
    is_in_string: bool,
    is_escaped: bool,
}

impl Json {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.text.feed(bytes)?;
        for byte in bytes {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_in_string => self.is_escaped = true,
                b'"' => self.is_in_string = !self.is_in_string,
                b'{' | b'[' if !self.is_in_string => self.depth += 1,
                b'}' | b']' if !self.is_in_string => {
                    self.depth = self.depth.checked_sub(1).ok_or("the JSON closes a bracket too many")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), String> {
        self.text.finish()?;
        if self.depth > 0 || self.is_in_string { Err("the JSON is not closed".to_owned()) } else { Ok(()) }
    }
}

/// Walks the top-level boxes: 32-bit length and name, a 64-bit length where the first is 1, "to the end" where it is 0.
#[derive(Debug)]
pub(crate) struct Boxes {
    missing: Vec<[u8; 4]>,
    header: Vec<u8>,
    left_bytes: u64,
    is_open_ended: bool,
}

impl Boxes {
    fn new(needed: &[[u8; 4]]) -> Self {
        Self { missing: needed.to_vec(), header: Vec::with_capacity(16), left_bytes: 0, is_open_ended: false }
    }

    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() && !self.is_open_ended {
            if self.left_bytes > 0 {
                let skipped = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(bytes.len());
                self.left_bytes -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let wanted = self.header_bytes() - self.header.len();
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.header.extend_from_slice(taken);
            bytes = rest;
            if self.header.len() == self.header_bytes() {
                self.open()?;
            }
        }
        Ok(())
    }

    /// 16 when the short length says that a long one follows.
    fn header_bytes(&self) -> usize {
        if self.header.first_chunk::<4>() == Some(&[0, 0, 0, 1]) { 16 } else { 8 }
    }

    fn open(&mut self) -> Result<(), String> {
        let Some((short, rest)) = self.header.split_first_chunk::<4>() else {
            return Ok(());
        };
        let Some((name, long)) = rest.split_first_chunk::<4>() else {
            return Ok(());
        };
        let length = match (u32::from_be_bytes(*short), long.first_chunk::<8>()) {
            (0, _) => None,
            (_, Some(long)) => Some(u64::from_be_bytes(*long)),
            (short, None) => Some(u64::from(short)),
        };
        match length {
            None => self.is_open_ended = true,
            Some(length) if length < self.header.len() as u64 => {
                return Err(format!("the box `{}` says it has {length} bytes", name.escape_ascii()));
            }
            Some(length) => self.left_bytes = length - self.header.len() as u64,
        }
        self.missing.retain(|needed| needed != name);
        self.header.clear();
        Ok(())
    }

    fn finish(&self) -> Result<(), String> {
        if self.left_bytes > 0 {
            return Err(format!("the file ends {} bytes before the end of its last box", self.left_bytes));
        }
        if !self.header.is_empty() {
            return Err("the file ends within the header of a box".to_owned());
        }
        match self.missing.first() {
            Some(name) => Err(format!("the file ends without a box `{}`", name.escape_ascii())),
            None => Ok(()),
        }
    }
}

/// Looks for a closing marker within the last bytes. Some encoders and CDNs append a few bytes, which decoders ignore;
/// compressed data of a file that was cut cannot hold the marker.
#[derive(Debug)]
pub(crate) struct Marker {
    marker: &'static [u8],
    name: &'static str,
    tail: Vec<u8>,
}

impl Marker {
    const TAIL_BYTES: usize = 64;

    fn new(marker: &'static [u8], name: &'static str) -> Self {
        Self { marker, name, tail: Vec::with_capacity(2 * Self::TAIL_BYTES) }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let last = bytes.get(bytes.len().saturating_sub(Self::TAIL_BYTES)..).unwrap_or_default();
        self.tail.extend_from_slice(last);
        self.tail.drain(..self.tail.len().saturating_sub(Self::TAIL_BYTES));
    }

    fn finish(&self) -> Result<(), String> {
        if self.tail.windows(self.marker.len()).any(|window| window == self.marker) {
            Ok(())
        } else {
            Err(format!("the file ends without {}", self.name))
        }
    }
}

/// Compares the length in a RIFF header with the length that came.
#[derive(Debug, Default)]
pub(crate) struct Riff {
    header: Vec<u8>,
    seen_bytes: u64,
}

impl Riff {
    fn feed(&mut self, bytes: &[u8]) {
        let wanted = 8usize.saturating_sub(self.header.len()).min(bytes.len());
        self.header.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        self.seen_bytes += bytes.len() as u64;
    }

    fn finish(&self) -> Result<(), String> {
        let length = self.header.last_chunk::<4>().map_or(0, |length| u64::from(u32::from_le_bytes(*length)));
        let expected = length + 8;
        if self.seen_bytes < expected {
            return Err(format!("the file ends {} bytes before its end", expected - self.seen_bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn box_of(name: &[u8; 4], payload: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(8 + payload).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(name);
        bytes.resize(8 + payload, 7);
        bytes
    }

    fn mp4() -> Vec<u8> {
        [box_of(b"ftyp", 16), box_of(b"moov", 40), box_of(b"mdat", 100)].concat()
    }

    /// Fed in pieces of each size, the answer is the same.
    fn ends(content_type: &str, bytes: &[u8]) -> Result<(), String> {
        let mut answers = [1, 3, 7, 64, bytes.len().max(1)].map(|size| {
            let mut ending = Ending::of(content_type);
            bytes.chunks(size).try_for_each(|piece| ending.feed(piece)).and_then(|()| ending.finish())
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        std::mem::replace(&mut answers[0], Ok(()))
    }

    #[test]
    fn a_complete_mp4_passes_and_every_cut_of_it_fails() {
        let whole = mp4();
        assert_eq!(ends("video/mp4", &whole), Ok(()));
        for length in 0..whole.len() {
            assert!(ends("video/mp4", &whole[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn long_and_open_lengths_are_understood() {
        let mut long = mp4();
        long.extend_from_slice(b"\0\0\0\x01free\0\0\0\0\0\0\0\x14data");
        assert_eq!(ends("video/mp4", &long), Ok(()));
        long.pop();
        assert!(ends("video/mp4", &long).is_err());
        let open = [box_of(b"ftyp", 16), box_of(b"moov", 40), b"\0\0\0\0mdatrest".to_vec()].concat();
        assert_eq!(ends("video/mp4", &open), Ok(()));
    }

    #[test]
    fn an_impossible_box_length_fails_at_once() {
        let mut ending = Ending::of("video/mp4");
        assert!(ending.feed(b"\0\0\0\x05ftyp").is_err());
    }

    #[test]
    fn pictures_need_their_closing_marker() {
        let png = b"\x89PNG\r\n\x1a\n....\0\0\0\0IEND\xae\x42\x60\x82";
        assert_eq!(ends("image/png", png), Ok(()));
        assert!(ends("image/png", &png[..png.len() - 1]).is_err());
        let jpeg = b"\xff\xd8\xff\xe0....\xff\xd9";
        assert_eq!(ends("image/jpeg", jpeg), Ok(()));
        assert_eq!(ends("image/jpeg", &[&jpeg[..], b"\0\0\n"].concat()), Ok(()));
        assert!(ends("image/jpeg", &jpeg[..jpeg.len() - 1]).is_err());
    }

    #[test]
    fn text_and_json_must_be_whole() {
        let text = "grüß dich 🎬".as_bytes();
        assert_eq!(ends("text/plain; charset=utf-8", text), Ok(()));
        assert!(ends("text/plain; charset=utf-8", &text[..text.len() - 1]).is_err());
        let json = br#"{"a": ["b\"]", {"c": "\\"}]}"#;
        assert_eq!(ends("application/json", json), Ok(()));
        for length in 1..json.len() {
            assert!(ends("application/json", &json[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn webp_needs_the_length_its_header_names() {
        let webp = b"RIFF\x08\0\0\0WEBPVP8 ";
        assert_eq!(ends("image/webp", webp), Ok(()));
        assert!(ends("image/webp", &webp[..15]).is_err());
    }
}
