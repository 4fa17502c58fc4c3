//! Which known word a mistyped one probably was.

/// Words longer than this are not compared: the cost grows with the square.
const MAX_LENGTH: usize = 64;

/// The known word that is nearest to `word`, if it is near: at most a third of its letters must be changed, added,
/// left out or swapped with a neighbour.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters =
        |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<Vec<char>>();
    if word.len() > MAX_LENGTH {
        return None;
    }
    let wanted = letters(word);
    let distances = known.into_iter().map(|candidate| {
        let other = letters(candidate);
        (distance(&wanted, &other), other.len().max(wanted.len()), candidate)
    });
    let near = distances.filter(|(distance, length, _)| distance * 3 <= *length);
    near.min_by_key(|(distance, _, _)| *distance).map(|(_, _, candidate)| candidate)
}

/// Edits from one word to the other (optimal string alignment), kept in three rows.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut best =
                (at(&above, j) + usize::from(a != b)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let neighbour = j.checked_sub(1).and_then(|k| right.get(k));
            if last == Some(b) && neighbour == Some(a) {
                best = best.min(at(&before, j.saturating_sub(1)) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
        last = Some(a);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["prompt", "provider", "input_url", "config", "num_images", "deadline_s"];

    #[test]
    fn a_typing_error_finds_its_word() {
        for (typed, meant) in [
            ("promt", "prompt"),
            ("porvider", "provider"),
            ("inputUrl", "input_url"),
            ("INPUT-URL", "input_url"),
            ("num_image", "num_images"),
            ("deadline", "deadline_s"),
            ("confg", "config"),
        ] {
            assert_eq!(nearest(typed, KNOWN.iter().copied()), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_different_word_suggests_nothing() {
        for typed in ["colour", "x", "", "api_key", &"p".repeat(1000)] {
            assert_eq!(nearest(typed, KNOWN.iter().copied()), None, "{typed}");
        }
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (left, right, edits) in
            [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 1)]
        {
            assert_eq!(distance(&chars(left), &chars(right)), edits, "{left} {right}");
        }
    }
}
