//! Events of jobs: what is heard, what is missed and made good, and what nobody pays for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use atelier_domain::Timestamp;
use atelier_domain::events::{EntryId, EventPosition, JobEvent, told_by};
use atelier_domain::ids::JobId;
use atelier_domain::operation::Step;
use atelier_domain::ports::{EventFeed, FeedItem, JobEvents, JobStore};
use atelier_domain::state::State;
use atelier_redis_store::{Redis, RedisJobEvents, RedisStoreSettings};
use futures::StreamExt as _;
use redis::Commands;
use tokio_util::sync::CancellationToken;

use crate::harness::{Fixture, LONG, PretendedWork, settings, wait_for, workspace};

/// A process that listens, with connections of its own.
struct Listening {
    events: RedisJobEvents,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    fn start<S>(fixture: &Fixture<S>) -> Self {
        let stop = CancellationToken::new();
        let redis = Redis::open(fixture.settings.clone()).unwrap();
        let (events, task) = RedisJobEvents::start(redis, stop.clone());
        Self { events, stop, task }
    }

    async fn to_all(&self, behind: Option<EventPosition>) -> EventFeed {
        self.events.of_workspace(&workspace(), behind).await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(LONG, self.task).await.expect("the task ends").unwrap();
    }
}

/// What was heard of each job, and the last position.
#[derive(Default)]
struct Heard {
    of_jobs: BTreeMap<JobId, Vec<JobEvent>>,
    position: Option<EventPosition>,
    gaps: usize,
}

impl Heard {
    fn take(&mut self, item: FeedItem) {
        match item {
            FeedItem::Event(told) => {
                let events = self.of_jobs.entry(told.event.job_id.clone()).or_default();
                let last = events.last().map(|event: &JobEvent| event.number);
                assert!(last.is_none_or(|last| last < told.event.number), "out of order, or twice: {told:?}");
                events.push(told.event.clone());
                self.position = Some(told.position.clone());
            }
            FeedItem::Quiet(position) => self.position = Some(position),
            FeedItem::Gap => self.gaps += 1,
        }
    }

    fn ended(&self) -> usize {
        let has_ended =
            |events: &&Vec<JobEvent>| events.last().is_some_and(|event| event.state.is_terminal());
        self.of_jobs.values().filter(has_ended).count()
    }

    fn count(&self) -> usize {
        self.of_jobs.values().map(Vec::len).sum()
    }

    /// Hears until so many jobs have ended.
    async fn until_ended(&mut self, feed: &mut EventFeed, count: usize) {
        while self.ended() < count {
            let item = tokio::time::timeout(LONG, feed.next()).await.expect("an event comes");
            self.take(item.expect("the feed goes on"));
        }
    }

    fn states(&self, id: &JobId) -> Vec<State> {
        self.of_jobs[id].iter().map(|event| event.state).collect()
    }
}

/// The life of a job of [`PretendedWork`] with two checks.
const LIFE: [State; 6] =
    [State::Queued, State::Submitting, State::Awaiting, State::Awaiting, State::Delivering, State::Succeeded];

fn work<S>(fixture: &Fixture<S>) -> Arc<PretendedWork> {
    Arc::new(PretendedWork { checks_needed: 1, ..PretendedWork::new(fixture) })
}

/// All lives are heard whole, wherever the jobs are; the record tells the same.
pub async fn every_event_is_heard_in_every_shard<S>(fixture: &Fixture<S>) {
    let listening = Listening::start(fixture);
    let mut feed = listening.to_all(None).await;
    let process = fixture.process(Step::ALL, 16, work(fixture));
    let ids = fixture.admit_many(40, "a fox").await;
    let mut heard = Heard::default();
    let Some(FeedItem::Quiet(began)) = feed.next().await else { panic!("no beginning") };
    heard.until_ended(&mut feed, ids.len()).await;
    let mut again = Heard::default();
    again.until_ended(&mut listening.to_all(Some(began)).await, ids.len()).await;
    assert_eq!(again.of_jobs, heard.of_jobs, "the same to who comes back from the beginning");
    for id in &ids {
        assert_eq!(heard.states(id), LIFE);
        let (live, told) = (&heard.of_jobs[id], told_by(&fixture.job(id).await, None));
        let numbers = |events: &[JobEvent]| -> Vec<_> {
            events.iter().map(|event| (event.number, event.state)).collect()
        };
        assert_eq!(numbers(live), numbers(&told), "the record tells what was heard");
        assert_eq!(live.last(), told.last());
        let looked = live[3].facts.as_ref().unwrap();
        assert_eq!(
            (looked.provider_status.as_deref(), live[3].progress_percent),
            (Some("RUNNING"), Some(10))
        );
    }
    assert_eq!(heard.gaps, 0);
    process.stop().await;
    listening.end().await;
    assert!(feed.next().await.is_none(), "a process that ends ends its feeds");
}

