//! The programs of a scenario: an api, two workers and two pollers, each with a way of its own to each of its peers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use atelier_dev::stack::{BUCKET, WORKSPACE};
use atelier_domain::secret::Secret;
use atelier_redis_store::audit::{self, Audit};
use atelier_redis_store::{Redis, RedisStoreSettings};

use super::faults::faketime;
use crate::client::Client;
use crate::gate::Gate;
use crate::program::{Kind, Program};
use crate::resp::Resp;
use crate::wire::link::{Link, Weather};
use crate::world::{API_KEY, World};

/// Two of each but the api, whose callers know one address.
const MEMBERS: [Kind; 5] = [Kind::Api, Kind::Worker, Kind::Worker, Kind::Poller, Kind::Poller];
/// How wrong the clocks of their hosts are, where clocks are wrong.
const CLOCKS: [&str; MEMBERS.len()] = ["+0", "+1h", "-1h", "-1h", "+1h"];
const PROVIDERS: [(&str, &str); 6] = [
    ("elevenlabs", "elevenlabs"),
    ("deepgram", "deepgram"),
    ("fal", "fal"),
    ("replicate", "replicate"),
    ("stability", "stability"),
    ("runway", "runway"),
];

/// A peer of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Redis,
    Provider,
    S3,
}

impl Peer {
    pub const ALL: [Self; 3] = [Self::Redis, Self::Provider, Self::S3];

    pub fn word(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Provider => "providers",
            Self::S3 => "s3",
        }
    }
}

/// A program and its ways, in the order of [`Peer::ALL`].
pub struct Member {
    pub program: Program,
    links: [Link; 3],
    /// The file that says how wrong its clock is.
    pub clock: PathBuf,
    /// What it says while no fault is struck.
    pub usual_clock: &'static str,
}

impl Member {
    pub fn link(&self, peer: Peer) -> &Link {
        let [redis, provider, s3] = &self.links;
        match peer {
            Peer::Redis => redis,
            Peer::Provider => provider,
            Peer::S3 => s3,
        }
    }
}

/// All programs, started.
pub struct Fleet {
    pub members: Vec<Member>,
    /// Between the callers and the api.
    pub front: Link,
    pub client: Client,
    store: Redis,
}

impl Fleet {
    pub async fn start(world: &World, has_clocks: bool) -> Result<Self> {
        let mut links = Vec::new();
        for _ in MEMBERS {
            links.push([
                Link::to(world.redis_address()?).await?,
                Link::to(world.around.simulator.address()).await?,
                Link::to(world.around.s3.address()).await?,
            ]);
        }
        // Whoever asks a provider is given links that lead the same way; a worker follows those of a poller.
        let hosts: Vec<SocketAddr> = links.iter().map(|[_, provider, _]| provider.address).collect();
        let mut members = Vec::new();
        for (number, (kind, links)) in MEMBERS.into_iter().zip(links).enumerate() {
            let peers = [links[0].address, links[1].address, links[2].address];
            let config = world.folder.path().join(format!("{kind}-{number}.toml"));
            std::fs::write(&config, settings(world, kind, peers, &hosts)?)?;
            let clock = world.folder.path().join(format!("{kind}-{number}.clock"));
            let usual_clock = CLOCKS[number];
            std::fs::write(&clock, usual_clock)?;
            let mut program = Program::new(kind, &world.programs, config, Arc::new(Gate::new()));
            if has_clocks {
                program = program.with_environment(faketime(&clock)?);
            }
            program.start()?;
            members.push(Member { program, links, clock, usual_clock });
        }
        let api = members.first().context("no api")?;
        let front = Link::open(api.program.listen()).await?;
        let client = Client::new(format!("http://{}", front.address))?;
        let url = Secret::new(world.redis.url());
        let store = Redis::open(RedisStoreSettings { url, ..RedisStoreSettings::default() })?;
        Ok(Self { members, front, client, store })
    }

    /// A clear network everywhere.
    pub fn clear_up(&self) {
        self.front.set(Weather::Clear);
        self.members.iter().flat_map(|member| &member.links).for_each(|link| link.set(Weather::Clear));
    }

