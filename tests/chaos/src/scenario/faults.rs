//! What can be done to a fleet and its peers. Each fault is healed before it counts as struck.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use atelier_simulator::{Fault, Kind as Request, Rule};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use tokio::process::Command;

use super::fleet::{self, Fleet, Peer};
use crate::program::Kind;
use crate::wire::link::Weather;
use crate::world::World;

/// Far longer than a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(12);
/// A stop that takes longer tells what it did.
const SLOW_STOP: Duration = Duration::from_secs(2);
/// Requests that are sent while Redis is full.
const REQUESTS_WHILE_FULL: usize = 5;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// SIGKILL of a program.
    Kills,
    /// SIGTERM of a program, and a start.
    Stops,
    /// Redis answers nothing for a while.
    RedisStalls,
    /// SIGKILL of Redis, which has its append-only file.
    RedisKills,
    /// Redis has no memory left and evicts nothing.
    RedisFull,
    /// Between one program and one of its peers, or the callers and the api.
    Network,
    /// Every provider misbehaves.
    Storms,
    /// The asset store refuses, for everybody.
    S3,
    /// The clocks of the hosts are hours apart all the time, and that of one program's host jumps.
    Clocks,
}

impl Family {
    pub const ALL: [Self; 9] = [
        Self::Kills,
        Self::Stops,
        Self::RedisStalls,
        Self::RedisKills,
        Self::RedisFull,
        Self::Network,
        Self::Storms,
        Self::S3,
        Self::Clocks,
    ];
}

/// A fault, struck and healed.
#[derive(Debug, Default)]
pub struct What {
    /// The same for all that a report counts together.
    pub name: String,
    /// From SIGTERM to the end of the program.
    pub exit: Option<Duration>,
    /// Requests that got 503 because Redis was full.
    pub refused: usize,
}

impl What {
    fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

impl Family {
    /// Strikes once and heals.
    pub(super) async fn strike(
        self,
        dice: &mut StdRng,
        world: &mut World,
        fleet: &mut Fleet,
    ) -> Result<What> {
        match self {
            Self::Kills => {
                let member = any_member(dice, fleet)?;
                member.program.kill().await?;
                member.program.start()?;
                Ok(What::named(format!("kill -9 of {}", member.program.kind())))
            }
            Self::Stops => stop(dice, fleet).await,
            Self::RedisStalls => stall(dice, world).await,
            Self::RedisKills => {
                world.redis.kill();
                pause(dice, 0..1_500).await;
                tokio::task::block_in_place(|| world.redis.start_again())?;
                Ok(What::named("kill -9 of redis"))
            }
            Self::RedisFull => fill(dice, world, fleet).await,
            Self::Network => disturb(dice, fleet).await,
            Self::Storms => storm(dice, world).await,
            Self::S3 => refuse_assets(dice, fleet).await,
            Self::Clocks => jump(dice, fleet).await,
        }
    }
}

async fn stop(dice: &mut StdRng, fleet: &mut Fleet) -> Result<What> {
    let program = &mut any_member(dice, fleet)?.program;
    let mut listen = program.listen();
    let started = tokio::time::timeout(STOP_LIMIT, listen.wait_for(Option::is_some)).await;
    started.context("a program does not start")??;
    let since = Instant::now();
    program.terminate().await?;
    let status = program.ended(STOP_LIMIT).await?;
    let took = since.elapsed();
    if took > SLOW_STOP {
        println!("a stop took {took:?}:\n{}", program.log().tail(40));
    }
    ensure!(status.success(), "the {} ended with {status}", program.kind());
    program.start()?;
    Ok(What { exit: Some(took), ..What::named(format!("SIGTERM of {}", program.kind())) })
}

async fn stall(dice: &mut StdRng, world: &World) -> Result<What> {
    let time = Duration::from_millis(dice.random_range(200..5_000));
    let mut redis = fleet::redis(world).await?;
    if dice.random() {
        redis.ask(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "ALL"]).await?;
        // It is over when Redis answers.
        redis.ask(&["PING"]).await?;
        return Ok(What::named("redis stalls (paused)"));
    }
    let facts = redis.ask(&["INFO", "server"]).await?.text();
    let id = facts.lines().find_map(|line| line.strip_prefix("process_id:"));
    let id: u32 = id.context("redis does not tell its process")?.trim().parse()?;
    signal("STOP", id).await?;
    tokio::time::sleep(time).await;
    signal("CONT", id).await?;
    Ok(What::named("redis stalls (SIGSTOP)"))
}

async fn signal(name: &str, process: u32) -> Result<()> {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().await?;
    ensure!(status.success(), "kill ended with {status}");
    Ok(())
}

