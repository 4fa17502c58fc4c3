//! What files tell about themselves, against the word of FFmpeg: `corpus/make.py` made them and asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use atelier_domain::asset::MediaFacts;
use atelier_domain::ports::{ExpectedContent, NewObject};
use atelier_s3_store::probe_pieces;
use serde::Deserialize;

/// FFmpeg's word on a file.
#[derive(Deserialize)]
struct Told {
    #[serde(flatten)]
    facts: MediaFacts,
    /// How long one picture is shown, or what one packet of sound lasts.
    frame_ms: u64,
}

fn corpus() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "corpus"].iter().collect()
}

fn object(claimed_type: Option<&str>) -> NewObject {
    NewObject {
        key_prefix: String::new(),
        claimed_type: claimed_type.map(str::to_owned),
        expects: ExpectedContent::AnyMedia,
        length_bytes: None,
    }
}

#[test]
fn every_file_of_the_corpus_tells_what_ffmpeg_tells() {
    let text = std::fs::read_to_string(corpus().join("facts.json")).unwrap();
    let table: BTreeMap<String, Told> = serde_json::from_str(&text).unwrap();
    assert_eq!(
        table.len() + 2,
        std::fs::read_dir(corpus()).unwrap().count(),
        "but for the table and its maker"
    );
    for (name, Told { facts: expected, frame_ms }) in table {
        let bytes = std::fs::read(corpus().join(&name)).unwrap();
        let claimed = name.ends_with(".m4a").then_some("audio/mp4");
        for size in [bytes.len(), 1000, 13, 1] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let found = probe_pieces(object(claimed), &pieces)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .facts;
            assert_eq!(
                (found.width, found.height, &found.codec),
                (expected.width, expected.height, &expected.codec),
                "{name}"
            );
            match (found.duration_ms, expected.duration_ms) {
                (Some(found), Some(expected)) => {
                    assert!(found.abs_diff(expected) <= frame_ms, "{name}: {found} ms, not {expected} ms");
                }
                (found, expected) => assert_eq!(found, expected, "{name}"),
            }
        }
    }
}

#[test]
fn a_file_that_was_changed_anywhere_panics_nowhere() {
    // Lengths, counts and flags at their edges, as a byte, as a number of four and as one of eight.
    let edges: [&[u8]; 8] =
        [&[0], &[1], &[0x7f], &[0xff], &[0; 4], &[0xff; 4], &[0x7f, 0xff, 0xff, 0xff], &[0xff; 8]];
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let step = (bytes.len() / 300).max(1);
        for at in (0..bytes.len()).step_by(step) {
            for edge in edges {
                let mut changed = bytes.clone();
                let end = (at + edge.len()).min(bytes.len());
                changed[at..end].copy_from_slice(&edge[..end - at]);
                let whole = probe_pieces(object(None), &[&changed]);
                let (first, second) = changed.split_at(at);
                let split = probe_pieces(object(None), &[first, second]);
                // Stored or refused: either is an answer, but it does not depend on the pieces.
                assert_eq!(whole.ok(), split.ok(), "{} at {at}: {edge:x?}", path.display());
            }
            let _ = probe_pieces(object(None), &[&bytes[..at]]);
        }
    }
}

#[test]
fn silence_is_an_empty_text_but_no_empty_media() {
    let text = NewObject { expects: ExpectedContent::Text, ..object(None) };
    let stored = probe_pieces(text, &[]).unwrap();
    assert_eq!((stored.size_bytes, stored.content_type.as_str()), (0, "text/plain; charset=utf-8"));
    assert!(probe_pieces(object(None), &[]).is_err());
}
