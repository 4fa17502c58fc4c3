//! The worker's process: the one file of this crate that names adapters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use atelier_domain::callback::CallbackSettings;
use atelier_domain::catalogue::CatalogueSettings;
use atelier_domain::foreign::Exceptions;
use atelier_domain::operation::Provider;
use atelier_domain::policy::Policy;
use atelier_domain::ports::{AssetStore, JobStore, StepHandler, Telemetry};
use atelier_domain::secret::Secret;
use atelier_providers::{FetchSettings, GuardedFetcher, ProviderSettings, Registry};
use atelier_redis_store::{
    ControlOptions, Redis, RedisDocuments, RedisJobStore, RedisSpool, RedisStoreSettings, RunnerOptions,
    preflight, run_control, run_queue,
};
use atelier_runtime::health::Health;
use atelier_runtime::settings::{CONFIGURATION_PAGE, Problems, ShutdownSettings, TelemetrySettings};
use atelier_runtime::shutdown::Shutdown;
use atelier_s3_store::{S3Settings, S3Store};
use atelier_vault::{Keyring, StoredCredentials, VaultSettings};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::settings::WorkerSettings;
use crate::{STEPS, Worker};

/// Everything a worker can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where jobs are.
    pub redis: RedisStoreSettings,
    /// Where media go.
    pub s3: S3Settings,
    /// Where providers are.
    pub providers: ProviderSettings,
    /// How foreign files are read.
    pub fetch: FetchSettings,
    /// What to do next.
    pub policy: Policy,
    /// Spans and logs.
    pub telemetry: TelemetrySettings,
    /// How long the end may take.
    pub shutdown: ShutdownSettings,
    /// Keys by provider, for workspaces that have stored none.
    pub provider_keys: BTreeMap<Provider, Secret<String>>,
    /// What stored secrets are sealed with.
    pub vault: VaultSettings,
    /// `host:port` of files that may be read although they are not public. For development only.
    pub allow_hosts: Exceptions,
    /// What the operator changes of the catalogue.
    pub catalogue: CatalogueSettings,
    /// Whether and where providers may call.
    pub callbacks: CallbackSettings,
    /// How much is done at once.
    pub worker: WorkerSettings,
}

impl atelier_runtime::settings::Settings for Settings {
    fn validate(&self, problems: &mut Problems<'_>) {
        problems.within("telemetry", |problems| self.telemetry.validate(problems));
        problems.within_all("policy", self.policy.problems());
        for problem in self.providers.problems() {
            problems.report("providers", problem, CONFIGURATION_PAGE);
        }
        problems.within_all("redis", self.redis.problems());
        problems.within_all("callbacks", self.callbacks.problems());
        problems.within_all("catalogue", self.catalogue.problems());
        problems.within_all("vault", self.vault.problems());
        problems.within("worker", |problems| {
            for name in self.worker.zeros() {
                problems.report(name, "0 would do nothing", "at least 1 would be right");
            }
        });
        if let Err(invalid) = self.s3.check() {
            problems.report("s3", invalid.problems.join("; "), CONFIGURATION_PAGE);
        }
    }
}

/// Runs a worker until `shutdown`, then drains it.
pub async fn run(
    settings: Settings,
    telemetry: Arc<dyn Telemetry>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let redis = Redis::open(settings.redis.clone())?;
    let assets = S3Store::connect(settings.s3.clone()).await?;
    let stop = shutdown.token();
    // Paid bytes may still be on their way into the spool while steps drain.
    let end = CancellationToken::new();
    let (jobs, listening) = RedisJobStore::start(redis.clone(), end.clone());
    let catalogue = settings.catalogue.load()?;
    let (advised, result_lifetimes) = (catalogue.polling_overrides(), catalogue.result_lifetimes());
    let policy = Arc::new(Policy { advised, result_lifetimes, ..settings.policy });
    let worker: Arc<dyn StepHandler> = Arc::new(Worker {
        policy: policy.clone(),
        providers: Arc::new(Registry::new(&settings.providers, settings.allow_hosts.clone())?),
        credentials: Arc::new(StoredCredentials::new(
            Arc::new(RedisDocuments::new(redis.clone())),
            &settings.vault,
            Keyring::new(settings.provider_keys),
        )),
        fetcher: Arc::new(GuardedFetcher::new(settings.fetch, settings.allow_hosts.clone())?),
        assets: Arc::new(assets.clone()),
        spool: Arc::new(RedisSpool::new(redis.clone(), end.clone())),
        jobs: Arc::new(jobs.clone()),
        callbacks: settings.callbacks.addresses(),
        exceptions: settings.allow_hosts,
        time: Arc::new(redis.time()),
        stopping: stop.clone(),
        telemetry: telemetry.clone(),
    });
    let listener = TcpListener::bind(settings.worker.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.worker.listen))?;
    info!(listen = %listener.local_addr()?, "worker started");
    let health = health(stop.clone(), jobs, assets.clone());
    let serving = tokio::spawn(health.serve(listener, end.clone()));

    preflight::wait(&redis, &stop).await?;
    let mut queues = JoinSet::new();
    for step in STEPS {
        let options = RunnerOptions {
            step,
            concurrency: settings.worker.concurrency_of(step),
            grace: settings.shutdown.grace(),
        };
        let (redis, policy, telemetry) = (redis.clone(), policy.clone(), telemetry.clone());
        queues.spawn(run_queue(redis, policy, telemetry, worker.clone(), options, stop.clone()));
    }
    let housekeeping = ControlOptions { grace: settings.shutdown.grace(), ..ControlOptions::default() };
    queues.spawn(run_control(redis, Arc::new(assets.clone()), housekeeping, stop));
    queues.join_all().await;
    end.cancel();
    assets.close().await;
    let _ = listening.await;
    serving.await??;
    info!("worker ended");
    Ok(())
}

fn health(stopping: CancellationToken, jobs: RedisJobStore, assets: S3Store) -> Health {
    let limit = Duration::from_secs(2);
    Health::new(stopping)
        .check("redis", limit, move || {
            let jobs = jobs.clone();
            async move { jobs.ready().await }
        })
        .check("s3", limit, move || {
            let assets = assets.clone();
            async move { assets.ready().await }
        })
}