fn three_shards(url: String) -> RedisStoreSettings {
    RedisStoreSettings { shards: 3, ..settings(url) }
}

#[tokio::test]
async fn every_life_is_heard_whole_over_several_shards() {
    every_event_is_heard_in_every_shard(&Fixture::with(three_shards).await).await;
}

#[tokio::test]
async fn nobody_pays_for_what_nobody_hears() {
    let fixture = Fixture::start().await;
    let process = fixture.process(Step::ALL, 8, work(&fixture));
    fixture.admit_many(20, "a fox").await;
    fixture.assert_all_ended(20, State::Succeeded).await;
    process.stop().await;
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    let keys: Vec<String> = raw.keys("{q0}:t*").unwrap();
    assert_eq!(keys, Vec::<String>::new());
    // Another workspace that is listened to changes nothing for this one.
    let listening = Listening::start(&fixture);
    let _feed = listening.events.of_workspace(&"other".parse().unwrap(), None).await.unwrap();
    fixture.admit_many(5, "a fox").await;
    let keys: Vec<String> = raw.keys("{q0}:t*").unwrap();
    assert_eq!(keys, ["{q0}:tm"]);
    let left_ms: i64 = redis::cmd("PTTL").arg("{q0}:tm").query(&mut raw).unwrap();
    assert!((3_500_000..=3_600_000).contains(&left_ms), "{left_ms}");
}

#[tokio::test]
async fn who_comes_back_hears_the_rest_and_nothing_twice() {
    let fixture = Fixture::with(three_shards).await;
    let first = Listening::start(&fixture);
    let mut feed = first.to_all(None).await;
    let process = fixture.process(Step::ALL, 16, work(&fixture));
    let mut ids = fixture.admit_many(30, "a fox").await;
    let mut heard = Heard::default();
    while heard.count() < 60 {
        heard.take(tokio::time::timeout(LONG, feed.next()).await.unwrap().unwrap());
    }
    drop(feed);
    first.end().await;
    // Nobody listens now, but it is kept.
    ids.extend(fixture.admit_many(30, "a fox").await);
    fixture.assert_all_ended(60, State::Succeeded).await;
    let second = Listening::start(&fixture);
    let mut feed = second.to_all(heard.position.clone()).await;
    heard.until_ended(&mut feed, 60).await;
    for id in &ids {
        assert_eq!(heard.states(id), LIFE);
    }
    assert_eq!(heard.gaps, 0);
    process.stop().await;
    second.end().await;
}

