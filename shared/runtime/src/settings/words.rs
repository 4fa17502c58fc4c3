//! How a mistake is put into words.

use config::{Value, ValueKind};

/// Longer values are cut in an error.
const SHOWN_CHARACTERS: usize = 40;

/// The value as it may be shown.
pub(super) fn described(value: &Value, is_secret: bool) -> String {
    let kind = match &value.kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "a flag",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a whole number",
        ValueKind::Float(_) => "a number",
        ValueKind::String(_) => "a text",
        ValueKind::Table(_) => "a section",
        ValueKind::Array(_) => "a list",
    };
    let text = match &value.kind {
        ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => return kind.to_owned(),
        ValueKind::String(text) => text.clone(),
        _ => value.to_string(),
    };
    if is_secret {
        return kind.to_owned();
    }
    let short: String = text.chars().take(SHOWN_CHARACTERS).collect();
    let mark = if short.len() < text.len() { "..." } else { "" };
    format!("{kind} (`{short}{mark}`)")
}

/// What serde calls the wanted type, for people who do not write Rust.
pub(super) fn expected(type_name: &str) -> String {
    let bits = type_name.get(1..).and_then(|bits| bits.parse::<u32>().ok()).filter(|bits| *bits <= 128);
    match (type_name.chars().next(), bits) {
        // Beyond that the limit says nothing to a reader.
        (Some('u'), Some(bits @ ..=32)) => {
            format!("a whole number from 0 to {}", u128::MAX.checked_shr(128 - bits).unwrap_or(0))
        }
        (Some('u'), Some(_)) => "a whole number, 0 or more".to_owned(),
        (Some('i'), Some(_)) => "a whole number".to_owned(),
        (Some('f'), Some(_)) => "a number".to_owned(),
        _ => match type_name {
            "usize" => "a whole number, 0 or more".to_owned(),
            "a string" => "a text".to_owned(),
            "a boolean" => "true or false".to_owned(),
            "a sequence" => "a list".to_owned(),
            "a map" => "a section".to_owned(),
            other => match other.strip_prefix("struct ") {
                Some(_) => "a section".to_owned(),
                None => other.to_owned(),
            },
        },
    }
}

/// A message of a type's own, without the secret it may quote.
pub(super) fn without(message: &str, secret: Option<&Value>) -> String {
    match secret.map(|value| &value.kind) {
        Some(ValueKind::String(text)) if !text.is_empty() => message.replace(text.as_str(), "***"),
        Some(_) => "a value of the right form was expected".to_owned(),
        None => message.to_owned(),
    }
}

/// What was probably meant, or what there is.
pub(super) fn guess(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The candidate that was most likely meant.
fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, one row at a time.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut next = vec![index + 1];
        for ((other, pair), left) in to.iter().zip(row.windows(2)).zip(0..) {
            let [above_left, above] = pair else { continue };
            let before: &usize = next.get(left).unwrap_or(&0);
            let replaced = above_left + usize::from(letter != *other);
            next.push(replaced.min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        assert_eq!(
            nearest("conect_timeout_ms", ["command_timeout_ms", "connect_timeout_ms"]),
            Some("connect_timeout_ms")
        );
        assert_eq!(nearest("ulr", ["url", "prefix"]), Some("url"));
        assert_eq!(nearest("colour", ["url", "prefix"]), None);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn types_are_named_for_people() {
        assert_eq!(expected("u16"), "a whole number from 0 to 65535");
        assert_eq!(expected("u64"), "a whole number, 0 or more");
        assert_eq!(expected("struct RedisSettings"), "a section");
    }
}
