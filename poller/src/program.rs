//! The poller's process: the one file of this crate that names adapters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use atelier_domain::catalogue::CatalogueSettings;
use atelier_domain::foreign::Exceptions;
use atelier_domain::operation::{Provider, Step};
use atelier_domain::policy::Policy;
use atelier_domain::ports::{JobStore, StepHandler, Telemetry};
use atelier_domain::secret::Secret;
use atelier_providers::{ProviderSettings, Registry};
use atelier_redis_store::{
    Clock, ControlQueue, Redis, RedisDocuments, RedisJobStore, RedisSpool, RedisStoreSettings, RunnerOptions,
    preflight, run_queue,
};
use atelier_runtime::health::Health;
use atelier_runtime::settings::{CONFIGURATION_PAGE, Problems, ShutdownSettings, TelemetrySettings};
use atelier_runtime::shutdown::Shutdown;
use atelier_vault::{Keyring, StoredCredentials, VaultSettings};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::Poller;
use crate::settings::PollerSettings;

/// Everything a poller can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where jobs are.
    pub redis: RedisStoreSettings,
    /// Where providers are.
    pub providers: ProviderSettings,
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
    /// What the operator changes of the catalogue.
    pub catalogue: CatalogueSettings,
    /// How much is done at once.
    pub poller: PollerSettings,
}

impl atelier_runtime::settings::Settings for Settings {
    fn validate(&self, problems: &mut Problems<'_>) {
        problems.within("telemetry", |problems| self.telemetry.validate(problems));
        problems.within_all("policy", self.policy.problems());
        for problem in self.providers.problems() {
            problems.report("providers", problem, CONFIGURATION_PAGE);
        }
        problems.within_all("redis", self.redis.problems());
        problems.within_all("catalogue", self.catalogue.problems());
        problems.within_all("vault", self.vault.problems());
        problems.within("poller", |problems| {
            for (name, value) in [("threads", self.poller.threads), ("checks", self.poller.checks)] {
                if value == 0 {
                    problems.report(name, "0 would check nothing", "at least 1 would be right");
                }
            }
        });
    }
}

/// Runs a poller and its clock until `shutdown`.
pub async fn run(
    settings: Settings,
    telemetry: Arc<dyn Telemetry>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let redis = Redis::open(settings.redis.clone())?;
    let stop = shutdown.token();
    let end = CancellationToken::new();
    let (jobs, listening) = RedisJobStore::start(redis.clone(), end.clone());
    let catalogue = settings.catalogue.load()?;
    let (advised, result_lifetimes) = (catalogue.polling_overrides(), catalogue.result_lifetimes());
    let policy = Arc::new(Policy { advised, result_lifetimes, ..settings.policy });
    let poller: Arc<dyn StepHandler> = Arc::new(Poller {
        policy: policy.clone(),
        providers: Arc::new(Registry::new(&settings.providers, Exceptions::default())?),
        credentials: Arc::new(StoredCredentials::new(
            Arc::new(RedisDocuments::new(redis.clone())),
            &settings.vault,
            Keyring::new(settings.provider_keys),
        )),
        spool: Arc::new(RedisSpool::new(redis.clone(), end.clone())),
        time: Arc::new(redis.time()),
        telemetry: telemetry.clone(),
    });
    let listener = TcpListener::bind(settings.poller.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.poller.listen))?;
    info!(listen = %listener.local_addr()?, "poller started");
    let health = Health::new(stop.clone()).check("redis", Duration::from_secs(2), move || {
        let jobs = jobs.clone();
        async move { jobs.ready().await }
    });
    let serving = tokio::spawn(health.serve(listener, end.clone()));

    preflight::wait(&redis, &stop).await?;
    // Neither is to hold up the end while Redis does not answer: what they were doing, another poller does.
    let clock = Clock::new(redis.clone()).run(stop.clone());
    let clock = tokio::spawn(stop.clone().run_until_cancelled_owned(clock));
    let housekeeping = ControlQueue::new(redis.clone()).schedule(stop.clone());
    let housekeeping = tokio::spawn(stop.clone().run_until_cancelled_owned(housekeeping));
    let options = RunnerOptions {
        step: Step::Check,
        concurrency: settings.poller.checks,
        grace: settings.shutdown.grace(),
    };
    run_queue(redis, policy, telemetry, poller, options, stop).await;
    clock.await?;
    housekeeping.await?;
    end.cancel();
    let _ = listening.await;
    serving.await??;
    info!("poller ended");
    Ok(())
}
