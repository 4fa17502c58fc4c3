//! ISO base media (MP4, MOV, M4A): of the top-level boxes `moov` and each `moof` are held while they stream by, wherever
//! they stand, and read when they end; the media data between them is passed over by its length. The published parsers
//! want the whole file to seek in, and read every table of samples.

mod boxes;
mod fragment;
mod track;

use atelier_domain::asset::MediaFacts;

use self::boxes::{boxes, header_bytes, length_in};
use self::track::{Track, header_duration};

/// Larger indexes belong to videos of many hours; they are passed over.
const MOST_HELD_BYTES: usize = 8 * 1024 * 1024;
/// A file has a handful of tracks; further ones are not looked at.
const MOST_TRACKS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Movie {
    header: Vec<u8>,
    left_bytes: u64,
    holding: Holding,
    held: Vec<u8>,
    index: Option<Index>,
}

/// What the box that streams by is held for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Holding {
    #[default]
    Nothing,
    Index,
    Fragment,
}

/// What a `moov` tells, and the fragments after it.
#[derive(Debug)]
struct Index {
    tracks: Vec<Track>,
    whole_ms: Option<u64>,
}

impl Movie {
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left_bytes > 0 {
                let length = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(bytes.len());
                let (taken, rest) = bytes.split_at(length);
                self.hold(taken);
                self.left_bytes -= taken.len() as u64;
                bytes = rest;
                if self.left_bytes == 0 {
                    self.close();
                }
                continue;
            }
            let wanted = header_bytes(&self.header).saturating_sub(self.header.len());
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.header.extend_from_slice(taken);
            bytes = rest;
            if self.header.len() == header_bytes(&self.header) {
                self.open();
            }
        }
    }

    fn open(&mut self) {
        let header = std::mem::take(&mut self.header);
        let length = length_in(&header);
        self.holding = match header.get(4..8) {
            Some(b"moov") if self.index.is_none() => Holding::Index,
            Some(b"moof") if self.index.is_some() => Holding::Fragment,
            _ => Holding::Nothing,
        };
        if length.is_some_and(|length| length > MOST_HELD_BYTES as u64) {
            self.holding = Holding::Nothing;
        }
        // A box that reaches to the end, or one whose length is nonsense, is the last one.
        self.left_bytes =
            length.and_then(|length| length.checked_sub(header.len() as u64)).unwrap_or(u64::MAX);
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.holding == Holding::Nothing {
            return;
        }
        if self.held.len() + bytes.len() > MOST_HELD_BYTES {
            self.holding = Holding::Nothing;
            self.held = Vec::new();
            return;
        }
        self.held.extend_from_slice(bytes);
    }

    fn close(&mut self) {
        let held = std::mem::take(&mut self.held);
        match (std::mem::take(&mut self.holding), &mut self.index) {
            (Holding::Index, _) => self.index = Some(Index::read(&held)),
            (Holding::Fragment, Some(index)) => fragment::add(&held, &mut index.tracks),
            (Holding::Fragment, None) | (Holding::Nothing, _) => {}
        }
    }

    pub(super) fn facts(&self) -> MediaFacts {
        match (&self.index, self.holding) {
            (Some(index), _) => index.facts(),
            // The last box may say that it reaches to the end.
            (None, Holding::Index) => Index::read(&self.held).facts(),
            (None, Holding::Fragment | Holding::Nothing) => MediaFacts::default(),
        }
    }
}

impl Index {
    fn read(moov: &[u8]) -> Self {
        let mut index = Self { tracks: Vec::new(), whole_ms: None };
        for (name, body) in boxes(moov) {
            match &name {
                b"mvhd" => index.whole_ms = header_duration(body).in_ms(),
                b"trak" if index.tracks.len() < MOST_TRACKS => index.tracks.push(Track::read(body)),
                b"mvex" => fragment::defaults(body, &mut index.tracks),
                _ => {}
            }
        }
        index
    }

