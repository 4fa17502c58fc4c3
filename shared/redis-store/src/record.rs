//! The record of a job: a fixed header that scripts read and change in place, and a body that is written seldom.
//!
//! | bytes | field | form |
//! |---|---|---|
//! | 0 | layout version | `2` |
//! | 1 | state | one letter |
//! | 2..10 | epoch | 8 hex |
//! | 10..14 | deliveries | 4 hex |
//! | 14..18 | checks | 4 hex |
//! | 18..31 | changed at | 13 digits, ms |
//! | 31..44 | due at | 13 digits, ms; zeros for none |
//! | 44..47 | progress | 3 digits, percent; `---` for none |
//! | 47 | end of the text | newline |
//! | 48..70 | counters and times that change | binary, see `facts` |
//! | 70..119 | times and trace that do not | binary, see `facts` |
//! | 119.. | the rest | MessagePack, see `body` |
//!
//! A write that changes nothing behind the header sends these 70 bytes and no more: an intent, a check that finds the
//! provider still working, an end that leaves no trace in the body.
//!
//! Layout 1 has the same text up to byte 48 and the whole body as JSON behind it. It is read, and becomes layout 2 with
//! the next write.

mod body;
mod facts;
mod moment;

use atelier_domain::Timestamp;
use atelier_domain::ids::JobId;
use atelier_domain::job::{Epoch, Job, JobBody};
use atelier_domain::state::State;

pub use body::differs;

/// Length of the header's text, which is the same in all layouts.
const TEXT_BYTES: usize = 48;
/// Length of the header in bytes: what a write of the header alone replaces.
pub const HEADER_BYTES: usize = 70;

const VERSION: u8 = b'2';
const VERSION_OF_JSON: u8 = b'1';

/// A record that this build cannot read or write. A foreign one is left as it is: a newer build may read it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Shorter than a header, or without its end.
    #[error("the record has no readable header")]
    Header,
    /// Written by another layout.
    #[error("the record has layout `{0}`, this build reads `1` and `2`")]
    Version(char),
    /// The body of layout 1, or of an asset, is not the JSON it must be.
    #[error("the record's body is not readable")]
    Body(#[source] serde_json::Error),
    /// The body is not the MessagePack it must be.
    #[error("the record's body is not readable")]
    Packed(#[source] rmp_serde::decode::Error),
    /// The body cannot be written.
    #[error("the record's body cannot be written")]
    Encode(#[source] rmp_serde::encode::Error),
    /// A time before 1970 or after 2262.
    #[error("the record has a time out of range")]
    Time,
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

pub(crate) fn state_of(letter: u8) -> Option<State> {
    State::ALL.iter().copied().find(|state| self::letter(*state) == char::from(letter))
}

/// The header of a job.
pub fn header(job: &Job) -> Result<Vec<u8>, RecordError> {
    let mut record = Vec::with_capacity(HEADER_BYTES);
    write_header(job, &mut record)?;
    Ok(record)
}

/// What stands behind the header.
pub fn rest(job: &Job) -> Result<Vec<u8>, RecordError> {
    let mut record = Vec::with_capacity(512);
    write_rest(job, &mut record)?;
    Ok(record)
}

/// The whole record of a job.
pub fn whole(job: &Job) -> Result<Vec<u8>, RecordError> {
    let mut record = Vec::with_capacity(512);
    write_header(job, &mut record)?;
    write_rest(job, &mut record)?;
    Ok(record)
}

fn write_header(job: &Job, record: &mut Vec<u8>) -> Result<(), RecordError> {
    use std::io::Write;
    let millis = |time: Timestamp| time.as_millisecond().clamp(0, 9_999_999_999_999);
    let due = job.due_at.map_or(0, millis);
    // Writing to a vector cannot fail.
    let _ = write!(
        record,
        "{}{}{:08x}{:04x}{:04x}{:013}{due:013}",
        char::from(VERSION),
        letter(job.state),
        job.epoch.0,
        job.deliveries,
        job.checks,
        millis(job.changed_at),
    );
    let _ = match job.progress_percent {
        Some(percent) => writeln!(record, "{percent:03}"),
        None => writeln!(record, "---"),
    };
    facts::write_changing(&job.body, record)
}

fn write_rest(job: &Job, record: &mut Vec<u8>) -> Result<(), RecordError> {
    facts::write_lasting(&job.body, record)?;
    body::write(&job.body, record)
}

/// Whether a record can be changed by writing its header alone.
pub fn has_this_layout(record: &[u8]) -> bool {
    record.first() == Some(&VERSION)
}

/// Reads a whole record.
pub fn read(id: &JobId, record: &[u8]) -> Result<Job, RecordError> {
    let (text, rest) = record.split_at_checked(TEXT_BYTES).ok_or(RecordError::Header)?;
    let body = match text.first() {
        Some(&VERSION) => {
            let (facts, packed) = facts::read(rest)?;
            body::read(packed, &facts)?
        }
        Some(&VERSION_OF_JSON) => serde_json::from_slice::<JobBody>(rest).map_err(RecordError::Body)?,
        Some(other) => return Err(RecordError::Version(char::from(*other))),
        None => return Err(RecordError::Header),
    };
    let part = |from: usize, to: usize| {
        text.get(from..to).and_then(|part| std::str::from_utf8(part).ok()).ok_or(RecordError::Header)
    };
    let hex = |from, to| u32::from_str_radix(part(from, to)?, 16).map_err(|_| RecordError::Header);
    let hex16 = |from, to| u16::try_from(hex(from, to)?).map_err(|_| RecordError::Header);
    let millis = |from, to| {
        let millis = part(from, to)?.parse::<i64>().map_err(|_| RecordError::Header)?;
        Timestamp::from_millisecond(millis).map_err(|_| RecordError::Header)
    };
    let due_at = millis(31, 44)?;
    Ok(Job {
        id: id.clone(),
        state: text.get(1).copied().and_then(state_of).ok_or(RecordError::Header)?,
        epoch: Epoch(hex(2, 10)?),
        deliveries: hex16(10, 14)?,
        checks: hex16(14, 18)?,
        changed_at: millis(18, 31)?,
        due_at: (due_at != Timestamp::UNIX_EPOCH).then_some(due_at),
        progress_percent: part(44, 47)?.parse::<u8>().ok(),
        body,
    })
}

/// Reads the record of a job as it was before a script claimed it: epoch and deliveries are those of the claim.
pub fn read_claimed(id: &JobId, record: &[u8]) -> Result<Job, RecordError> {
    let mut job = read(id, record)?;
    job.epoch = Epoch(job.epoch.0.wrapping_add(1));
    job.deliveries = job.deliveries.saturating_add(1);
    Ok(job)
}

#[cfg(test)]
pub(crate) mod tests;
