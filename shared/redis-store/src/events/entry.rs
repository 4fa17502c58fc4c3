//! An entry of a workspace's events: the job's id, the text of its new header, and the facts as MessagePack. Those who
//! write send it with every change that is an event; the script keeps it where somebody listens.

use std::collections::HashMap;

use atelier_domain::Timestamp;
use atelier_domain::events::{EntryId, EventFacts, JobEvent, is_event};
use atelier_domain::job::{Epoch, Job};
use redis::streams::StreamId;

use crate::record;

/// An entry as it stands in a stream.
pub(super) type Fields = HashMap<String, Vec<u8>>;

/// What `settle.lua` is told about a change: workspace, space and facts; nothing where it is no event.
pub(crate) fn of_change(before: &Job, after: &Job) -> Vec<u8> {
    if !is_event(before, after) {
        return Vec::new();
    }
    let mut text = after.body.workspace_id.as_str().as_bytes().to_vec();
    text.push(b' ');
    text.extend(facts_of(after));
    text
}

/// The facts of a job as it is.
pub(crate) fn facts_of(job: &Job) -> Vec<u8> {
    // Plain words and numbers always encode; an event without facts tells the state all the same.
    rmp_serde::to_vec(&EventFacts::of(job)).unwrap_or_default()
}

/// The fields of an entry that was read.
pub(super) fn fields_of(entry: &StreamId) -> Fields {
    let field = |name: &str| Some((name.to_owned(), entry.get(name)?));
    ["j", "h", "f"].into_iter().filter_map(field).collect()
}

/// The event of an entry; `None` for one that another build wrote.
pub(super) fn event_of(fields: &Fields) -> Option<JobEvent> {
    let job_id = std::str::from_utf8(fields.get("j")?).ok()?.parse().ok()?;
    let header = std::str::from_utf8(fields.get("h")?).ok()?;
    let (state, epoch) = (header.as_bytes().get(1).copied()?, header.get(2..10)?);
    let changed_ms: i64 = header.get(18..31)?.parse().ok()?;
    Some(JobEvent {
        job_id,
        number: Epoch(u32::from_str_radix(epoch, 16).ok()?),
        at: Timestamp::from_millisecond(changed_ms).ok()?,
        state: record::state_of(state)?,
        progress_percent: header.get(44..47)?.parse().ok(),
        facts: rmp_serde::from_slice(fields.get("f")?).ok(),
    })
}

/// The place before everything that is entered at `ms` or later.
pub(super) fn before(ms: u64) -> EntryId {
    EntryId { ms: ms.saturating_sub(1), number: u64::MAX }
}

#[cfg(test)]
mod tests {
    use atelier_domain::state::State;

    use super::*;
    use crate::record::tests::old;

    #[test]
    fn an_entry_comes_back_as_the_event_that_it_is() {
        let before = old();
        let mut after = before.clone();
        after.state = State::Delivering;
        after.epoch = Epoch(0x1f);
        let told = of_change(&before, &after);
        let facts = told.strip_prefix(b"acme ").unwrap().to_vec();
        let header = record::header(&after).unwrap();
        let fields: Fields = [("j", after.id.as_str().into()), ("h", header[..47].to_vec()), ("f", facts)]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let event = event_of(&fields).unwrap();
        assert_eq!(
            (event.job_id, event.number, event.state),
            (after.id.clone(), Epoch(0x1f), State::Delivering)
        );
        assert_eq!((event.at, event.progress_percent), (after.changed_at, Some(45)));
        assert_eq!(event.facts, Some(EventFacts::of(&after)));
    }

    #[test]
    fn what_changes_nothing_is_told_to_nobody() {
        let before = old();
        let mut after = before.clone();
        after.epoch = Epoch(9);
        after.checks += 1;
        assert!(of_change(&before, &after).is_empty());
        after.progress_percent = Some(46);
        assert!(!of_change(&before, &after).is_empty());
    }

    #[test]
    fn an_entry_of_another_build_is_left_out() {
        assert_eq!(event_of(&Fields::new()), None);
        let fields: Fields =
            [("j", "x"), ("h", "2a"), ("f", "")].map(|(name, value)| (name.to_owned(), value.into())).into();
        assert_eq!(event_of(&fields), None);
    }
}