#[tokio::test]
async fn killed_connections_lose_nothing() {
    let fixture = Fixture::with(three_shards).await;
    let listening = Listening::start(&fixture);
    let mut feed = listening.to_all(None).await;
    let process = fixture.process(Step::ALL, 16, work(&fixture));
    let killing = {
        let url = fixture.server.url();
        let stop = CancellationToken::new();
        let task = tokio::task::spawn_blocking({
            let stop = stop.clone();
            move || {
                let mut raw = redis::Client::open(url).unwrap().get_connection().unwrap();
                let mut killed = 0u32;
                while !stop.is_cancelled() {
                    let kill = redis::cmd("CLIENT")
                        .arg("KILL")
                        .arg("TYPE")
                        .arg("normal")
                        .arg("SKIPME")
                        .arg("yes")
                        .to_owned();
                    killed += kill.query::<u32>(&mut raw).unwrap();
                    std::thread::sleep(Duration::from_millis(150));
                }
                killed
            }
        });
        (stop, task)
    };
    let mut ids = Vec::new();
    for _ in 0..40 {
        let job = crate::harness::new_job("a fox");
        ids.push(job.id.clone());
        // A caller whose connection breaks sends the same again.
        wait_for("the job to be taken", || async {
            let new = atelier_domain::ports::NewJob { job: job.clone(), idempotency: None };
            fixture.store.admit(new).await.is_ok()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut heard = Heard::default();
    heard.until_ended(&mut feed, ids.len()).await;
    killing.0.cancel();
    assert!(killing.1.await.unwrap() > 0);
    for id in &ids {
        let states = heard.states(id);
        assert_eq!((states.first(), states.last()), (Some(&State::Queued), Some(&State::Succeeded)));
        let told = told_by(&fixture.job(id).await, None);
        let live: Vec<_> = heard.of_jobs[id].iter().map(|event| event.number).collect();
        assert_eq!(live, told.iter().map(|event| event.number).collect::<Vec<_>>(), "each event once");
    }
    assert_eq!(heard.gaps, 0);
    process.stop().await;
    listening.end().await;
}

#[tokio::test]
async fn an_old_position_begins_with_a_gap_and_goes_on_from_the_oldest() {
    let fixture = Fixture::start().await;
    let listening = Listening::start(&fixture);
    let mut feed = listening.to_all(None).await;
    let Some(FeedItem::Quiet(EventPosition(began))) = feed.next().await else { panic!("no beginning") };
    let ids = fixture.admit_many(3, "a fox").await;
    let old = EntryId { ms: began[0].ms - 3_700_000, number: 0 };
    for behind in [EventPosition(vec![old]), EventPosition(vec![began[0], began[0]])] {
        let mut feed = listening.to_all(Some(behind)).await;
        assert_eq!(feed.next().await, Some(FeedItem::Gap));
        let mut heard = Heard::default();
        for _ in &ids {
            heard.take(feed.next().await.unwrap());
        }
        assert_eq!(heard.of_jobs.len(), 3);
    }
    // So many that the first are dropped.
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    let mut many = redis::pipe();
    for _ in 0..10_500 {
        many.cmd("XADD")
            .arg("{q0}:t:acme")
            .arg("MAXLEN")
            .arg("~")
            .arg(10_000)
            .arg("*")
            .arg("x")
            .arg(1)
            .ignore();
    }
    let () = many.query(&mut raw).unwrap();
    let mut feed = listening.to_all(Some(EventPosition(began))).await;
    assert_eq!(feed.next().await, Some(FeedItem::Gap));
}

#[tokio::test]
async fn a_slow_listener_is_cut_off_and_hinders_nobody() {
    let fixture = Fixture::start().await;
    let listening = Listening::start(&fixture);
    let mut slow = listening.to_all(None).await;
    let mut quick = listening.to_all(None).await;
    let hearing = tokio::spawn(async move {
        let mut heard = Heard::default();
        while heard.of_jobs.len() < 600 {
            heard.take(tokio::time::timeout(LONG, quick.next()).await.unwrap().expect("it is quick enough"));
        }
    });
    let ids = fixture.admit_many(600, "a fox").await;
    hearing.await.unwrap();
    let mut late = Heard::default();
    while let Some(item) = slow.next().await {
        late.take(item);
    }
    assert!(late.of_jobs.len() < ids.len(), "it was cut off");
    let mut again = listening.to_all(late.position.clone()).await;
    while late.of_jobs.len() < ids.len() {
        late.take(tokio::time::timeout(LONG, again.next()).await.unwrap().unwrap());
    }
    assert_eq!((late.count(), late.gaps), (600, 0));
}

#[tokio::test]
async fn who_listens_to_a_job_hears_of_that_job_alone() {
    let fixture = Fixture::with(three_shards).await;
    let listening = Listening::start(&fixture);
    let ids = fixture.admit_many(20, "a fox").await;
    let mut feeds = Vec::new();
    for id in &ids[..10] {
        feeds.push((id.clone(), listening.events.of_job(&workspace(), id).await.unwrap()));
    }
    for id in &ids {
        fixture.store.cancel(&workspace(), id, Timestamp::now()).await.unwrap();
    }
    for (id, feed) in &mut feeds {
        let item = tokio::time::timeout(LONG, feed.next()).await.unwrap();
        let Some(FeedItem::Event(told)) = item else { panic!("{item:?}") };
        assert_eq!((&told.event.job_id, told.event.state), (&*id, State::Cancelled));
    }
    // Nobody is left: the process reads no more, until somebody listens again.
    drop(feeds);
    let mut raw = redis::Client::open(fixture.server.url()).unwrap().get_connection().unwrap();
    wait_for("the reading to end", || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut raw).unwrap();
        let reads = clients.lines().any(|line| line.contains("cmd=xread ") && line.contains("flags=b"));
        async move { !reads }
    })
    .await;
    let more = fixture.admit_many(1, "a fox").await;
    let mut feed = listening.events.of_job(&workspace(), &more[0]).await.unwrap();
    fixture.store.cancel(&workspace(), &more[0], Timestamp::now()).await.unwrap();
    let item = tokio::time::timeout(LONG, feed.next()).await.unwrap();
    assert!(matches!(item, Some(FeedItem::Event(told)) if told.event.job_id == more[0]));
}
