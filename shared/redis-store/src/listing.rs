//! The jobs of a workspace over all shards, newest first.

use std::collections::VecDeque;

use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::ports::{Among, JobFilter, ListPlace, Page, Walked};
use futures::future::try_join_all;
use redis::{AsyncCommands, RedisResult};
use tracing::error;

use crate::connect::{Redis, Shard, twice};
use crate::record;

/// Ids read in one command, and records in one round when a list is filtered.
const CHUNK: usize = 500;
/// Records that one filtered page looks at, newest first; its total counts no more. A walk goes on behind them.
const PAGE_SCAN: usize = 20_000;
/// Records that one call of a filtered walk looks at: some ten milliseconds of work.
const WALK_SCAN: usize = 1_000;

/// A page by its number, and how many jobs fit.
pub(crate) async fn page(redis: &Redis, of: &WorkspaceId, filter: &JobFilter) -> RedisResult<Page<Job>> {
    let limit = usize::try_from(filter.limit.max(1)).unwrap_or(20);
    let first = usize::try_from(filter.page.saturating_sub(1)).unwrap_or(0).saturating_mul(limit);
    if filter.is_open() {
        let total = count(redis, filter.among, of).await?;
        let mut newest = Newest::of(redis, of, filter);
        newest.skip(first).await?;
        let mut places = newest.take(limit + 1).await?;
        let has_more = places.len() > limit;
        places.truncate(limit);
        let next = places.last().filter(|_| has_more).cloned();
        let items = read(redis, &places).await?.into_iter().map(|(_, job)| job).collect();
        return Ok(Page { items, total, next });
    }
    let mut page = Page { items: Vec::new(), total: 0, next: None };
    let (mut fitting, mut seen, mut last) = (0usize, 0usize, None);
    let mut newest = Newest::of(redis, of, filter);
    while seen < PAGE_SCAN {
        let places = newest.take(CHUNK).await?;
        if places.is_empty() {
            break;
        }
        seen += places.len();
        for (place, job) in read(redis, &places).await?.into_iter().filter(|(_, job)| filter.fits(job)) {
            if (first..first.saturating_add(limit)).contains(&fitting) {
                page.items.push(job);
                last = Some(place);
            }
            fitting += 1;
        }
        if seen >= PAGE_SCAN {
            page.next = places.last().cloned();
        }
    }
    page.total = fitting as u64;
    // A full page goes on behind its last job, a page that the scan has cut short behind what was looked at.
    if page.items.len() == limit && (fitting > first.saturating_add(limit) || page.next.is_some()) {
        page.next = last;
    }
    Ok(page)
}

/// The jobs behind a place, or from the newest.
pub(crate) async fn walk(
    redis: &Redis,
    of: &WorkspaceId,
    filter: &JobFilter,
    behind: Option<&ListPlace>,
) -> RedisResult<Walked> {
    let limit = usize::try_from(filter.limit.max(1)).unwrap_or(20);
    let chunk = if filter.is_open() { limit } else { CHUNK };
    let mut newest = Newest::of(redis, of, filter);
    if let Some(place) = behind {
        newest.begin_behind(place);
    }
    let (mut walked, mut seen) = (Walked::default(), 0);
    loop {
        let places = newest.take(chunk).await?;
        let Some(last) = places.last().cloned() else {
            return Ok(walked);
        };
        seen += places.len();
        let fitting = read(redis, &places).await?.into_iter().filter(|(_, job)| filter.fits(job));
        for (place, job) in fitting {
            walked.items.push(job);
            if walked.items.len() == limit {
                let has_more = place != last || !newest.take(1).await?.is_empty();
                walked.next = has_more.then_some(place);
                return Ok(walked);
            }
        }
        if seen >= WALK_SCAN {
            walked.next = Some(last);
            return Ok(walked);
        }
    }
}

/// How many ids the indexes of a workspace hold. An id whose record has expired is among them until the control queue
/// repairs the index.
async fn count(redis: &Redis, among: Among, workspace: &WorkspaceId) -> RedisResult<u64> {
    let counts = redis.shards().iter().map(|shard| {
        let index = shard.keys.index_of(among, workspace);
        async move { twice(|| async { shard.commands().zcard::<_, u64>(&index).await }).await }
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}

/// Walks over the indexes of all shards as if they were one.
struct Newest<'a> {
    rows: Vec<Row<'a>>,
}

/// The index of one shard.
struct Row<'a> {
    shard: &'a Shard,
    index: String,
    /// The orders between which it is read, newest first, as Redis reads them.
    bounds: (String, String),
    from: Start,
    is_at_end: bool,
    read: VecDeque<ListPlace>,
}

