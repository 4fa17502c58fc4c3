//! The model's store is what the scripts do: random walks over both, compared after each step.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use atelier_chaos::model::scripts::RealStore;
use atelier_chaos::model::store::{
    Consumer, JobNumber, Next, Rule, Rules, Source, Store, Taken, Verdict, Written,
};
use atelier_chaos::model::system::resumed;
use atelier_chaos::resp::Resp;
use atelier_dev::redis_server::RedisServer;
use atelier_domain::operation::Step;
use atelier_domain::state::TABLE;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::under_load::seed_of_run;

const WALKS: u64 = 80;
const STEPS: usize = 120;
const JOBS: JobNumber = 4;
const CONSUMERS: Consumer = 3;
/// Claims that are remembered, most of them stale by then: their holders still believe in them.
const CLAIMS: usize = 10;
const STREAMS: [Step; 3] = [Step::Submit, Step::Reconcile, Step::Abandon];

#[tokio::test]
async fn the_models_store_does_what_the_scripts_do() -> Result<()> {
    let seed = seed_of_run()?;
    let folder = tempfile::tempdir()?;
    let server = RedisServer::start(folder.path(), false)?;
    let (mut claims, mut stale) = (0, 0);
    for number in 0..WALKS {
        let walk = Walk::begin(&server, seed.wrapping_add(number), Rules::default()).await?;
        let seen = walk.go().await.with_context(|| format!("seed {seed}, walk {number}"))?;
        claims += seen.claims;
        stale += seen.stale;
    }
    println!("{WALKS} walks of {STEPS} steps: {claims} claims, {stale} stale verdicts");
    ensure!(claims > 400 && stale > 400, "too little happened to prove anything");
    Ok(())
}

#[tokio::test]
async fn a_store_without_the_comparison_of_epochs_is_not_that_of_the_scripts() -> Result<()> {
    let seed = seed_of_run()?;
    let folder = tempfile::tempdir()?;
    let server = RedisServer::start(folder.path(), false)?;
    for rule in [Rule::VerdictsCompareEpochs, Rule::ClaimsRaiseEpochs] {
        let mut differ = false;
        for number in 0..WALKS {
            let walk = Walk::begin(&server, seed.wrapping_add(number), Rules::without(rule)).await?;
            differ |= walk.go().await.is_err();
            if differ {
                break;
            }
        }
        ensure!(differ, "seed {seed}: no walk tells a store without {rule:?} from the scripts");
    }
    Ok(())
}

/// Something of what a walk has seen.
#[derive(Default)]
struct Seen {
    claims: usize,
    stale: usize,
}

struct Walk {
    dice: StdRng,
    rules: Rules,
    model: Store,
    real: RealStore,
    claims: Vec<(Consumer, Taken)>,
    last: Vec<Verdict>,
    seen: Seen,
}

impl Walk {
    async fn begin(server: &RedisServer, seed: u64, rules: Rules) -> Result<Self> {
        let address: SocketAddr =
            server.url().trim_start_matches("redis://").trim_end_matches("/0").parse()?;
        let real = RealStore::new(Resp::connect(address).await?).await?;
        let model = Store {
            streams: STREAMS.into_iter().map(|step| (step, Vec::new())).collect(),
            ..Store::default()
        };
        let dice = StdRng::seed_from_u64(seed);
        Ok(Self { dice, rules, model, real, claims: Vec::new(), last: Vec::new(), seen: Seen::default() })
    }

    async fn go(mut self) -> Result<Seen> {
        for job in 0..JOBS {
            let next =
                if self.dice.random_bool(0.7) { Next::Now(Step::Submit) } else { Next::Later(Step::Submit) };
            self.model.admit(job, next);
            self.real.admit(job, next).await?;
        }
        let mut told = Vec::new();
        for at in 0..STEPS {
            let step = self.step().await;
            let (what, outcome) = step.with_context(|| format!("step {at}, after {told:#?}"))?;
            told.push(what);
            outcome.with_context(|| format!("step {at}, after {told:#?}"))?;
            let real = self.real.dump().await?;
            ensure!(
                real == self.model,
                "step {at}: {told:#?}\nleft {real:#?}\nin the model {:#?}",
                self.model
            );
        }
        Ok(self.seen)
    }