/// Redis may use less memory than it does already: every command that needs some is refused.
async fn fill(dice: &mut StdRng, world: &World, fleet: &Fleet) -> Result<What> {
    let mut redis = fleet::redis(world).await?;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).await?;
    let refused = async {
        for number in 0..REQUESTS_WHILE_FULL {
            let prompt = format!("asked {number} while redis was full {}", dice.random::<u32>());
            let status = fleet.client.order_once(&prompt).await?;
            ensure!(status.as_u16() == 503, "an order was answered with {status} while redis was full");
        }
        pause(dice, 0..2_000).await;
        Ok(())
    }
    .await;
    // A failure must not leave the full Redis behind, as its own report could then not be made.
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    refused?;
    Ok(What { refused: REQUESTS_WHILE_FULL, ..What::named("redis is full") })
}

async fn disturb(dice: &mut StdRng, fleet: &mut Fleet) -> Result<What> {
    let delay = Duration::from_millis(dice.random_range(20..400));
    let weathers = [Weather::Cut, Weather::Delayed(delay), Weather::HalfOpen, Weather::Torn];
    let weather = *weathers.choose(dice).context("no weather")?;
    let name = if dice.random_ratio(1, 8) {
        fleet.front.set(weather);
        format!("network {} between callers and api", weather.word())
    } else {
        let member = any_member(dice, fleet)?;
        let peers: &[Peer] = match member.program.kind() {
            Kind::Api => &[Peer::Redis, Peer::S3],
            Kind::Worker => &Peer::ALL,
            Kind::Poller => &[Peer::Redis, Peer::Provider],
        };
        let peer = *peers.choose(dice).context("no peer")?;
        member.link(peer).set(weather);
        format!("network {} between {} and {}", weather.word(), member.program.kind(), peer.word())
    };
    pause(dice, 200..3_000).await;
    fleet.clear_up();
    Ok(What::named(name))
}

async fn storm(dice: &mut StdRng, world: &World) -> Result<What> {
    let simulator = &world.around.simulator;
    let status = |code, retry_after_s, html| Fault::Status { code, retry_after_s, html, accepted: false };
    let faults = [
        ("429", status(429, Some(1), false)),
        ("500", status(500, None, false)),
        ("503", status(503, None, true)),
        ("lost answers", Fault::Lost),
        // Longer than the client waits.
        ("late answers", Fault::Late { delay: Duration::from_millis(6_500) }),
        ("resets", Fault::ResetBefore),
    ];
    let (word, fault) = faults.choose(dice).context("no faults")?.clone();
    for kind in [Request::Submit, Request::Status, Request::Result] {
        simulator.script(Rule::new(fault.clone()).kind(kind));
    }
    pause(dice, 500..3_000).await;
    simulator.clear_script();
    Ok(What::named(format!("provider storm of {word}")))
}

async fn refuse_assets(dice: &mut StdRng, fleet: &Fleet) -> Result<What> {
    let weather = *[Weather::SlowDown, Weather::Torn, Weather::Cut].choose(dice).context("no weather")?;
    fleet.members.iter().for_each(|member| member.link(Peer::S3).set(weather));
    pause(dice, 500..3_000).await;
    fleet.clear_up();
    Ok(What::named(format!("s3 {} for all", weather.word())))
}

async fn jump(dice: &mut StdRng, fleet: &mut Fleet) -> Result<What> {
    let member = any_member(dice, fleet)?;
    let clocks = ["+0", "+1h", "-1h"].into_iter().filter(|clock| *clock != member.usual_clock);
    let jump = clocks.choose(dice).context("no other clock")?;
    std::fs::write(&member.clock, jump)?;
    let name = format!("clock of {} jumps from {} to {jump}", member.program.kind(), member.usual_clock);
    pause(dice, 2_000..4_000).await;
    std::fs::write(&member.clock, member.usual_clock)?;
    Ok(What::named(name))
}

/// What makes a program read its clock from a file. Its monotonic clock stays true, as it does on a host whose clock is
/// set.
///
/// # Errors
/// When libfaketime is not there.
pub fn faketime(clock: &Path) -> Result<Vec<(String, String)>> {
    let library = faketime_library().context("libfaketime was not found: run `deploy/setup --tests`")?;
    let variables = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn faketime_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let mut places = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    places.find(|place| place.is_file())
}

fn any_member<'fleet>(dice: &mut StdRng, fleet: &'fleet mut Fleet) -> Result<&'fleet mut fleet::Member> {
    let number = dice.random_range(0..fleet.members.len());
    fleet.members.get_mut(number).context("no such member")
}

async fn pause(dice: &mut StdRng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(dice.random_range(millis))).await;
}
