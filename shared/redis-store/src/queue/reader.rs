//! Fills free slots with claimed steps, a reader for each shard. Never ends by an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_domain::operation::Step;
use atelier_domain::ports::{Claim, TimeSource as _};
use futures::future::join_all;
use rand::Rng;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::claim::{Engine, Place, RedisClaim};
use super::feed::{Feed, Fetched, job_id};
use crate::connect::Backoff;
use crate::record;
use crate::settle::Extent;

/// Most steps claimed in one script.
const FETCH: usize = 128;
/// How long a reader waits when redelivered steps stand in line for their turn.
const SUSPECT_PAUSE: Duration = Duration::from_millis(100);
/// How long a reader goes without a slot before it asks the reader of another, empty shard for its own.
const STARVED_AFTER: Duration = Duration::from_millis(100);

/// What the readers of all shards of one queue share: the places where steps run.
pub(crate) struct Places {
    slots: Arc<Semaphore>,
    /// Most steps claimed at once: half of the slots, so that Redis claims some while others run.
    fetch: usize,
    /// One redelivered step at a time: if it ends the process again, no other suspect shares the blame.
    suspects: Arc<Semaphore>,
    readers: usize,
    starved: Notify,
}

impl Places {
    pub(crate) fn new(slots: usize, readers: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            fetch: slots.div_ceil(2).clamp(1, FETCH),
            suspects: Arc::new(Semaphore::new(1)),
            readers,
            starved: Notify::new(),
        }
    }

    /// The slots that a reader keeps while it waits for messages, out of those it has: a blocking read may bring as
    /// many. A due set gives nothing by itself; and with several shards, the others need theirs.
    fn kept_while_waiting(&self, step: Step, had: usize) -> usize {
        match step {
            Step::Check | Step::Deliver => 0,
            Step::Submit | Step::Reconcile | Step::Abandon if self.readers == 1 => had,
            Step::Submit | Step::Reconcile | Step::Abandon => 1,
        }
    }
}

/// What ends a wait for messages early.
pub(crate) struct Leave<'a> {
    stop: &'a CancellationToken,
    places: &'a Places,
}

impl Leave<'_> {
    /// Returns at the stop, or when another shard's reader is starved for the slot.
    pub(crate) async fn asked(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.places.starved.notified() => {}
        }
    }
}

/// The reading task of one shard of one queue.
pub(crate) struct Reader {
    pub(crate) engine: Arc<Engine>,
    pub(crate) places: Arc<Places>,
    pub(crate) out: mpsc::Sender<Arc<RedisClaim>>,
    pub(crate) stop: CancellationToken,
}