    fn facts(&self) -> MediaFacts {
        let pictures = || self.tracks.iter().find(|track| track.is_video);
        let sound = || self.tracks.iter().find(|track| track.is_sound);
        let Some(shown) = pictures().or_else(sound) else { return MediaFacts::default() };
        MediaFacts {
            width: shown.size.map(|(width, _)| width),
            height: shown.size.map(|(_, height)| height),
            // Where the track itself has no length, the whole movie has one.
            duration_ms: shown.duration_ms().or(self.whole_ms),
            codec: shown.codec.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::facts;

    fn box_of(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(8 + body.len()).unwrap();
        [&length.to_be_bytes()[..], name, body].concat()
    }

    /// A `moov` with a sound track of `duration` at 1000 a second.
    fn moov(duration: u32) -> Vec<u8> {
        let mut mdhd = [0u8; 24];
        mdhd[12..16].copy_from_slice(&1000u32.to_be_bytes());
        mdhd[16..20].copy_from_slice(&duration.to_be_bytes());
        let media = [box_of(b"mdhd", &mdhd), box_of(b"hdlr", b"\0\0\0\0\0\0\0\0soun\0\0\0\0")].concat();
        let mut tkhd = [0u8; 84];
        tkhd[15] = 1;
        box_of(b"moov", &box_of(b"trak", &[box_of(b"tkhd", &tkhd), box_of(b"mdia", &media)].concat()))
    }

    /// A fragment of `count` samples of `each` length at `at`.
    fn moof(at: u32, count: u32, each: u32) -> Vec<u8> {
        let tfhd = [&[0, 0, 0, 8, 0, 0, 0, 1][..], &each.to_be_bytes()].concat();
        let tfdt = [&[0; 4][..], &at.to_be_bytes()].concat();
        let trun = [&[0; 4][..], &count.to_be_bytes()].concat();
        let inside = [box_of(b"tfhd", &tfhd), box_of(b"tfdt", &tfdt), box_of(b"trun", &trun)].concat();
        box_of(b"moof", &box_of(b"traf", &inside))
    }

    #[test]
    fn the_index_is_found_wherever_it_stands() {
        let media = box_of(b"mdat", &[7; 5_000]);
        let mut open = moov(1500);
        open[..4].copy_from_slice(&[0; 4]);
        for file in [
            [moov(1500), media.clone()].concat(),
            [media.clone(), moov(1500)].concat(),
            [media, open].concat(),
        ] {
            assert_eq!(facts("video/mp4", &file).duration_ms, Some(1500));
        }
    }

    #[test]
    fn fragments_add_up_from_where_the_first_begins() {
        let live = [moov(0), moof(90_000, 10, 50), moof(90_500, 10, 50)].concat();
        assert_eq!(facts("video/mp4", &live).duration_ms, Some(1000));
        let continued = [moov(500), moof(500, 10, 50)].concat();
        assert_eq!(facts("video/mp4", &continued).duration_ms, Some(1000));
        let absurd = [moov(0), moof(0, u32::MAX, u32::MAX), moof(u32::MAX, u32::MAX, u32::MAX)].concat();
        assert_eq!(facts("video/mp4", &absurd).duration_ms, None);
    }

    #[test]
    fn an_index_beyond_the_bound_is_not_held() {
        let mut movie = Movie::default();
        movie.feed(&u32::MAX.to_be_bytes());
        movie.feed(b"moov");
        (0..100).for_each(|_| movie.feed(&[0; 1024 * 1024]));
        assert_eq!((movie.held.capacity(), movie.facts()), (0, MediaFacts::default()));
        let mut open_ended = Movie::default();
        open_ended.feed(b"\0\0\0\0moov");
        (0..100).for_each(|_| open_ended.feed(&[0; 1024 * 1024]));
        assert_eq!((open_ended.held.capacity(), open_ended.facts()), (0, MediaFacts::default()));
    }

    #[test]
    fn a_million_empty_tracks_are_not_kept() {
        let movie = Index::read(&box_of(b"trak", b"").repeat(100_000));
        assert_eq!(movie.tracks.len(), MOST_TRACKS);
    }
}
