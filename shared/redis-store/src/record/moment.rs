//! A moment of a job's history as it stands in a record's body: a list of six, some 15 bytes.
//!
//! | place | content |
//! |---|---|
//! | 0 | what: the letter of the state that was entered, or `w` waits, `h` held, `p` the provider's status |
//! | 1 | epoch |
//! | 2 | when, in ms since the admission |
//! | 3 | until when, in ms since then; nil for none |
//! | 4 | checks |
//! | 5 | the note; nil for none |

use std::borrow::Cow;

use atelier_domain::Timestamp;
use atelier_domain::history::{Happened, Moment};
use atelier_domain::job::Epoch;

use super::{letter, state_of};

/// A packed moment.
pub(super) type Packed<'a> = (u8, u32, i64, Option<i64>, u16, Option<Cow<'a, str>>);

const WAITS: u8 = b'w';
const HELD: u8 = b'h';
const STATUS: u8 = b'p';

/// Packs a moment of a job that was admitted at `since`.
pub(super) fn pack(moment: &Moment, since: Timestamp) -> Packed<'_> {
    let Moment { epoch, at, what, until, checks, note } = moment;
    let what = match what {
        // Letters of states are ASCII.
        Happened::Entered(state) => letter(*state) as u8,
        Happened::Waits => WAITS,
        Happened::Held => HELD,
        Happened::Status => STATUS,
    };
    let since_ms = since.as_millisecond();
    let after = |time: &Timestamp| time.as_millisecond().saturating_sub(since_ms);
    (what, epoch.0, after(at), until.as_ref().map(after), *checks, note.as_deref().map(Cow::Borrowed))
}

/// Reads moments; one that this build does not know is left out.
pub(super) fn unpack_all(packed: Vec<Packed<'_>>, since: Timestamp) -> Vec<Moment> {
    packed.into_iter().filter_map(|moment| unpack(moment, since)).collect()
}

fn unpack((what, epoch, at, until, checks, note): Packed<'_>, since: Timestamp) -> Option<Moment> {
    let what = match what {
        WAITS => Happened::Waits,
        HELD => Happened::Held,
        STATUS => Happened::Status,
        letter => Happened::Entered(state_of(letter)?),
    };
    let time = |after: i64| Timestamp::from_millisecond(since.as_millisecond().checked_add(after)?).ok();
    let until = match until {
        Some(after) => Some(time(after)?),
        None => None,
    };
    Some(Moment { epoch: Epoch(epoch), at: time(at)?, what, until, checks, note: note.map(Cow::into_owned) })
}

#[cfg(test)]
mod tests {
    use atelier_domain::state::State;

    use super::*;

    #[test]
    fn every_moment_comes_back_and_a_usual_one_takes_little() {
        let since: Timestamp = "2026-11-25T10:00:00.123456789Z".parse().unwrap();
        let at = |ms: i64| Timestamp::from_millisecond(since.as_millisecond() + ms).unwrap();
        let moment = |what, until, note: Option<&str>| Moment {
            epoch: Epoch(2),
            at: at(250),
            what,
            until,
            checks: 0,
            note: note.map(str::to_owned),
        };
        let states = State::ALL.iter().map(|state| moment(Happened::Entered(*state), Some(at(10_250)), None));
        let others = [
            moment(Happened::Waits, Some(at(86_400_000)), Some("busy")),
            moment(Happened::Held, None, Some("acme/*/*")),
            moment(Happened::Status, None, Some("RUNNING")),
        ];
        for moment in states.chain(others) {
            let bytes = rmp_serde::to_vec(&pack(&moment, since)).unwrap();
            assert!(bytes.len() <= 13 + moment.note.as_ref().map_or(0, String::len), "{}", bytes.len());
            let packed: Packed<'_> = rmp_serde::from_slice(&bytes).unwrap();
            assert_eq!(unpack_all(vec![packed], since), [moment]);
        }
        assert_eq!(unpack_all(vec![(b'?', 1, 0, None, 0, None)], since), [], "of a newer build");
    }
}
