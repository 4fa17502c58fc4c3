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
    /// From what the provider reported for this very job: an amount, or a quantity at the price of the catalogue.
    Provider,
    /// Nobody knows: the model has no price in the catalogue.
    Unknown,
}

/// What is counted for a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    /// A Unicode character of the prompt.
    Character,
    /// A begun megapixel of each image.
    Megapixel,
    /// An image.
    Image,
    /// A second of the video that is made.
    Second,
    /// A video of any length.
    Video,
    /// A second of the sound that is listened to.
    AudioSecond,
    /// A second of computing at the provider.
    ComputeSecond,
}

/// The price of one unit, as it was when the job was admitted. A later change of the catalogue does not touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPrice {
    /// What is counted.
    pub unit: PriceUnit,
    /// Price of one.
    pub micro_usd: MicroUsd,
}

/// What a provider reports about the cost of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportedCost {
    /// Money.
    Amount(MicroUsd),
    /// How much was used, in thousandths of the unit. Worth something only where the job's price has the same unit.
    Usage {
        /// What was counted.
        unit: PriceUnit,
        /// Thousandths of it.
        quantity_milli: u64,
    },
}

impl ReportedCost {
    /// Usage in whole units.
    pub fn units(unit: PriceUnit, quantity: u64) -> Self {
        Self::Usage { unit, quantity_milli: quantity.saturating_mul(1000) }
    }

    /// Usage in seconds; `None` for what is no length of time.
    pub fn seconds(unit: PriceUnit, seconds: f64) -> Option<Self> {
        // Up to this bound the conversion is exact enough; a longer run than eleven days is no report.
        let is_fit = seconds.is_finite() && (0.0..1_000_000.0).contains(&seconds);
        is_fit.then(|| Self::Usage { unit, quantity_milli: (seconds * 1000.0).ceil() as u64 })
    }
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
    /// The price it was reckoned with; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<UnitPrice>,
}

impl Cost {
    /// An estimate from the price table.
    pub fn estimate(estimated: MicroUsd, price: UnitPrice) -> Self {
        Self { estimated, actual: None, source: CostSource::Table, price: Some(price) }
    }

    /// A job whose price nobody knows.
    pub fn unknown() -> Self {
        Self { estimated: MicroUsd(0), actual: None, source: CostSource::Unknown, price: None }
    }

    /// Takes over what the provider reported, if it reported anything that can be reckoned; otherwise the estimate is
    /// the best figure.
    pub fn settle(&mut self, reported: Option<ReportedCost>) {
        let amount = match (reported, self.price) {
            (Some(ReportedCost::Amount(amount)), _) => Some(amount),
            (Some(ReportedCost::Usage { unit, quantity_milli }), Some(price)) if price.unit == unit => {
                Some(price.micro_usd.times_milli(quantity_milli))
            }
            (Some(ReportedCost::Usage { .. }) | None, _) => None,
        };
        if let Some(amount) = amount {
            self.actual = Some(amount);
            self.source = CostSource::Provider;
        } else if self.actual.is_none() && self.source != CostSource::Unknown {
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
        let price = UnitPrice { unit: PriceUnit::Character, micro_usd: MicroUsd(80) };
        let mut cost = Cost::estimate(MicroUsd(10), price);
        cost.settle(None);
        assert_eq!((cost.actual, cost.source), (Some(MicroUsd(10)), CostSource::Table));
        cost.settle(Some(ReportedCost::units(PriceUnit::Character, 2)));
        assert_eq!((cost.actual, cost.source), (Some(MicroUsd(160)), CostSource::Provider));
        cost.settle(Some(ReportedCost::Amount(MicroUsd(7))));
        assert_eq!((cost.actual, cost.source), (Some(MicroUsd(7)), CostSource::Provider));
    }

    #[test]
    fn usage_in_another_unit_says_nothing() {
        let price = UnitPrice { unit: PriceUnit::Image, micro_usd: MicroUsd(4_000) };
        let mut cost = Cost::estimate(MicroUsd(4_000), price);
        cost.settle(ReportedCost::seconds(PriceUnit::ComputeSecond, 3.2));
        assert_eq!((cost.actual, cost.source), (Some(MicroUsd(4_000)), CostSource::Table));
    }

    #[test]
    fn an_unknown_price_stays_unknown_until_the_provider_names_an_amount() {
        let mut cost = Cost::unknown();
        cost.settle(None);
        assert_eq!((cost.actual, cost.source), (None, CostSource::Unknown));
        cost.settle(Some(ReportedCost::Amount(MicroUsd(5))));
        assert_eq!((cost.actual, cost.source), (Some(MicroUsd(5)), CostSource::Provider));
    }

    #[test]
    fn what_is_no_length_of_time_is_no_report() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0, 1e12] {
            assert_eq!(ReportedCost::seconds(PriceUnit::AudioSecond, seconds), None);
        }
    }
}
