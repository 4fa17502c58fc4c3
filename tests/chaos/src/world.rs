//! What surrounds the programs, and a set of the three programs within it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use atelier_dev::redis_server::RedisServer;
use atelier_dev::stack::{BUCKET, StackOptions, Surroundings, WORKSPACE};
use atelier_domain::job::Job;
use atelier_domain::secret::Secret;
use atelier_redis_store::audit::{self, Audit};
use atelier_redis_store::{Redis, RedisStoreSettings};
use atelier_simulator::{Journal, Timing};
use tempfile::TempDir;

use crate::client::Client;
use crate::gate::Gate;
use crate::leftovers;
use crate::program::{Kind, Program, folder_of_programs};
use crate::wire::{self, Proxy};

/// Of the only caller.
pub const API_KEY: &str = "chaos";

/// Simulator, S3 and Redis, in this process or started by it.
pub struct World {
    pub redis: RedisServer,
    pub(crate) around: Surroundings,
    pub(crate) folder: TempDir,
    pub(crate) programs: PathBuf,
}

/// What differs between tests.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    pub lease_ms: u64,
    pub grace_ms: u64,
    /// Paid calls at once in one worker.
    pub submits: usize,
}

impl World {
    pub async fn start(timing: Timing) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("atelier-chaos-").tempdir()?;
        let options = StackOptions { timing, ..StackOptions::in_folder(folder.path().join("stack")) };
        let mut around = Surroundings::start(&options).await?;
        let redis = around.redis.take().context("the surroundings have a Redis of their own")?;
        Ok(Self { redis, around, folder, programs: folder_of_programs()? })
    }

    /// What the providers saw.
    pub fn journal(&self) -> Journal {
        self.around.simulator.journal()
    }

    /// Keys of a database that never go away although their job has ended.
    pub async fn endless_keys(&self, db: u8) -> Result<Vec<String>> {
        leftovers::endless_keys(self.redis_address()?, db).await
    }

    /// Files of the asset store that belong to no job of `succeeded`, or are more or fewer than a job has.
    pub fn wrong_files(&self, succeeded: &HashSet<String>) -> Result<Vec<String>> {
        leftovers::wrong_files(&self.folder.path().join("stack/s3").join(BUCKET), succeeded)
    }

    /// Ends the servers.
    pub async fn stop(self) {
        self.around.stop().await;
        drop(self.redis);
    }

    /// The three programs on database `db` of the Redis, each behind proxies of its own; not started.
    pub async fn crew(&self, db: u8, tuning: Tuning) -> Result<Crew> {
        let mut programs = Vec::new();
        let mut proxies = Vec::new();
        // Links that a poller is given lead through the worker's proxy: the worker follows them.
        let mut media_host = None;
        for kind in Kind::ALL {
            let gate = Arc::new(Gate::new());
            let redis = wire::redis::open(self.redis_address()?, gate.clone()).await?;
            let simulator = self.around.simulator.address();
            let provider = wire::http::open_as("provider", simulator, media_host, gate.clone()).await?;
            media_host.get_or_insert(provider.address);
            let s3 = wire::http::open("s3", self.around.s3.address(), gate.clone()).await?;
            let text = self.config(kind, db, tuning, [&redis, &provider, &s3])?;
            let config = self.folder.path().join(format!("{kind}-{db}.toml"));
            std::fs::write(&config, text)?;
            programs.push(Program::new(kind, &self.programs, config, gate));
            proxies.extend([redis, provider, s3]);
        }
        let api = programs.iter().find(|program| program.kind() == Kind::Api).context("no api")?;
        let front = wire::front::open(api.listen(), api.gate().clone()).await?;
        let client = Client::new(format!("http://{}", front.address))?;
        proxies.push(front);
        let url = Secret::new(format!("{}{db}", self.redis.url().trim_end_matches('0')));
        let store = Redis::open(RedisStoreSettings { url, ..RedisStoreSettings::default() })?;
        Ok(Crew { programs, client, store, _proxies: proxies })
    }

    pub(crate) fn redis_address(&self) -> Result<SocketAddr> {
        let url = self.redis.url();
        let authority = url.trim_start_matches("redis://").split('/').next().context("no host in the URL")?;
        Ok(authority.parse()?)
    }

    /// One settings file, as an operator would write it: short times, and every peer behind a proxy.
    fn config(&self, kind: Kind, db: u8, tuning: Tuning, peers: [&Proxy; 3]) -> Result<String> {
        let [redis, provider, s3] = peers.map(|proxy| proxy.address);
        let Tuning { lease_ms, grace_ms, submits } = tuning;
        let store = &self.around.worker.s3;
        let (key, secret) = (store.access_key.as_deref(), store.secret_key.as_ref().map(Secret::expose));
        let (key, secret) = (key.context("no S3 key")?, secret.context("no S3 secret")?);
        let mut text = String::new();
        if kind == Kind::Worker {
            text += &format!("allow_hosts = [\"{provider}\"]\n");
        }
        text += &format!(
            "[redis]\nurl = \"redis://{redis}/{db}\"\nlease_ms = {lease_ms}\n\
             [shutdown]\ngrace_ms = {grace_ms}\n\
             [telemetry]\nlog_filter = \"info,atelier_api::observe=warn\"\n"
        );
        if kind != Kind::Poller {
            text += &format!(
                "[s3]\nendpoint = \"http://{s3}\"\npublic_endpoint = \"{}\"\nbucket = \"{BUCKET}\"\n\
                 access_key = \"{key}\"\nsecret_key = \"{secret}\"\n",
                self.around.s3.base_url()
            );
        }
        if kind != Kind::Api {
            text += &format!(
                "[policy.polling]\ninterval_ms = 100\n[policy.retry]\nbase_ms = 50\ncap_ms = 300\n\
                 [providers.elevenlabs]\nbase_url = \"http://{provider}/elevenlabs\"\n\
                 [providers.runway]\nbase_url = \"http://{provider}/runway\"\n\
                 [provider_keys]\nelevenlabs = \"simulated\"\nrunway = \"simulated\"\n"
            );
        }
        text += &match kind {
            Kind::Api => {
                format!("[api]\nlisten = \"127.0.0.1:0\"\n[api.api_keys]\n{API_KEY} = \"{WORKSPACE}\"\n")
            }
            Kind::Worker => format!("[worker]\nlisten = \"127.0.0.1:0\"\nsubmit = {submits}\n"),
            Kind::Poller => "[poller]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
        };
        Ok(text)
    }
}

