use super::*;
use crate::job::RemoteOperation;
use crate::money::{Cost, MicroUsd, PriceUnit, ReportedCost, UnitPrice};
use crate::policy::Policy;
use crate::samples;
use crate::state::Event;

const ESTIMATE: u64 = 250_000;

fn now() -> Timestamp {
    "2026-11-25T10:00:00Z".parse().unwrap()
}

fn job(cost: Cost) -> Job {
    samples::admitted(cost, now())
}

fn priced() -> Job {
    let price = UnitPrice { unit: PriceUnit::Second, micro_usd: MicroUsd(50_000) };
    job(Cost::estimate(MicroUsd(ESTIMATE), price))
}

fn submitting(job: Job) -> Job {
    Policy::default().begin_submit(job, now()).unwrap().job
}

fn awaiting(job: Job) -> Job {
    let remote = RemoteOperation { id: "r".to_owned(), submitted_at: now(), urls: Default::default() };
    Policy::default().accepted(submitting(job), remote, None, now()).unwrap().job
}

fn ended(before: &Job, event: Event) -> Job {
    let mut after = before.clone();
    after.apply(event, now()).unwrap();
    after
}

fn cancelled(before: &Job) -> Sums {
    entry(before, &ended(before, Event::Cancelled)).unwrap()
}

#[test]
fn a_job_enters_the_books_once_with_its_end() {
    let before = awaiting(priced());
    assert_eq!(entry(&priced(), &before), None, "it has not ended");
    let mut after = ended(&before, Event::Failed);
    after.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(7))));
    let sums = entry(&before, &after).unwrap();
    assert_eq!(sums, Sums { failed: 1, micro_usd: 7, ..Sums::default() });
    assert_eq!(entry(&after, &after), None, "it had ended before");
}

#[test]
fn what_was_never_called_costs_nothing() {
    assert_eq!(cancelled(&priced()), Sums { cancelled: 1, ..Sums::default() });
}

#[test]
fn a_cancelled_job_costs_its_estimate_as_soon_as_a_call_may_have_arrived() {
    for before in [submitting(priced()), awaiting(priced())] {
        let expected = Sums { cancelled: 1, micro_usd: ESTIMATE as i64, ..Sums::default() };
        assert_eq!(cancelled(&before), expected);
    }
}

#[test]
fn a_refused_call_is_free_and_each_further_one_counts() {
    let mut before = awaiting(priced());
    let accepted = before.body.paid_calls[0].clone();
    before.body.paid_calls[0].outcome = Some(CallOutcome::Refused);
    assert_eq!(cancelled(&before).micro_usd, 0);
    before.body.paid_calls[0].outcome = Some(CallOutcome::Unknown);
    before.body.paid_calls.push(accepted);
    assert_eq!(cancelled(&before).micro_usd, 2 * ESTIMATE as i64);
    before.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(5))));
    assert_eq!(cancelled(&before).micro_usd, 5 + ESTIMATE as i64);
}

#[test]
fn without_a_price_nobody_knows() {
    let before = awaiting(job(Cost::unknown()));
    assert_eq!(cancelled(&before), Sums { cancelled: 1, unpriced: 1, ..Sums::default() });
    assert_eq!(cancelled(&job(Cost::unknown())).unpriced, 0, "nothing was called");
}

#[test]
fn a_late_cost_enters_as_the_difference() {
    let before = ended(&awaiting(priced()), Event::Failed);
    let mut after = before.clone();
    after.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(ESTIMATE - 10))));
    assert_eq!(entry(&before, &after), Some(Sums { micro_usd: -10, ..Sums::default() }));
    let before = ended(&awaiting(job(Cost::unknown())), Event::Failed);
    let mut after = before.clone();
    after.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(3))));
    assert_eq!(entry(&before, &after), Some(Sums { micro_usd: 3, unpriced: -1, ..Sums::default() }));
}

#[test]
fn a_report_that_is_no_price_stays_within_bounds() {
    let mut before = awaiting(priced());
    before.body.cost.settle(Some(ReportedCost::Amount(MicroUsd(u64::MAX))));
    assert_eq!(cancelled(&before).micro_usd, MOST_MICRO_USD as i64);
}

#[test]
fn groups_add_up_what_is_equal_and_keep_nothing_else() {
    let cost = |day: &str, model: &str, micro_usd| DayCost {
        day: day.parse().unwrap(),
        provider: Provider::Fal,
        operation: Operation::ImageGen,
        model: model.to_owned(),
        sums: Sums { succeeded: 1, micro_usd, ..Sums::default() },
    };
    let costs = [cost("2026-11-02", "b", 1), cost("2026-11-01", "a", 2), cost("2026-11-01", "b", 4)];
    let by_model = group(&costs, &[CostKey::Model]);
    let found: Vec<_> = by_model
        .iter()
        .map(|(group, sums)| (group.model.as_deref().unwrap(), group.day, sums.micro_usd, sums.jobs()))
        .collect();
    assert_eq!(found, [("a", None, 2, 1), ("b", None, 5, 2)]);
    let days: Vec<_> =
        group(&costs, &[CostKey::Day, CostKey::Model]).into_iter().map(|(by, _)| by.day).collect();
    assert_eq!(days.len(), 3);
    assert!(days.is_sorted());
    assert_eq!(group(&costs, &[])[0].1.micro_usd, 7);
}

#[test]
fn days_and_their_numbers_fit() {
    let day = day_of("2026-11-25T23:59:59.999Z".parse().unwrap());
    assert_eq!(day.to_string(), "2026-11-25");
    assert_eq!(number_of("1970-01-02".parse().unwrap()), 1);
    for number in [-1, 0, 20_000, 40_000] {
        assert_eq!(number_of(day_with(number).unwrap()), number);
    }
    assert_eq!(day_with(i64::MAX), None);
}
