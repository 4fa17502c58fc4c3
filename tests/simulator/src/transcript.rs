//! What is heard in a recording. Speech that the simulator made is heard word for word; anything else gives words
//! that follow from the SHA-256 of its bytes, or of its address, and fill its length.

use sha2::{Digest as _, Sha256};

use crate::hex::hex;
use crate::media::{Sound, character_start};
use crate::state::{Digest32, State};

/// Words of recordings that are not known.
const WORDS: [&str; 32] = [
    "morning", "river", "letter", "garden", "number", "window", "paper", "market", "winter", "signal",
    "harbor", "engine", "copper", "silver", "ticket", "corner", "bottle", "planet", "forest", "station",
    "button", "candle", "camera", "meadow", "lantern", "ladder", "pocket", "summer", "thunder", "valley",
    "whistle", "yellow",
];
const WORDS_PER_SECOND: f64 = 2.5;
/// The part of its time that such a word sounds.
const SOUNDING_PART: f64 = 0.8;
const WORDS_OF_SENTENCE: usize = 8;
/// The longest transcript; what is longer is heard up to here.
const LONGEST: usize = 20_000;

/// A recording with its words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) digest: Digest32,
    pub(crate) seconds: f64,
    pub(crate) channels: u32,
    pub(crate) words: Vec<Word>,
    /// The simulator spoke it.
    pub(crate) is_known: bool,
}

/// A word with the signs around it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) start: f64,
    pub(crate) end: f64,
    /// From 0.9 to 1.
    pub(crate) confidence: f64,
    /// Counts from 0.
    pub(crate) sentence: usize,
}

impl Heard {
    /// The words of these bytes.
    pub(crate) fn of_bytes(bytes: &[u8], sound: Sound, state: &State) -> Self {
        let digest: Digest32 = Sha256::digest(bytes).into();
        let text = state.spoken_text(&digest);
        let words = match &text {
            Some(text) => spoken_words(text, sound.seconds, &digest),
            None if sound.is_silent => Vec::new(),
            None => other_words(sound.seconds, &digest),
        };
        let Sound { seconds, channels, .. } = sound;
        Self { digest, seconds, channels, words, is_known: text.is_some() }
    }

    /// The words of a file that is only named: from five to twenty seconds, one channel.
    pub(crate) fn of_address(address: &str) -> Self {
        let digest: Digest32 = Sha256::digest(address).into();
        let seconds = 5.0 + f64::from(digest.first().copied().unwrap_or_default()) / 17.0;
        Self { seconds, channels: 1, words: other_words(seconds, &digest), is_known: false, digest }
    }

    /// The digest in hex.
    pub(crate) fn sha256(&self) -> String {
        hex(self.digest)
    }
}

/// Words with one blank between two.
pub(crate) fn joined(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// A URL without query and fragment, its path decoded.
pub(crate) fn address(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let pair = format!("x={}", plain.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, text)| text.into_owned())
}

fn spoken_words(text: &str, seconds: f64, digest: &Digest32) -> Vec<Word> {
    let characters = text.chars().count();
    let time = |index| character_start(index, characters, seconds);
    let (mut words, mut sentence, mut place) = (Vec::new(), 0, 0);
    for part in text.split_inclusive(char::is_whitespace) {
        let word = part.trim_end();
        if !word.is_empty() {
            words.push(Word {
                text: word.to_owned(),
                start: time(place),
                end: time(place + word.chars().count()),
                confidence: confidence(digest, words.len()),
                sentence,
            });
            sentence += usize::from(word.ends_with(['.', '!', '?']));
        }
        place += part.chars().count();
    }
    words
}

fn other_words(seconds: f64, digest: &Digest32) -> Vec<Word> {
    let count = ((seconds * WORDS_PER_SECOND) as usize).min(LONGEST);
    (0..count)
        .map(|index| {
            let draw = draw(digest, index);
            let word = WORDS.get(draw as usize % WORDS.len()).copied().unwrap_or_default();
            let is_first = index % WORDS_OF_SENTENCE == 0;
            let is_last = index % WORDS_OF_SENTENCE == WORDS_OF_SENTENCE - 1 || index + 1 == count;
            let mut text = if is_first { capital(word) } else { word.to_owned() };
            if is_last {
                text.push('.');
            }
            let start = index as f64 / WORDS_PER_SECOND;
            Word {
                text,
                start,
                end: start + SOUNDING_PART / WORDS_PER_SECOND,
                confidence: confidence(digest, index),
                sentence: index / WORDS_OF_SENTENCE,
            }
        })
        .collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn confidence(digest: &Digest32, index: usize) -> f64 {
    0.9 + f64::from(draw(digest, index) % 1000) / 10_000.0
}

/// A number for a place that follows from the digest.
fn draw(digest: &Digest32, index: usize) -> u32 {
    let mut hash = Sha256::new();
    hash.update(digest);
    hash.update((index as u64).to_be_bytes());
    hash.finalize().iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{MediaSpec, Speech, SpeechFormat};
    use crate::options::Options;

    fn sound(seconds: f64) -> Sound {
        Sound { seconds, channels: 1, is_silent: false }
    }

    #[test]
    fn our_own_speech_is_heard_word_for_word() {
        let state = State::new(Options::default());
        let format = SpeechFormat::named("mp3_44100_128").unwrap();
        let text = "Hello there, friend.  How are you?";
        let bytes = state.render(&MediaSpec::Speech(Box::new(Speech::new(text, format))));
        let heard = Heard::of_bytes(&bytes, Sound::of(&bytes).unwrap(), &state);
        assert_eq!(joined(&heard.words), "Hello there, friend. How are you?");
        let sentences: Vec<usize> = heard.words.iter().map(|word| word.sentence).collect();
        assert_eq!(sentences, [0, 0, 0, 1, 1, 1]);
        // The fourth word begins at the 23rd character, fifteen of which are spoken in a second.
        assert!((heard.words[3].start - 22.0 / 15.0).abs() < 0.05, "{:?}", heard.words[3]);
        assert!(heard.words.last().unwrap().end <= heard.seconds);
    }

    #[test]
    fn other_recordings_are_heard_the_same_each_time() {
        let state = State::new(Options::default());
        let first = Heard::of_bytes(b"a recording", sound(8.0), &state);
        assert_eq!(first, Heard::of_bytes(b"a recording", sound(8.0), &state));
        assert_ne!(first.words, Heard::of_bytes(b"another", sound(8.0), &state).words);
        assert_eq!(first.words.len(), 20);
        assert!(first.words.iter().all(|word| (0.9..=1.0).contains(&word.confidence)));
        assert!(first.words.windows(2).all(|pair| pair[0].end <= pair[1].start));
        assert!(joined(&first.words).ends_with('.'));
    }

    #[test]
    fn nothing_is_heard_in_silence() {
        let state = State::new(Options::default());
        let quiet = Sound { is_silent: true, ..sound(8.0) };
        assert_eq!(joined(&Heard::of_bytes(&[0; 100], quiet, &state).words), "");
    }

    #[test]
    fn addresses_lose_what_may_be_secret() {
        assert_eq!(
            address("https://host/a%20b%5Bsim:lost%5D.mp3?sig=secret#x"),
            "https://host/a b[sim:lost].mp3"
        );
    }
}
