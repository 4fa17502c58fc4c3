//! The jobs of a workspace over all shards, newest first.

use std::collections::VecDeque;

use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::ports::{Among, JobFilter, ListPlace, Page, Walked};
use futures::future::try_join_all;
use redis::{AsyncCommands, RedisResult};
use tracing::error;

use crate::connect::{Redis, twice};
use crate::keys::Keys;
use crate::newest::{self, CHUNK, Newest};
use crate::record;

/// Records that one filtered page looks at, newest first; its total counts no more. A walk goes on behind them.
const PAGE_SCAN: usize = 20_000;
/// Records that one call of a filtered walk looks at: some ten milliseconds of work.
const WALK_SCAN: usize = 1_000;

/// A page by its number, and how many jobs fit.
pub(crate) async fn page(redis: &Redis, of: &WorkspaceId, filter: &JobFilter) -> RedisResult<Page<Job>> {
    let limit = usize::try_from(filter.limit.max(1)).unwrap_or(20);
    let first = usize::try_from(filter.page.saturating_sub(1)).unwrap_or(0).saturating_mul(limit);
    if filter.is_open() {
        let total = newest::count(redis, |keys| keys.index_of(filter.among, of)).await?;
        let mut newest = newest_of(redis, of, filter);
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
    let mut newest = newest_of(redis, of, filter);
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
    let mut newest = newest_of(redis, of, filter);
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

/// The jobs that a filter may find.
fn newest_of<'a>(redis: &'a Redis, of: &WorkspaceId, filter: &JobFilter) -> Newest<'a, JobId> {
    Newest::over(redis, |keys: &Keys| keys.index_of(filter.among, of), &bounds(filter))
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
