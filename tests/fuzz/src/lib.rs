//! What foreign bytes reach first: replies of providers, requests of callers, media of anybody. Each target takes any
//! bytes and must come back; besides, it holds its reader to a few rules that no input may break.
//!
//! `tests/fuzz/run` lets libFuzzer look for bytes that break them. What it found once lies under `found/` and is tried
//! again by the tests.

#[path = "../../../shared/providers/tests/json_change.rs"]
mod json_change;
mod media;
mod mutation;
mod replies;
mod requests;
#[path = "../../../shared/providers/tests/samples.rs"]
mod samples;

use std::path::PathBuf;

pub use mutation::changed_json;

/// A reader under attack.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Tries these bytes.
    pub attack: fn(&[u8]),
    /// Folders of good inputs to begin with, from the root of the repository.
    pub seeds: &'static [&'static str],
}

/// Every reader.
pub const TARGETS: [Target; 3] = [
    Target { name: "replies", attack: replies::attack, seeds: &["shared/providers/fixtures"] },
    Target { name: "requests", attack: requests::attack, seeds: &["tests/fuzz/seeds/requests"] },
    Target { name: "media", attack: media::attack, seeds: &["shared/s3-store/tests/corpus"] },
];

impl Target {
    /// The folders to begin with, and that of what was found.
    pub fn folders(&self) -> Vec<PathBuf> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let found = format!("tests/fuzz/found/{}", self.name);
        self.seeds.iter().copied().chain([found.as_str()]).map(|folder| root.join(folder)).collect()
    }
}

/// Cuts bytes into pieces whose lengths follow from the bytes themselves.
fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = bytes
        .iter()
        .take(16)
        .fold(bytes.len() as u64, |state, byte| state.wrapping_mul(0x100_0000_01b3) ^ u64::from(*byte));
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Short pieces find the seams, long ones keep the number of pieces small.
        let most = if state & 0x100 == 0 { 7 } else { 4096 };
        let length = usize::try_from(state >> 33).unwrap_or_default() % most + 1;
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