/// The three programs, their caller, and a look into their records.
pub struct Crew {
    pub programs: Vec<Program>,
    pub client: Client,
    store: Redis,
    _proxies: Vec<Proxy>,
}

impl Crew {
    pub fn program(&mut self, kind: Kind) -> Result<&mut Program> {
        self.programs.iter_mut().find(|program| program.kind() == kind).context("no such program")
    }

    pub fn start_all(&mut self) -> Result<()> {
        self.programs.iter_mut().try_for_each(Program::start)
    }

    /// Kills what runs; an error when something had ended by itself.
    pub async fn stop(mut self) -> Result<()> {
        for program in &mut self.programs {
            program.kill().await?;
        }
        Ok(())
    }

    /// Every record and queue.
    pub async fn audit(&self) -> Result<Audit> {
        Ok(audit::run(&self.store).await?)
    }

    /// The same, once no message is left; the caller sets the limit.
    pub async fn quiet(&self) -> Result<Audit> {
        loop {
            let audit = self.audit().await?;
            if audit.messages == 0 {
                return Ok(audit);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The job with this prompt, if it was admitted.
    pub async fn job(&self, prompt: &str) -> Result<Option<Job>> {
        let jobs = self.audit().await?.jobs;
        let mut found = jobs.into_iter().filter(|job| job.body.spec.prompt.as_deref() == Some(prompt));
        let job = found.next();
        ensure!(found.next().is_none(), "two jobs have the prompt `{prompt}`");
        Ok(job)
    }

    /// The last lines of every program's log.
    pub fn logs(&self) -> String {
        let tails = self.programs.iter().map(|program| program.log().tail(25));
        tails.fold(String::new(), |text, tail| text + &tail)
    }
}
