//! The one place that decides whether a prompt is shown.

use sha2::{Digest, Sha256};

use crate::settings::CapturePrompts;

/// Stands at the end of a prompt that was cut.
const CUT_MARK: &str = "... [cut]";

/// What may be shown of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing of its content.
    Nothing,
    /// Its digest in hex.
    Digest(String),
    /// Itself, perhaps cut.
    Text(String),
}

/// The stricter of the process's setting and the job's wish.
pub(super) fn stricter(process: CapturePrompts, job_allows: bool) -> CapturePrompts {
    match job_allows {
        true => process,
        false => CapturePrompts::Off,
    }
}

/// Applies a choice to a prompt. Cuts at a character, at or below `limit_bytes`; the mark comes on top.
pub(super) fn shown(prompt: &str, choice: CapturePrompts, limit_bytes: usize) -> Shown {
    match choice {
        CapturePrompts::Off => Shown::Nothing,
        CapturePrompts::Hash => {
            Shown::Digest(Sha256::digest(prompt).iter().map(|byte| format!("{byte:02x}")).collect())
        }
        CapturePrompts::On => {
            let end = prompt.floor_char_boundary(limit_bytes);
            match prompt.get(..end) {
                Some(start) if end < prompt.len() => Shown::Text(format!("{start}{CUT_MARK}")),
                _ => Shown::Text(prompt.to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_of_process_and_job_wins() {
        for process in [CapturePrompts::On, CapturePrompts::Hash, CapturePrompts::Off] {
            assert_eq!(stricter(process, true), process);
            assert_eq!(stricter(process, false), CapturePrompts::Off);
        }
    }

    #[test]
    fn a_long_prompt_is_cut_at_a_character_and_marked() {
        assert_eq!(shown("äöü", CapturePrompts::On, 3), Shown::Text("ä... [cut]".to_owned()));
        assert_eq!(shown("äöü", CapturePrompts::On, 6), Shown::Text("äöü".to_owned()));
        assert_eq!(shown("a", CapturePrompts::On, 0), Shown::Text("... [cut]".to_owned()));
    }

    #[test]
    fn a_digest_is_the_sha256_of_the_whole_prompt() {
        let wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(shown("abc", CapturePrompts::Hash, 1), Shown::Digest(wanted.to_owned()));
    }
}
