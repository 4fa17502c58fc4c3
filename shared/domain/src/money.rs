//! Money as integers: one millionth of a US dollar. It becomes a decimal number only where it is shown.

use std::fmt;
use std::ops::Add;

use serde::{Deserialize, Serialize};

/// An amount in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// `quantity_milli` thousandths of a unit at this price a unit, rounded up to a millionth: an estimate must not
    /// be too low.
    pub fn times_milli(self, quantity_milli: u64) -> Self {
        Self(self.0.saturating_mul(quantity_milli).div_ceil(1000))
    }

    /// The amount in dollars, for JSON and spans. Exact to the millionth below nine billion dollars.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1_000_000.0
    }
}

impl Add for MicroUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        let short = digits.trim_end_matches('0');
        f.write_str(short.strip_suffix('.').unwrap_or(short))
    }
}

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// Computed from the price table of the catalogue.
    Table,
    /// Reported by the provider for this very job.
    Provider,
}

/// What a job costs: an estimate at admission, the real figure at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// From the catalogue, before the call.
    pub estimated: MicroUsd,
    /// After the call, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<MicroUsd>,
    /// Source of the best figure there is.
    pub source: CostSource,
}

impl Cost {
    /// An estimate from the price table.
    pub fn estimate(estimated: MicroUsd) -> Self {
        Self { estimated, actual: None, source: CostSource::Table }
    }

    /// Takes over what the provider reported, if it reported anything; otherwise the estimate is the best figure.
    pub fn settle(&mut self, reported: Option<MicroUsd>) {
        if let Some(amount) = reported {
            self.actual = Some(amount);
            self.source = CostSource::Provider;
        } else if self.actual.is_none() {
            self.actual = Some(self.estimated);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_show_no_trailing_zeros() {
        assert_eq!(MicroUsd(250_000).to_string(), "0.25");
        assert_eq!(MicroUsd(1_000_000).to_string(), "1");
        assert_eq!(MicroUsd(0).to_string(), "0");
        assert_eq!(MicroUsd(3).to_string(), "0.000003");
    }

    #[test]
    fn estimates_round_up() {
        assert_eq!(MicroUsd(80).times_milli(1), MicroUsd(1));
        assert_eq!(MicroUsd(50_000).times_milli(5_000), MicroUsd(250_000));
    }

    #[test]
    fn a_reported_price_wins_over_the_table() {
        let mut cost = Cost::estimate(MicroUsd(10));
        cost.settle(None);
        assert_eq!((cost.actual, cost.source), (Some(MicroUsd(10)), CostSource::Table));
        cost.settle(Some(MicroUsd(7)));
        assert_eq!((cost.actual, cost.source), (Some(MicroUsd(7)), CostSource::Provider));
    }
}
