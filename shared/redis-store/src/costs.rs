//! The books: what jobs have cost. The script that ends a job enters its cost into the record of its shard, workspace and
//! day (`m`); days that are over are folded into one record a workspace and month (`y`), see `control/roll_up.rs`.
//!
//! A record of a day is a hash. Its fields are `<figure>|<provider>|<operation>|<model>`:
//!
//! | figure | counts |
//! |---|---|
//! | `S`, `F`, `C` | jobs that succeeded, failed, were cancelled |
//! | `u` | millionths of a dollar |
//! | `n` | jobs whose cost nobody knows |
//! | `t` | milliseconds that the jobs that succeeded took |
//!
//! The day is that of the shard's server, so that nobody with a wrong clock can write into a day that is folded.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use atelier_domain::Date;
use atelier_domain::costs::{self, DayCost, Sums};
use atelier_domain::ids::WorkspaceId;
use atelier_domain::job::Job;
use atelier_domain::ports::{CostBook, StoreUnavailable};
use futures::future::try_join_all;
use redis::RedisResult;

use crate::connect::{Redis, Shard, twice};

/// The figures of one day by field.
pub(crate) type Figures = BTreeMap<String, i64>;

/// How `settle.lua` is told what a change of a job enters into the books, as one of the words about indexes; `None` for
/// nothing.
pub(crate) fn word(before: &Job, after: &Job, kept_s: u64) -> Option<String> {
    let sums = costs::entry(before, after)?;
    let spec = &after.body.spec;
    let ending = match (sums.succeeded, sums.failed, sums.cancelled) {
        (1, _, _) => "S",
        (_, 1, _) => "F",
        (_, _, 1) => "C",
        _ => "",
    };
    Some(format!(
        "${}|{kept_s}|{ending}|{}|{}|{}|{}|{}|{}",
        after.body.workspace_id,
        sums.micro_usd,
        sums.unpriced,
        sums.run_ms,
        spec.provider,
        spec.operation,
        quoted(&spec.model)
    ))
}

/// A model's name without the characters that separate words and facts.
fn quoted(model: &str) -> String {
    let mut quoted = String::with_capacity(model.len());
    for byte in model.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'/' | b':' => {
                quoted.push(char::from(byte));
            }
            other => quoted.push_str(&format!("%{other:02X}")),
        }
    }
    quoted
}