/// Where the reading of an index goes on.
enum Start {
    /// At this rank.
    Rank(usize),
    /// At the newest within the bounds.
    Newest,
    /// Behind this place, whether or not it is there.
    Behind(ListPlace),
}

impl<'a> Newest<'a> {
    /// Begins at the newest that a filter may find.
    fn of(redis: &'a Redis, workspace: &WorkspaceId, filter: &JobFilter) -> Self {
        let rows = redis.shards().iter().map(|shard| Row {
            shard,
            index: shard.keys.index_of(filter.among, workspace),
            bounds: bounds(filter),
            from: Start::Newest,
            is_at_end: false,
            read: VecDeque::new(),
        });
        Self { rows: rows.collect() }
    }

    fn begin_behind(&mut self, place: &ListPlace) {
        for row in &mut self.rows {
            row.from = Start::Behind(place.clone());
        }
    }

    /// Passes over the `skipped` newest. With several shards their ids are read to be skipped, as nobody knows how many
    /// of them each shard has.
    async fn skip(&mut self, skipped: usize) -> RedisResult<()> {
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
    async fn take(&mut self, count: usize) -> RedisResult<Vec<ListPlace>> {
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

/// The list of all jobs is ordered by admission, so that times of admission bound what is read of it; the others are
/// ordered by what came later.
fn bounds(filter: &JobFilter) -> (String, String) {
    let (mut newest, mut oldest) = ("+inf".to_owned(), "-inf".to_owned());
    if filter.among == Among::All {
        // Whole microseconds: the filter itself is exact.
        if let Some(before) = filter.created_before {
            newest = before.as_microsecond().to_string();
        }
        if let Some(after) = filter.created_after {
            oldest = after.as_microsecond().to_string();
        }
    }
    (newest, oldest)
}

impl Row<'_> {
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
                    let behind: VecDeque<ListPlace> =
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

    async fn ranks(&self, first: usize, last: usize) -> RedisResult<Vec<ListPlace>> {
        let mut call = redis::cmd("ZRANGE");
        call.arg(&self.index).arg(first).arg(last).arg("REV").arg("WITHSCORES");
        let found: Vec<(String, f64)> =
            twice(|| async { call.query_async(&mut self.shard.commands()).await }).await?;
        Ok(places(found))
    }

    /// Those of this order and older ones, without the first `passed`.
    async fn range(&self, newest: &str, passed: usize, count: usize) -> RedisResult<Vec<ListPlace>> {
        let mut call = redis::cmd("ZRANGE");
        call.arg(&self.index).arg(newest).arg(&self.bounds.1).arg("BYSCORE").arg("REV");
        call.arg("LIMIT").arg(passed).arg(count).arg("WITHSCORES");
        let found: Vec<(String, f64)> =
            twice(|| async { call.query_async(&mut self.shard.commands()).await }).await?;
        Ok(places(found))
    }
}

/// Orders are whole numbers below 2^53, which a double holds exactly.
fn places(found: Vec<(String, f64)>) -> Vec<ListPlace> {
    let place = |(id, order): (String, f64)| Some(ListPlace { order: order as i64, id: id.parse().ok()? });
    found.into_iter().filter_map(place).collect()
}

/// The records at these places that can be read, in the same order.
async fn read(redis: &Redis, places: &[ListPlace]) -> RedisResult<Vec<(ListPlace, Job)>> {
    let ids: Vec<&JobId> = places.iter().map(|place| &place.id).collect();
    let of_shards = redis.shards().iter().map(|shard| {
        let own = |id: &&&JobId| redis.of_job(id).keys.number() == shard.keys.number();
        let keys: Vec<String> = ids.iter().filter(own).map(|id| shard.keys.job(id)).collect();
        async move {
            if keys.is_empty() {
                return Ok(VecDeque::new());
            }
            let records: Vec<Option<Vec<u8>>> =
                twice(|| async { shard.commands().mget(&keys).await }).await?;
            RedisResult::Ok(VecDeque::from(records))
        }
    });
    let mut records = try_join_all(of_shards).await?;
    let mut jobs = Vec::with_capacity(places.len());
    for place in places {
        let own = records.get_mut(usize::from(redis.of_job(&place.id).keys.number()));
        match own.and_then(VecDeque::pop_front).flatten().map(|bytes| record::read(&place.id, &bytes)) {
            Some(Ok(job)) => jobs.push((place.clone(), job)),
            Some(Err(reason)) => {
                error!(job.id = %place.id, error = %reason, "record left out of a list");
            }
            None => {}
        }
    }
    Ok(jobs)
}
