//! Walks over an index of a workspace that every shard has a part of, newest first.

use std::collections::VecDeque;
use std::str::FromStr;

use atelier_domain::ports::ListPlace;
use futures::future::try_join_all;
use redis::{AsyncCommands, RedisResult};

use crate::connect::{Redis, Shard, twice};
use crate::keys::Keys;

/// Ids read in one command.
pub(crate) const CHUNK: usize = 500;

/// How many ids these indexes of all shards hold. An id whose record has expired is among them until the control queue
/// repairs the index.
pub(crate) async fn count(redis: &Redis, index: impl Fn(&Keys) -> String) -> RedisResult<u64> {
    let counts = redis.shards().iter().map(|shard| {
        let index = index(&shard.keys);
        async move { twice(|| async { shard.commands().zcard::<_, u64>(&index).await }).await }
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}

/// Walks over the indexes of all shards as if they were one.
pub(crate) struct Newest<'a, Id> {
    rows: Vec<Row<'a, Id>>,
}

/// The index of one shard.
struct Row<'a, Id> {
    shard: &'a Shard,
    index: String,
    /// The orders between which it is read, newest first, as Redis reads them.
    bounds: (String, String),
    from: Start<Id>,
    is_at_end: bool,
    read: VecDeque<ListPlace<Id>>,
}

/// Where the reading of an index goes on.
enum Start<Id> {
    /// At this rank.
    Rank(usize),
    /// At the newest within the bounds.
    Newest,
    /// Behind this place, whether or not it is there.
    Behind(ListPlace<Id>),
}

impl<'a, Id: FromStr + Ord + Clone> Newest<'a, Id> {
    /// Begins at the newest of these indexes. `bounds` are the orders between which they are read, newest first, as Redis
    /// reads them.
    pub(crate) fn over(redis: &'a Redis, index: impl Fn(&Keys) -> String, bounds: &(String, String)) -> Self {
        let rows = redis.shards().iter().map(|shard| Row {
            shard,
            index: index(&shard.keys),
            bounds: bounds.clone(),
            from: Start::Newest,
            is_at_end: false,
            read: VecDeque::new(),
        });
        Self { rows: rows.collect() }
    }

    /// Begins behind a place.
    pub(crate) fn begin_behind(&mut self, place: &ListPlace<Id>) {
        for row in &mut self.rows {
            row.from = Start::Behind(place.clone());
        }
    }

    /// Passes over the `skipped` newest. With several shards their ids are read to be skipped, as nobody knows how many
    /// of them each shard has.
    pub(crate) async fn skip(&mut self, skipped: usize) -> RedisResult<()> {
        if let [row] = &mut self.rows[..] {
            row.from = Start::Rank(skipped);
            return Ok(());
        }
        let mut left = skipped;
        while left > 0 {
            let passed = self.take(left.min(CHUNK)).await?.len();
            if passed == 0 {
                break;
            }
            left -= passed;
        }
        Ok(())
    }

    /// The next `count` places, at most [`CHUNK`]; fewer only at the end.
    pub(crate) async fn take(&mut self, count: usize) -> RedisResult<Vec<ListPlace<Id>>> {
        let count = count.clamp(1, CHUNK);
        let mut taken = Vec::new();
        while taken.len() < count {
            try_join_all(self.rows.iter_mut().map(|row| row.fill(count))).await?;
            let newest = self.rows.iter_mut().max_by(|a, b| a.read.front().cmp(&b.read.front()));
            match newest.and_then(|row| row.read.pop_front()) {
                Some(place) => taken.push(place),
                None => break,
            }
        }
        Ok(taken)
    }
}

impl<Id: FromStr + Ord + Clone> Row<'_, Id> {
    /// Reads on when nothing is left of what was read before. A place and not a rank says where: new jobs at the head of
    /// the list move all ranks.
    async fn fill(&mut self, count: usize) -> RedisResult<()> {
        if self.is_at_end || !self.read.is_empty() {
            return Ok(());
        }
        match &self.from {
            Start::Rank(rank) => {
                let (first, last) = (*rank, rank.saturating_add(count - 1));
                let found = self.ranks(first, last).await?;
                self.is_at_end = found.len() < count;
                self.read = found.into();
            }
            Start::Newest => {
                let found = self.range(&self.bounds.0, 0, count).await?;
                self.is_at_end = found.len() < count;
                self.read = found.into();
            }
            Start::Behind(place) => {
                // Many may have the same order, such as the jobs of a batch: those of them that come before the place
                // are read and left, mostly the place itself.
                let (from, mut passed, mut step) = (place.order.to_string(), 0, count + 1);
                loop {
                    let found = self.range(&from, passed, step).await?;
                    let (is_short, read) = (found.len() < step, found.len());
                    let behind: VecDeque<ListPlace<Id>> =
                        found.into_iter().filter(|found| found < place).collect();
                    if is_short || !behind.is_empty() {
                        self.is_at_end = is_short;
                        self.read = behind;
                        break;
                    }
                    passed += read;
                    step = CHUNK;
                }
            }
        }
        if let Some(last) = self.read.back() {
            self.from = Start::Behind(last.clone());
        }
        Ok(())
    }

    async fn ranks(&self, first: usize, last: usize) -> RedisResult<Vec<ListPlace<Id>>> {
        let mut call = redis::cmd("ZRANGE");
        call.arg(&self.index).arg(first).arg(last).arg("REV").arg("WITHSCORES");
        let found: Vec<(String, f64)> =
            twice(|| async { call.query_async(&mut self.shard.commands()).await }).await?;
        Ok(places(found))
    }

    /// Those of this order and older ones, without the first `passed`.
    async fn range(&self, newest: &str, passed: usize, count: usize) -> RedisResult<Vec<ListPlace<Id>>> {
        let mut call = redis::cmd("ZRANGE");
        call.arg(&self.index).arg(newest).arg(&self.bounds.1).arg("BYSCORE").arg("REV");
        call.arg("LIMIT").arg(passed).arg(count).arg("WITHSCORES");
        let found: Vec<(String, f64)> =
            twice(|| async { call.query_async(&mut self.shard.commands()).await }).await?;
        Ok(places(found))
    }
}

/// Orders are whole numbers below 2^53, which a double holds exactly.
fn places<Id: FromStr>(found: Vec<(String, f64)>) -> Vec<ListPlace<Id>> {
    let place = |(id, order): (String, f64)| Some(ListPlace { order: order as i64, id: id.parse().ok()? });
    found.into_iter().filter_map(place).collect()
}
