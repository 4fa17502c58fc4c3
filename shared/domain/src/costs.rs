//! What jobs have cost. The end of a job is an entry in the books of its workspace and day; the books hold sums by
//! provider, operation and model. All of it is integers.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use jiff::tz::Offset;

use crate::job::Job;
use crate::ledger::CallOutcome;
use crate::money::MicroUsd;
use crate::operation::{Operation, Provider};
use crate::state::State;
use crate::{Date, Timestamp};

/// Most that one job enters, in millionths of a dollar: a million dollars. A report above it is no price, and sums of
/// less cannot overflow.
const MOST_MICRO_USD: u64 = 1_000_000_000_000;
/// Seconds of a day in UTC.
const DAY_S: i64 = 24 * 3600;

/// Sums over jobs. A later correction of an earlier day may make one negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Jobs that ended well.
    pub succeeded: i64,
    /// Jobs that failed.
    pub failed: i64,
    /// Jobs that were cancelled.
    pub cancelled: i64,
    /// Those of them that may have cost something, and nobody knows what: their model has no price.
    pub unpriced: i64,
    /// What all of them have cost, in millionths of a dollar.
    pub micro_usd: i64,
    /// How long those that ended well took from their first paid call to their end, in milliseconds.
    pub run_ms: i64,
}

/// The sums of one day, provider, operation and model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCost {
    /// In UTC.
    pub day: Date,
    /// At whom.
    pub provider: Provider,
    /// Which operation.
    pub operation: Operation,
    /// With which model.
    pub model: String,
    /// The sums.
    pub sums: Sums,
}

/// What costs are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CostKey {
    /// The day in UTC.
    Day,
    /// At whom.
    Provider,
    /// Which operation.
    Operation,
    /// With which model.
    Model,
}

/// Costs that are equal in everything they are told apart by; the other facts are absent. Groups are ordered by these
/// facts, days first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CostGroup {
    /// The day in UTC.
    pub day: Option<Date>,
    /// At whom.
    pub provider: Option<Provider>,
    /// Which operation.
    pub operation: Option<Operation>,
    /// With which model.
    pub model: Option<String>,
}

impl Sums {
    /// All jobs that ended.
    pub fn jobs(&self) -> i64 {
        self.succeeded + self.failed + self.cancelled
    }

    /// Whether there is nothing in them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.failed = self.failed.saturating_add(other.failed);
        self.cancelled = self.cancelled.saturating_add(other.cancelled);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.micro_usd = self.micro_usd.saturating_add(other.micro_usd);
        self.run_ms = self.run_ms.saturating_add(other.run_ms);
    }
}

impl CostKey {
    /// Every value, in the order of the documentation.
    pub const ALL: &'static [Self] = &[Self::Day, Self::Provider, Self::Operation, Self::Model];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Provider => "provider",
            Self::Operation => "operation",
            Self::Model => "model",
        }
    }
}

/// What the books gain when `after` is written where `before` stood; `None` for nothing. A job enters them with its
/// end, whatever that is: also a failed or cancelled one may be paid. Afterwards only a change of its cost does, such as
/// that of a late result.
pub fn entry(before: &Job, after: &Job) -> Option<Sums> {
    if !after.state.is_terminal() {
        return None;
    }
    let mut sums = Sums::default();
    let is_end = !before.state.is_terminal();
    match after.state {
        State::Succeeded if is_end => sums.succeeded = 1,
        State::Failed if is_end => sums.failed = 1,
        State::Cancelled if is_end => sums.cancelled = 1,
        State::Queued
        | State::Submitting
        | State::Awaiting
        | State::Delivering
        | State::Uncertain
        | State::Succeeded
        | State::Failed
        | State::Cancelled => {}
    }
    // A cancel leaves the call under way without an outcome; it may have arrived.
    let open = usize::from(before.state == State::Submitting && after.state == State::Cancelled);
    let (paid, unpriced) = charge(after, open);
    let (paid_before, unpriced_before) = if is_end { (0, 0) } else { charge(before, 0) };
    sums.micro_usd = paid - paid_before;
    sums.unpriced = unpriced - unpriced_before;
    if sums.succeeded == 1 {
        sums.run_ms = run_ms(after);
    }
    (!sums.is_empty()).then_some(sums)
}

/// How long a job took, at most a year: a clock that is wrong by more is no measure.
fn run_ms(job: &Job) -> i64 {
    const MOST_MS: i64 = 366 * DAY_S * 1000;
    let body = &job.body;
    let times = body.started_at.zip(body.completed_at);
    times.map_or(0, |(from, to)| (to.as_millisecond() - from.as_millisecond()).clamp(0, MOST_MS))
}

/// What a job has cost, and 1 where nobody knows. The best figure that there is for one call, and the estimate for each
/// further one: a call that was refused is free, one whose outcome is unknown counts as paid.
fn charge(job: &Job, open: usize) -> (i64, i64) {
    let cost = &job.body.cost;
    let is_paid = |outcome| !matches!(outcome, Some(CallOutcome::Refused));
    let calls = job.body.paid_calls.iter().filter(|call| is_paid(call.outcome)).count() + open;
    let is_priced = cost.actual.is_some() || cost.price.is_some() || cost.estimated.0 > 0;
    if !is_priced {
        return (0, i64::from(calls > 0));
    }
    let first = match cost.actual {
        Some(actual) => actual.0,
        None if calls > 0 => cost.estimated.0,
        None => 0,
    };
    let further = u64::try_from(calls.saturating_sub(1)).unwrap_or(u64::MAX);
    let micro_usd = first.saturating_add(cost.estimated.0.saturating_mul(further)).min(MOST_MICRO_USD);
    (i64::try_from(micro_usd).unwrap_or(i64::MAX), 0)
}

/// Adds up what is equal in the facts of `by`, and drops the other facts.
pub fn group(costs: &[DayCost], by: &[CostKey]) -> Vec<(CostGroup, Sums)> {
    let mut groups: BTreeMap<CostGroup, Sums> = BTreeMap::new();
    for cost in costs {
        let group = CostGroup {
            day: by.contains(&CostKey::Day).then_some(cost.day),
            provider: by.contains(&CostKey::Provider).then_some(cost.provider),
            operation: by.contains(&CostKey::Operation).then_some(cost.operation),
            model: by.contains(&CostKey::Model).then(|| cost.model.clone()),
        };
        *groups.entry(group).or_default() += cost.sums;
    }
    groups.into_iter().collect()
}

/// An amount in dollars, exact and without trailing zeros.
pub fn usd_text(micro_usd: i64) -> String {
    let sign = if micro_usd < 0 { "-" } else { "" };
    format!("{sign}{}", MicroUsd(micro_usd.unsigned_abs()))
}

/// The day of an instant in UTC.
pub fn day_of(instant: Timestamp) -> Date {
    Offset::UTC.to_datetime(instant).date()
}

/// A day as the number of days since 1970-01-01.
pub fn number_of(day: Date) -> i64 {
    Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).map_or(0, |midnight| midnight.as_second().div_euclid(DAY_S))
}

/// The day with this number; `None` beyond the years that can be written.
pub fn day_with(number: i64) -> Option<Date> {
    Some(day_of(Timestamp::from_second(number.checked_mul(DAY_S)?).ok()?))
}

#[cfg(test)]
mod tests;
