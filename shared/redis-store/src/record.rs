//! The record of a job: a fixed header that scripts read and change in place, and a JSON body.
//!
//! | bytes | field | form |
//! |---|---|---|
//! | 0 | layout version | `1` |
//! | 1 | state | one letter |
//! | 2..10 | epoch | 8 hex |
//! | 10..14 | deliveries | 4 hex |
//! | 14..18 | checks | 4 hex |
//! | 18..31 | changed at | 13 digits, ms |
//! | 31..44 | due at | 13 digits, ms; zeros for none |
//! | 44..47 | progress | 3 digits, percent; `---` for none |
//! | 47 | end of header | newline |
//!
//! A check that finds the provider still working changes only these 48 bytes.

use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::job::{Epoch, Job, JobBody};
use atelier_domain::state::State;

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 48;

const VERSION: u8 = b'1';

/// A record that this build cannot read. It is left as it is: a newer build may.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Shorter than a header, or without its end.
    #[error("the record has no readable header")]
    Header,
    /// Written by another layout.
    #[error("the record has layout `{0}`, this build reads `1`")]
    Version(char),
    /// The body is not the JSON it must be.
    #[error("the record's body is not readable")]
    Body(#[source] serde_json::Error),
}

/// The letter of a state.
pub const fn letter(state: State) -> char {
    match state {
        State::Queued => 'q',
        State::Submitting => 's',
        State::Awaiting => 'a',
        State::Delivering => 'd',
        State::Uncertain => 'u',
        State::Succeeded => 'S',
        State::Failed => 'F',
        State::Cancelled => 'C',
    }
}

fn state_of(letter: char) -> Option<State> {
    State::ALL.iter().copied().find(|state| self::letter(*state) == letter)
}

/// The header of a job.
pub fn header(job: &Job) -> String {
    let due = job.due_at.map_or(0, |due| due.as_millisecond().clamp(0, 9_999_999_999_999));
    let progress = job.progress_percent.map_or_else(|| "---".to_owned(), |percent| format!("{percent:03}"));
    format!(
        "1{}{:08x}{:04x}{:04x}{:013}{due:013}{progress}\n",
        letter(job.state),
        job.epoch.0,
        job.deliveries,
        job.checks,
        job.changed_at.as_millisecond().clamp(0, 9_999_999_999_999),
    )
}

/// The body of a job.
pub fn body(job: &Job) -> Result<String, RecordError> {
    serde_json::to_string(&job.body).map_err(RecordError::Body)
}

/// The whole record of a job.
pub fn whole(job: &Job) -> Result<Vec<u8>, RecordError> {
    let mut record = header(job).into_bytes();
    serde_json::to_writer(&mut record, &job.body).map_err(RecordError::Body)?;
    Ok(record)
}

/// Reads a whole record.
pub fn read(id: &JobId, record: &[u8]) -> Result<Job, RecordError> {
    let (head, body) = record.split_at_checked(HEADER_BYTES).ok_or(RecordError::Header)?;
    let head = std::str::from_utf8(head).map_err(|_| RecordError::Header)?;
    let version = head.bytes().next().ok_or(RecordError::Header)?;
    if version != VERSION {
        return Err(RecordError::Version(char::from(version)));
    }
    let part = |from: usize, to: usize| head.get(from..to).ok_or(RecordError::Header);
    let hex16 = |from, to| {
        part(from, to).and_then(|text| u16::from_str_radix(text, 16).map_err(|_| RecordError::Header))
    };
    let millis = |from, to| {
        let millis = part(from, to)?.parse::<i64>().map_err(|_| RecordError::Header)?;
        Timestamp::from_millisecond(millis).map_err(|_| RecordError::Header)
    };
    let state = part(1, 2)?.chars().next().and_then(state_of).ok_or(RecordError::Header)?;
    let due_at = millis(31, 44)?;
    Ok(Job {
        id: id.clone(),
        state,
        epoch: Epoch(u32::from_str_radix(part(2, 10)?, 16).map_err(|_| RecordError::Header)?),
        deliveries: hex16(10, 14)?,
        checks: hex16(14, 18)?,
        changed_at: millis(18, 31)?,
        due_at: (due_at != Timestamp::UNIX_EPOCH).then_some(due_at),
        progress_percent: part(44, 47)?.parse::<u8>().ok(),
        body: serde_json::from_slice::<JobBody>(body).map_err(RecordError::Body)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as layout 1 wrote it first. It must stay readable.
    pub const FIRST: &str = concat!("1a0000000300010005179583000000017958300100000450", "",);

    #[test]
    fn a_header_has_48_bytes_and_each_state_its_letter() {
        let letters: std::collections::BTreeSet<_> = State::ALL.iter().map(|state| letter(*state)).collect();
        assert_eq!(letters.len(), State::ALL.len());
        assert_eq!(FIRST.len(), HEADER_BYTES);
    }

    #[test]
    fn a_foreign_layout_is_named() {
        let id = JobId::new();
        let mut record = "2".to_owned();
        record.push_str(&"0".repeat(60));
        assert!(matches!(read(&id, record.as_bytes()), Err(RecordError::Version('2'))));
        assert!(matches!(read(&id, b"short"), Err(RecordError::Header)));
    }
}
