//! What files tell about themselves, against the word of FFmpeg: `corpus/make.py` made them and asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use atelier_domain::asset::MediaFacts;
use atelier_domain::ports::{ExpectedContent, NewObject};
use atelier_s3_store::probe_pieces;

/// Encoders pad sound to whole frames, and FFmpeg takes the padding off where the file tells how much it is.
const TOLERANCE_MS: u64 = 80;

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
    let table: BTreeMap<String, MediaFacts> = serde_json::from_str(&text).unwrap();
    assert!(table.len() >= 16);
    for (name, expected) in table {
        let bytes = std::fs::read(corpus().join(&name)).unwrap();
        let claimed = name.ends_with(".m4a").then_some("audio/mp4");
        for size in [bytes.len(), 1000, 13] {
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
                    assert!(
                        found.abs_diff(expected) <= TOLERANCE_MS,
                        "{name}: {found} ms, not {expected} ms"
                    );
                }
                (found, expected) => assert_eq!(found, expected, "{name}"),
            }
        }
    }
}

#[test]
fn a_file_that_was_changed_anywhere_panics_nowhere() {
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let step = (bytes.len() / 400).max(1);
        for at in (0..bytes.len()).step_by(step) {
            for value in [0x00, 0x01, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                // Stored or refused: either is an answer.
                let _ = probe_pieces(object(None), &[&changed]);
                let _ = probe_pieces(object(None), &[&changed[..at]]);
            }
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