fn unquoted(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The costs that these figures are; a field that cannot be read was written by another build and is left out.
fn costs_of(day: Date, figures: &Figures) -> Vec<DayCost> {
    let mut costs: HashMap<&str, Sums> = HashMap::new();
    for (field, amount) in figures {
        let Some((figure, facts)) = field.split_once('|') else { continue };
        let sums = costs.entry(facts).or_default();
        let place = match figure {
            "S" => &mut sums.succeeded,
            "F" => &mut sums.failed,
            "C" => &mut sums.cancelled,
            "u" => &mut sums.micro_usd,
            "n" => &mut sums.unpriced,
            "t" => &mut sums.run_ms,
            _ => continue,
        };
        *place = place.saturating_add(*amount);
    }
    let read = |(facts, sums): (&str, Sums)| {
        let mut words = facts.splitn(3, '|');
        let (provider, operation) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(DayCost { day, provider, operation, model: unquoted(words.next()?)?, sums })
    };
    costs.into_iter().filter_map(read).collect()
}

/// Adds the figures of a part to those of a whole.
pub(crate) fn add(whole: &mut Figures, part: Figures) {
    for (field, amount) in part {
        let sum = whole.entry(field).or_default();
        *sum = sum.saturating_add(amount);
    }
}

/// The number of the last day of a shard that is folded.
pub(crate) async fn folded(shard: &Shard) -> RedisResult<Option<i64>> {
    let key = shard.keys.folded();
    twice(|| async { redis::cmd("GET").arg(&key).query_async(&mut shard.commands()).await }).await
}

/// What a shard has in its records of these days.
pub(crate) async fn parts(
    shard: &Shard,
    workspace: &WorkspaceId,
    days: impl Iterator<Item = i64>,
) -> RedisResult<Vec<(i64, Figures)>> {
    let days: Vec<i64> = days.collect();
    if days.is_empty() {
        return Ok(Vec::new());
    }
    let mut asked = redis::pipe();
    for day in &days {
        asked.hgetall(shard.keys.costs_of_day(workspace, *day));
    }
    let found: Vec<Figures> = twice(|| async { asked.query_async(&mut shard.commands()).await }).await?;
    Ok(days.into_iter().zip(found).filter(|(_, figures)| !figures.is_empty()).collect())
}

/// [`CostBook`] on Redis.
#[derive(Clone)]
pub struct RedisCostBook {
    redis: Redis,
}

impl RedisCostBook {
    /// The books of these shards.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Parts before months: a fold writes the month before it removes a part, so that nothing is missed; and what both
    /// have, the month has whole.
    async fn read(&self, workspace: &WorkspaceId, from: Date, to: Date) -> RedisResult<Vec<DayCost>> {
        let (first, last) = (costs::number_of(from), costs::number_of(to));
        let of_shards = self.redis.shards().iter().map(|shard| async move {
            let open = folded(shard).await?.map_or(first, |folded| first.max(folded.saturating_add(1)));
            parts(shard, workspace, open..=last).await
        });
        let mut days: BTreeMap<i64, Figures> = BTreeMap::new();
        for (day, part) in try_join_all(of_shards).await?.into_iter().flatten() {
            add(days.entry(day).or_default(), part);
        }
        for (day, whole) in self.months(workspace, from, to).await? {
            days.insert(day, whole);
        }
        let read = |(number, figures): (&i64, &Figures)| Some(costs_of(costs::day_with(*number)?, figures));
        Ok(days.range(first..=last).filter_map(read).flatten().collect())
    }

    /// The folded days of the months that these days are in.
    async fn months(
        &self,
        workspace: &WorkspaceId,
        from: Date,
        to: Date,
    ) -> RedisResult<Vec<(i64, Figures)>> {
        let shard = self.redis.of_workspace(workspace);
        let mut asked = redis::pipe();
        let (mut month, last) = ((from.year(), from.month()), (to.year(), to.month()));
        while month <= last {
            asked.hgetall(shard.keys.costs_of_month(workspace, month));
            month = if month.1 == 12 { (month.0 + 1, 1) } else { (month.0, month.1 + 1) };
        }
        let found: Vec<HashMap<i64, Vec<u8>>> =
            twice(|| async { asked.query_async(&mut shard.commands()).await }).await?;
        let read = |(day, json): (i64, Vec<u8>)| Some((day, serde_json::from_slice(&json).ok()?));
        Ok(found.into_iter().flatten().filter_map(read).collect())
    }
}

#[async_trait]
impl CostBook for RedisCostBook {
    async fn costs(
        &self,
        workspace: &WorkspaceId,
        from: Date,
        to: Date,
    ) -> Result<Vec<DayCost>, StoreUnavailable> {
        self.read(workspace, from, to).await.map_err(|source| StoreUnavailable { source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_model_comes_back_and_separates_nothing() {
        for model in ["gen4.5", "owner/name:7762", "a b,c|d%e$f", "größe", ""] {
            let text = quoted(model);
            assert!(!text.contains([' ', ',', '|', '$']), "{text}");
            assert_eq!(unquoted(&text).as_deref(), Some(model));
        }
        assert_eq!(unquoted("%4"), None);
        assert_eq!(unquoted("%zz"), None);
    }

    #[test]
    fn what_another_build_wrote_is_left_out() {
        let figures = [("S|fal|image_gen|a", 2), ("u|fal|image_gen|a", 7), ("Z|fal|image_gen|a", 1)]
            .into_iter()
            .chain([("S|unheard|image_gen|a", 1), ("S", 1)])
            .map(|(field, amount)| (field.to_owned(), amount))
            .collect();
        let found = costs_of("2026-11-25".parse().unwrap(), &figures);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sums, Sums { succeeded: 2, micro_usd: 7, ..Sums::default() });
    }
}
