//! Provider texts made fit for people: short, printable, and without the key that was used (INV-7).

use atelier_domain::error::ProviderError;
use atelier_domain::ports::{Checked, ProviderKey};

/// Longest message, in characters.
pub const MESSAGE_LIMIT: usize = 300;
/// Longest provider word, in characters.
const WORD_LIMIT: usize = 80;
/// Parts of a key shorter than this are not looked for: they would hit ordinary words.
const SHORTEST_KEY_PART: usize = 8;

/// The text without control characters and surplus blanks, cut to `limit` characters.
pub fn tidy(text: &str, limit: usize) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let joined = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= limit {
        return joined;
    }
    let mut cut: String = joined.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Makes every text of an error fit for a job record and a log. The key is removed before the text is cut, so that
/// no half of it stays.
pub fn finished_error(error: ProviderError, key: &ProviderKey) -> ProviderError {
    let text = |raw: String| tidy(&without_key(raw, key), MESSAGE_LIMIT);
    let word = |raw: String| tidy(&without_key(raw, key), WORD_LIMIT);
    match error {
        ProviderError::NotSent { message } => ProviderError::NotSent { message: text(message) },
        ProviderError::Unavailable { message, status } => {
            ProviderError::Unavailable { message: text(message), status: word(status) }
        }
        ProviderError::RateLimited { message, retry_after } => {
            ProviderError::RateLimited { message: text(message), retry_after }
        }
        ProviderError::Rejected { message, status } => {
            ProviderError::Rejected { message: text(message), status: word(status) }
        }
        ProviderError::Invalid { message, status } => {
            ProviderError::Invalid { message: text(message), status: word(status) }
        }
        ProviderError::Unauthorized { message } => ProviderError::Unauthorized { message: text(message) },
        ProviderError::Quota { message } => ProviderError::Quota { message: text(message) },
        ProviderError::ModelRetired { message } => ProviderError::ModelRetired { message: text(message) },
        ProviderError::UnknownOperation { message } => {
            ProviderError::UnknownOperation { message: text(message) }
        }
        ProviderError::WorkFailed { message, status, is_retryable } => {
            ProviderError::WorkFailed { message: text(message), status: word(status), is_retryable }
        }
        ProviderError::Malformed { message, status } => {
            ProviderError::Malformed { message: text(message), status: word(status) }
        }
        ProviderError::UnknownOutcome { message } => ProviderError::UnknownOutcome { message: text(message) },
    }
}

/// Makes every provider word in a finding fit for a job record. Output links are left as they are: they are used,
/// not shown.
pub fn finished_check(found: Checked, key: &ProviderKey) -> Checked {
    let word = |raw: String| tidy(&without_key(raw, key), WORD_LIMIT);
    match found {
        Checked::Working { status, progress_percent } => {
            Checked::Working { status: word(status), progress_percent }
        }
        Checked::Ready { outputs, status, cost } => Checked::Ready { outputs, status: word(status), cost },
        Checked::Failed { error, cost } => Checked::Failed { error: finished_error(error, key), cost },
    }
}

/// A short provider word (a first status, a request id).
pub fn finished_word(raw: String, key: &ProviderKey) -> String {
    tidy(&without_key(raw, key), WORD_LIMIT)
}

fn without_key(text: String, key: &ProviderKey) -> String {
    let key = key.0.expose();
    // Fal keys are `id:secret`; a reply may echo either part.
    std::iter::once(key.as_str())
        .chain(key.split(':'))
        .filter(|part| part.len() >= SHORTEST_KEY_PART || (*part == key && !part.is_empty()))
        .fold(text, |text, part| text.replace(part, "***"))
}

#[cfg(test)]
mod tests {
    use atelier_domain::secret::Secret;

    use super::*;

    fn key(text: &str) -> ProviderKey {
        ProviderKey(Secret::new(text.to_owned()))
    }

    #[test]
    fn texts_are_printable_and_short() {
        assert_eq!(tidy("a\r\n\tb\u{1b}[31m  c", 300), "a b [31m c");
        let long = tidy(&"ä".repeat(400), 300);
        assert_eq!(long.chars().count(), 300);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn inv7_no_part_of_the_key_survives_the_cut() {
        let secret = "k".repeat(40);
        let message = format!("{}{secret}", "x".repeat(280));
        let error = finished_error(ProviderError::Unauthorized { message }, &key(&secret));
        assert_eq!(error, ProviderError::Unauthorized { message: format!("{}***", "x".repeat(280)) });
    }

    #[test]
    fn inv7_both_parts_of_a_paired_key_are_removed() {
        let error = ProviderError::Quota { message: "user 0123456789ab, secret fedcba98765".to_owned() };
        let error = finished_error(error, &key("0123456789ab:fedcba98765"));
        assert_eq!(error, ProviderError::Quota { message: "user ***, secret ***".to_owned() });
    }

    #[test]
    fn short_key_parts_do_not_eat_ordinary_words() {
        let error = ProviderError::Quota { message: "an id is wrong".to_owned() };
        assert_eq!(finished_error(error.clone(), &key("id:longlonglong")), error);
    }
}