impl Reader {
    /// Reads until `stop`. What it had claimed by then and could not hand out it gives back.
    pub(crate) async fn run(self) {
        let mut feed = Feed::new(self.engine.shard.clone(), self.engine.step, self.engine.consumer.clone());
        let mut backoff = Backoff::default();
        let mut recover_at = Instant::now();
        let mut suspects_wait = false;
        loop {
            let Some(mut places) = self.free_slots().await else { return };
            let mut suspect = self.places.suspects.clone().try_acquire_owned().ok();
            let is_recovery_due = Instant::now() >= recover_at || (suspects_wait && suspect.is_some());
            let outcome =
                self.look(&mut feed, &mut places, &mut suspect, is_recovery_due, suspects_wait).await;
            match outcome {
                Ok(fetched) => {
                    backoff.reset();
                    if is_recovery_due || fetched.has_suspects {
                        suspects_wait = fetched.has_suspects;
                    }
                    if is_recovery_due {
                        let third = self.engine.shard.settings.lease() / 3;
                        recover_at = Instant::now() + third.mul_f64(rand::rng().random_range(0.9..1.1));
                    }
                    self.hand_out(fetched, &mut places, suspect).await;
                }
                Err(reason) => {
                    drop((places, suspect));
                    warn!(step = %self.engine.step, error = %reason, "reader waits for redis");
                    if !backoff.wait(&self.stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// Recovers when it is due, then fetches what is ready, and only if there is nothing waits for more.
    async fn look(
        &self,
        feed: &mut Feed,
        places: &mut Vec<OwnedSemaphorePermit>,
        suspect: &mut Option<OwnedSemaphorePermit>,
        is_recovery_due: bool,
        suspects_wait: bool,
    ) -> redis::RedisResult<Fetched> {
        let (count, may_take_suspect) = (places.len(), suspect.is_some());
        let mut has_suspects = suspects_wait;
        if is_recovery_due {
            let recovered = feed.recover(count, may_take_suspect).await?;
            if !recovered.claimed.is_empty() {
                return Ok(recovered);
            }
            has_suspects = recovered.has_suspects;
        }
        let mut fetched = feed.fetch(count, may_take_suspect).await?;
        if fetched.claimed.is_empty() {
            let longest = if has_suspects || fetched.has_suspects {
                SUSPECT_PAUSE
            } else {
                self.engine.shard.settings.block()
            };
            // What the readers of other shards can use.
            suspect.take();
            places.truncate(self.places.kept_while_waiting(self.engine.step, count));
            let leave = Leave { stop: &self.stop, places: &self.places };
            fetched = feed.wait(places.len(), longest, &leave).await?;
        }
        fetched.has_suspects |= has_suspects;
        Ok(fetched)
    }

    /// At least one free slot and all others that are free now; `None` once it is time to stop.
    async fn free_slots(&self) -> Option<Vec<OwnedSemaphorePermit>> {
        let acquiring = self.places.slots.clone().acquire_owned();
        tokio::pin!(acquiring);
        let first = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                slot = &mut acquiring => break slot.ok()?,
                () = tokio::time::sleep(STARVED_AFTER), if self.places.readers > 1 => {
                    self.places.starved.notify_one();
                }
            }
        };
        // Steps that were settled together free their slots together: a fuller fetch is a cheaper one.
        tokio::task::yield_now().await;
        let mut places = vec![first];
        while places.len() < self.places.fetch {
            match self.places.slots.clone().try_acquire_owned() {
                Ok(slot) => places.push(slot),
                Err(_) => break,
            }
        }
        Some(places)
    }

    async fn hand_out(
        &self,
        fetched: Fetched,
        places: &mut Vec<OwnedSemaphorePermit>,
        suspect: Option<OwnedSemaphorePermit>,
    ) {
        let mut suspect = suspect;
        let Fetched { claimed, pauses, .. } = fetched;
        let mut unwanted = Vec::new();
        for claimed in claimed {
            // There are never more claims than places: a fetch asks for as many as are free.
            let Some(slot) = places.pop() else { return };
            let Some(id) = job_id(&claimed) else {
                error!(job.id = claimed.id, "a message names no job id");
                continue;
            };
            let job = match record::read_claimed(&id, &claimed.record) {
                Ok(job) => job,
                Err(reason) => {
                    // Left to its lease: a newer build may be able to read it.
                    error!(job.id = %id, error = %reason, "record left to another build");
                    continue;
                }
            };
            let extent =
                if record::has_this_layout(&claimed.record) { Extent::Header } else { Extent::Whole };
            let was_redelivered = job.deliveries > 2;
            let held = if was_redelivered { suspect.take() } else { None };
            let is_poison = job.deliveries > self.engine.policy.retry.max_deliveries;
            let place = Place { _slot: slot, _suspect: held };
            let claim = RedisClaim::new(self.engine.clone(), job, claimed.source, extent, place);
            if is_poison {
                claim.end_as_poison().await;
            } else if let Some(pause) =
                pauses.iter().find(|pause| pause.holds(claim.job(), self.engine.shard.time.now()))
            {
                // Not waited for: a long line of held jobs is written in batches, and others wait behind it.
                let pause = pause.clone();
                tokio::spawn(async move { claim.park(&pause).await });
            } else if self.stop.is_cancelled() {
                unwanted.push(claim);
            } else if let Err(unsent) = self.out.send(claim).await {
                unwanted.push(unsent.0);
            }
        }
        // Together: one after the other would take a round trip each.
        join_all(unwanted.iter().map(|claim| claim.release())).await;
    }
}
