//! The time that jobs live by.

use crate::Timestamp;

/// One time for all hosts, whatever their own clocks say: what one host wrote as due or too late, another one judges.
pub trait TimeSource: Send + Sync {
    /// Now. Within a process it never runs backwards.
    fn now(&self) -> Timestamp;
    /// Whether [`Self::now`] is the common time. Before the first reading it is the host's own.
    fn is_common(&self) -> bool;
}
