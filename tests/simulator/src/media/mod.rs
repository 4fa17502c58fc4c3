//! Media that the simulator makes by itself: small, valid, and the same for the same prompt and parameters.

mod aac;
mod audio;
mod bits;
mod flac;
mod h264;
mod jpeg;
mod mp3;
mod mp4;
mod ogg;
mod padding;
mod picture;
mod png;
mod sound;
#[cfg(test)]
mod tests;
mod webp;

use bytes::Bytes;

pub(crate) use audio::{Coding, Speech, SpeechFormat, character_start};
pub(crate) use sound::Sound;

/// A file as runs of equal bytes: a file of any size needs the memory of its distinct parts only.
#[derive(Debug, Clone)]
pub(crate) struct MediaFile {
    pub(crate) content_type: &'static str,
    pub(crate) segments: Vec<Segment>,
}

/// Bytes that are sent `repeat` times.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) bytes: Bytes,
    pub(crate) repeat: u64,
}

impl Segment {
    pub(crate) fn once(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), repeat: 1 }
    }

    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64 * self.repeat
    }
}

impl MediaFile {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::size_bytes).sum()
    }

    /// Drops the tail.
    pub(crate) fn shorten_to(&mut self, size_bytes: u64) {
        let mut left = size_bytes;
        let mut kept = Vec::new();
        for segment in std::mem::take(&mut self.segments) {
            let length = segment.bytes.len() as u64;
            if length == 0 {
                continue;
            }
            let repeat = (left / length).min(segment.repeat);
            left -= repeat * length;
            let is_whole = repeat == segment.repeat;
            kept.push(Segment { bytes: segment.bytes.clone(), repeat });
            if !is_whole {
                let rest = usize::try_from(left).unwrap_or_default().min(segment.bytes.len());
                kept.push(Segment::once(segment.bytes.slice(..rest)));
                break;
            }
        }
        self.segments = kept;
    }
}

/// Everything that decides a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MediaSpec {
    Image { prompt: String, width: u32, height: u32, format: ImageFormat, blank: bool },
    Video { prompt: String, width: u32, height: u32, frames: u32, frames_per_second: u32 },
    Speech(Box<Speech>),
}

/// Encodings of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    Png,
    Jpeg,
    Webp,
}

impl ImageFormat {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

impl MediaSpec {
    /// The file's name extension.
    pub(crate) fn extension(&self) -> &'static str {
        match self {
            Self::Image { format, .. } => format.extension(),
            Self::Video { .. } => "mp4",
            Self::Speech(speech) => speech.format.extension(),
        }
    }

    /// The `Content-Type` of the file.
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Image { format, .. } => format.content_type(),
            Self::Video { .. } => "video/mp4",
            Self::Speech(speech) => speech.content_type,
        }
    }

    /// Makes the file. Costs tens of milliseconds for a video, so keep it off the reactor.
    pub(crate) fn render(&self) -> Bytes {
        match self {
            Self::Image { prompt, width, height, format, blank } => {
                let picture = if *blank {
                    picture::Picture::blank(*width, *height, picture::IMAGE_CELL)
                } else {
                    picture::Picture::draw(prompt, *width, *height, picture::IMAGE_CELL)
                };
                match format {
                    ImageFormat::Png => png::encode(&picture).into(),
                    ImageFormat::Jpeg => jpeg::encode(&picture).into(),
                    ImageFormat::Webp => webp::encode(&picture).into(),
                }
            }
            Self::Video { prompt, width, height, frames, frames_per_second } => {
                let picture = picture::Picture::draw(prompt, *width, *height, picture::VIDEO_CELL);
                mp4::encode(&picture, *frames, *frames_per_second).into()
            }
            Self::Speech(speech) => audio::encode(speech).into(),
        }
    }

    /// The file, blown up to `size_bytes` if that is more than it has.
    pub(crate) fn file(&self, bytes: Bytes, size_bytes: Option<u64>) -> MediaFile {
        let segments = match size_bytes {
            Some(size) if size > bytes.len() as u64 => padding::pad(self, &bytes, size),
            _ => vec![Segment::once(bytes)],
        };
        MediaFile { content_type: self.content_type(), segments }
    }
}
