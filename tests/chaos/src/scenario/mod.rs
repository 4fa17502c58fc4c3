//! A seeded run of faults under load: callers order jobs of several kinds, faults strike one after the other, each is
//! healed and its recovery measured; at the end everything is healed, every job must have ended, and the account is
//! made of records, queues, the providers' journal and the stored files.
//!
//! | file | what |
//! |---|---|
//! | `orders` | the mix of jobs and their callers |
//! | `fleet` | the programs, with a way of their own to each peer |
//! | `faults` | what can be done to them |
//! | `account` | what became of every job, and what is wrong |

pub mod account;
pub mod faults;
pub mod fleet;
pub mod orders;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use atelier_simulator::{Rule, Timing};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use self::account::{Account, Struck};
use self::faults::Family;
use self::fleet::Fleet;
use self::orders::{Caller, Placed};
use crate::world::World;

/// Longest time from the last healing until every job has ended.
const REST_LIMIT: Duration = Duration::from_secs(90);
/// Longest time for a job that is sent when a fault has been healed.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);
const TIMING: Timing = Timing {
    image: Duration::from_millis(200),
    video: Duration::from_millis(900),
    speech: Duration::from_millis(80),
};

/// A run.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub seed: u64,
    /// Kinds of faults; each strike takes one at random, after each has had its turn.
    pub families: Vec<Family>,
    /// Strikes, at least.
    pub strikes: usize,
    /// Strikes go on for so long, at least.
    pub time: Duration,
    /// Orders at once.
    pub callers: usize,
    /// What the providers do wrong from the start.
    pub rules: Vec<Rule>,
}

impl Scenario {
    /// A run of a few seconds.
    pub fn short(seed: u64, families: &[Family], strikes: usize) -> Self {
        let (families, time) = (families.to_vec(), Duration::ZERO);
        Self { seed, families, strikes, time, callers: 12, rules: Vec::new() }
    }

    /// Runs it and makes the account. An error is a run that could not be made; what went wrong within it is in the
    /// account.
    pub async fn run(&self) -> Result<Account> {
        println!("ATELIER_CHAOS_SEED={}", self.seed);
        let since = Instant::now();
        let mut world = World::start(TIMING).await?;
        self.rules.iter().for_each(|rule| world.around.simulator.script(rule.clone()));
        let has_clocks = self.families.contains(&Family::Clocks);
        let mut fleet = Fleet::start(&world, has_clocks).await?;
        let outcome = self.strike_under_load(&mut world, &mut fleet).await;
        let (placed, struck) = match outcome {
            Ok(done) => done,
            Err(error) => {
                return Err(error.context(format!("seed {}\n{}", self.seed, fleet.logs())));
            }
        };
        let account = account::make(self, &world, &fleet, &placed, struck, since.elapsed()).await;
        let account = account.with_context(|| format!("seed {}\n{}", self.seed, fleet.logs()))?;
        if !account.wrong.is_empty() {
            println!("{}", fleet.logs());
        }
        fleet.stop().await?;
        world.stop().await;
        Ok(account)
    }

    async fn strike_under_load(
        &self,
        world: &mut World,
        fleet: &mut Fleet,
    ) -> Result<(Vec<Placed>, Vec<Struck>)> {
        let mut dice = StdRng::seed_from_u64(self.seed);
        let is_over = Arc::new(AtomicBool::new(false));
        let numbers = Arc::new(AtomicUsize::new(0));
        let mut callers = JoinSet::new();
        for number in 0..self.callers {
            let seed = self.seed.wrapping_add(1 + number as u64);
            let caller = Caller::new(fleet.client.clone(), seed, numbers.clone(), is_over.clone());
            callers.spawn(caller.work());
        }
        let mut struck = Vec::new();
        // Nothing is struck that has not begun.
        let started = orders::probe(&fleet.client, self.seed, struck.len());
        tokio::time::timeout(RECOVERY_LIMIT, started).await.context("the programs do not start")??;
        let since = Instant::now();
        while struck.len() < self.strikes || since.elapsed() < self.time {
            tokio::time::sleep(Duration::from_millis(dice.random_range(100..600))).await;
            let family = match self.families.get(struck.len()) {
                Some(family) => *family,
                None => *self.families.choose(&mut dice).context("no kind of fault")?,
            };
            let what = family.strike(&mut dice, world, fleet).await?;
            let healed = Instant::now();
            let probe = orders::probe(&fleet.client, self.seed, struck.len() + 1);
            let recovered = tokio::time::timeout(RECOVERY_LIMIT, probe).await;
            recovered.with_context(|| format!("after {what:?} nothing works any more"))??;
            let recovered_in = healed.elapsed();
            println!("{:?} {what:?}, recovered in {recovered_in:?}", since.elapsed());
            struck.push(Struck { what, recovered_in });
            while let Some(ended) = callers.try_join_next() {
                let _: Vec<Placed> = ended??;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let mut placed = Vec::new();
        let rest = async {
            while let Some(ended) = callers.join_next().await {
                placed.extend(ended??);
            }
            anyhow::Ok(())
        };
        let rest = tokio::time::timeout(REST_LIMIT, rest).await;
        rest.with_context(|| format!("not every job has ended {REST_LIMIT:?} after the last fault"))??;
        Ok((placed, struck))
    }
}