    /// Every record and queue.
    pub async fn audit(&self) -> Result<Audit> {
        Ok(audit::run(&self.store).await?)
    }

    /// Every record and queue, once nothing is left in the queues; the caller sets the limit.
    pub async fn at_rest(&self) -> Result<Audit> {
        loop {
            let audit = audit::run(&self.store).await?;
            if audit.messages == 0 {
                return Ok(audit);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills what runs; an error when something had ended by itself.
    pub async fn stop(mut self) -> Result<()> {
        for member in &mut self.members {
            member.program.kill().await?;
        }
        Ok(())
    }

    /// The last lines of every program's log.
    pub fn logs(&self) -> String {
        self.members.iter().fold(String::new(), |text, member| text + &member.program.log().tail(15))
    }
}

/// A connection to the scenario's Redis that no fault of the network reaches.
pub async fn redis(world: &World) -> Result<Resp> {
    Resp::connect(world.redis_address()?).await
}

/// One settings file, as an operator would write it for a quick provider: short times, and more tries than production
/// has, so that it is the fault's end that ends a wait, not the patience of the policy.
fn settings(world: &World, kind: Kind, peers: [SocketAddr; 3], hosts: &[SocketAddr]) -> Result<String> {
    let [redis, provider, s3] = peers;
    let store = &world.around.worker.s3;
    let (key, secret) = (store.access_key.as_deref(), store.secret_key.as_ref().map(Secret::expose));
    let (key, secret) = (key.context("no S3 key")?, secret.context("no S3 secret")?);
    let mut text = String::new();
    if kind == Kind::Worker {
        text += &format!("allow_hosts = {:?}\n", hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    text += &format!(
        "[redis]\nurl = \"redis://{redis}/0\"\nlease_ms = 3000\ncommand_timeout_ms = 2000\n\
         connect_timeout_ms = 1000\n\
         [shutdown]\ngrace_ms = 8000\n\
         [telemetry]\nlog_filter = \"info,atelier_api::observe=warn\"\n"
    );
    if kind != Kind::Poller {
        text += &format!(
            "[s3]\nendpoint = \"http://{s3}\"\npublic_endpoint = \"{}\"\nbucket = \"{BUCKET}\"\n\
             access_key = \"{key}\"\nsecret_key = \"{secret}\"\n\
             connect_timeout_ms = 1000\ncall_timeout_ms = 4000\ntransfer_timeout_ms = 5000\n",
            world.around.s3.base_url()
        );
    }
    if kind != Kind::Api {
        text += "[policy.retry]\nbase_ms = 50\ncap_ms = 300\nmax_failures = 1000\nmax_attempts = 1000\n\
                 [providers.transport]\nconnect_timeout_ms = 1000\nmedia_idle_timeout_ms = 4000\n";
        let limits = "submit_timeout_ms = 6000\ncheck_timeout_ms = 3000\nabandon_timeout_ms = 3000\n";
        for (name, path) in PROVIDERS {
            text += &format!("[providers.{name}]\nbase_url = \"http://{provider}/{path}\"\n{limits}");
        }
        text += &format!(
            "[providers.luma]\nbase_url = \"http://{provider}/luma/dream-machine/v1\"\n{limits}\
             [providers.luma.options]\nagents_base_url = \"http://{provider}/luma/agents/v1\"\n\
             [provider_keys]\nluma = \"simulated\"\n"
        );
        PROVIDERS.iter().for_each(|(name, _)| text += &format!("{name} = \"simulated\"\n"));
        for (name, _) in PROVIDERS.iter().chain([&("luma", "")]) {
            text += &format!("[policy.polling_by.{name}]\ninterval_ms = 200\nmax_checks = 1000\n");
        }
    }
    text += &match kind {
        Kind::Api => {
            format!("[api]\nlisten = \"127.0.0.1:0\"\n[api.api_keys]\n{API_KEY} = \"{WORKSPACE}\"\n")
        }
        Kind::Worker => "[worker]\nlisten = \"127.0.0.1:0\"\nsubmit = 8\n".to_owned(),
        Kind::Poller => "[poller]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
    };
    Ok(text)
}