    /// Does one thing on both sides; what it was, and whether both answered alike.
    async fn step(&mut self) -> Result<(String, Result<()>)> {
        let consumer = self.dice.random_range(0..CONSUMERS);
        let count = self.dice.random_range(1..=3);
        let may_take_suspect = self.dice.random_bool(0.5);
        let filled: Vec<Step> = self
            .model
            .streams
            .iter()
            .filter(|(_, messages)| !messages.is_empty())
            .map(|(step, _)| *step)
            .collect();
        let stream = filled.choose(&mut self.dice).or(STREAMS.choose(&mut self.dice));
        let stream = *stream.context("no streams")?;
        Ok(match self.dice.random_range(0..100) {
            0..22 => {
                let real = match may_take_suspect {
                    true => self.real.read(stream, consumer, count).await?,
                    false => self.real.read_blocking(stream, consumer, count).await?,
                };
                let model = self.model.read(self.rules, stream, consumer, count);
                self.remember(consumer, &real);
                (format!("{consumer} reads {count} of {stream}"), alike(&real, &model))
            }
            22..34 => {
                let real = self.real.recover(stream, consumer, count, may_take_suspect).await?;
                let model = self.model.recover(self.rules, stream, consumer, count, may_take_suspect);
                self.remember(consumer, &real.1);
                (format!("{consumer} recovers {count} of {stream}, {may_take_suspect}"), alike(&real, &model))
            }
            34..44 => {
                // A full look only: which of several due checks come first is no promise.
                let source = if self.dice.random_bool(0.5) { Source::Checks } else { Source::Deliveries };
                let real = self.real.take(source, usize::from(JOBS), may_take_suspect).await?;
                let model = self.model.take(self.rules, source, usize::from(JOBS), may_take_suspect);
                self.remember(consumer, &real.1);
                (format!("takes {source:?}, {may_take_suspect}"), alike(&real, &model))
            }
            44..66 => {
                let wanted = self.dice.random_range(1..=2);
                let verdicts: Vec<Verdict> = (0..wanted).filter_map(|_| self.verdict()).collect();
                self.last.clone_from(&verdicts);
                self.settle(verdicts).await?
            }
            66..70 => {
                let verdicts = self.last.clone();
                self.settle(verdicts).await?
            }
            70..76 => match self.claims.choose(&mut self.dice).copied() {
                None => ("nothing".to_owned(), Ok(())),
                Some((consumer, claim)) => {
                    let real = self.real.renew(consumer, &claim).await?;
                    let model = self.model.renew(consumer, &claim);
                    (format!("{consumer} renews {claim:?}"), alike(&real, &model))
                }
            },
            76..82 => ("promotes".to_owned(), alike(&self.real.promote().await?, &self.model.promote())),
            82..90 => {
                let step = *Step::ALL.choose(&mut self.dice).context("no steps")?;
                let job = self.dice.random_range(0..JOBS);
                self.real.make_due(step, job).await?;
                self.model.make_due(step, job);
                if step == Step::Deliver {
                    self.real.lapse_delivery(job).await?;
                    self.model.lapse_delivery(job);
                }
                (format!("{step} of job {job} is due"), Ok(()))
            }
            90..96 => {
                let messages = self.model.streams.get(&stream).into_iter().flatten();
                let held: Vec<_> = messages.filter(|message| message.holder.is_some()).cloned().collect();
                for message in held {
                    self.real.lapse(stream, message.job, message.epoch).await?;
                    self.model.lapse(stream, message.job, message.epoch);
                }
                (format!("leases of {stream} lapse"), Ok(()))
            }
            96..98 => {
                let job = self.dice.random_range(0..JOBS);
                let (real, model) = (self.real.hasten(job).await?, self.model.hasten(job));
                (format!("hastens job {job}"), alike(&real, &model))
            }
            _ => {
                let ended = self.model.records.iter().find(|(_, record)| record.header.state.is_terminal());
                match ended.map(|(job, _)| *job).filter(|_| self.dice.random_bool(0.2)) {
                    None => ("nothing".to_owned(), Ok(())),
                    Some(job) => {
                        self.real.expire(job).await?;
                        self.model.expire(job);
                        (format!("job {job} expires"), Ok(()))
                    }
                }
            }
        })
    }

    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(String, Result<()>)> {
        let real = self.real.settle(&verdicts).await?;
        let model: Vec<Written> =
            verdicts.iter().map(|verdict| self.model.settle(self.rules, verdict)).collect();
        self.seen.stale += real.iter().filter(|written| matches!(written, Written::Stale(_))).count();
        Ok((format!("settles {verdicts:?}"), alike(&real, &model)))
    }

    /// A verdict upon a claim, which may be stale, or over a record as it is.
    fn verdict(&mut self) -> Option<Verdict> {
        let outside = self.dice.random_bool(0.15);
        let taken = if outside {
            let jobs: Vec<JobNumber> = self.model.records.keys().copied().collect();
            let job = *jobs.choose(&mut self.dice)?;
            Taken { job, source: Source::Outside, record: *self.model.records.get(&job)? }
        } else {
            // The youngest claim is the likeliest to be good.
            let index = self.dice.random_range(0..self.claims.len().max(1));
            let index = if self.dice.random_bool(0.5) { self.claims.len().checked_sub(1)? } else { index };
            self.claims.get(index)?.1
        };
        let state = taken.record.header.state;
        // Ends are rare, or a walk would soon have nothing left to do.
        let may_end = self.dice.random_bool(0.1);
        let rows = TABLE.iter().filter(|(from, _, to)| *from == state && (may_end || !to.is_terminal()));
        let rows: Vec<_> = rows.collect();
        let state = rows.choose(&mut self.dice).map_or(state, |(_, _, to)| *to);
        let mut record = taken.record;
        record.header.state = state;
        record.attempts = self.dice.random_range(0..9);
        record.remote = self.dice.random_range(0..9);
        let expected = taken.record.header.epoch;
        if !outside && self.dice.random_bool(0.2) {
            return Some(Verdict {
                job: taken.job,
                expected,
                source: Source::Keep,
                record,
                next: Next::Nothing,
            });
        }
        record.header.epoch = expected + 1;
        record.header.deliveries = 0;
        let step = *Step::ALL.choose(&mut self.dice)?;
        let next = match self.dice.random_range(0..20) {
            0 => Next::Nothing,
            1..4 => Next::Now(step),
            4..7 => Next::Later(step),
            7..12 => match resumed(state) {
                Next::Now(step) => Next::Later(step),
                other => other,
            },
            _ => resumed(state),
        };
        Some(Verdict { job: taken.job, expected, source: taken.source, record, next })
    }

    fn remember(&mut self, consumer: Consumer, taken: &[Taken]) {
        self.seen.claims += taken.len();
        self.claims.extend(taken.iter().map(|taken| (consumer, *taken)));
        let surplus = self.claims.len().saturating_sub(CLAIMS);
        self.claims.drain(..surplus);
    }
}

fn alike<T: PartialEq + std::fmt::Debug>(real: &T, model: &T) -> Result<()> {
    ensure!(real == model, "the scripts answer {real:?}, the model {model:?}");
    Ok(())
}
