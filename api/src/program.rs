//! The api's process: the one file of this crate that names adapters.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use atelier_domain::callback::CallbackSettings;
use atelier_domain::catalogue::CatalogueSettings;
use atelier_domain::foreign::Exceptions;
use atelier_domain::policy::Policy;
use atelier_domain::ports::{AssetManifests, AssetRecords, Telemetry, TimeSource as _};
use atelier_providers::{ProviderSettings, Registry};
use atelier_redis_store::{
    Redis, RedisAssetBook, RedisCostBook, RedisDocuments, RedisJobEvents, RedisJobStore, RedisPauses,
    RedisSpool, RedisStoreSettings, preflight,
};
use atelier_runtime::settings::{CONFIGURATION_PAGE, Problems, ShutdownSettings, TelemetrySettings};
use atelier_runtime::shutdown::Shutdown;
use atelier_s3_store::{S3Settings, S3Store};
use atelier_vault::{Vault, VaultSettings, keep_resealed};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{ApiParts, ApiSettings, ApiState, LargeBodies, Uploads, router, serve};

/// Everything an api can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where jobs are.
    pub redis: RedisStoreSettings,
    /// Where media are.
    pub s3: S3Settings,
    /// Spans and logs.
    pub telemetry: TelemetrySettings,
    /// How long the end may take.
    pub shutdown: ShutdownSettings,
    /// Whose callbacks are judged.
    pub providers: ProviderSettings,
    /// What follows from a callback.
    pub policy: Policy,
    /// What the operator changes of the catalogue.
    pub catalogue: CatalogueSettings,
    /// Whether and where providers may call.
    pub callbacks: CallbackSettings,
    /// `host:port` of inputs that are taken although they are not public. For development only.
    pub allow_hosts: Exceptions,
    /// What stored secrets are sealed with.
    pub vault: VaultSettings,
    /// The api itself.
    pub api: ApiSettings,
}

impl atelier_runtime::settings::Settings for Settings {
    fn validate(&self, problems: &mut Problems<'_>) {
        problems.within("telemetry", |problems| self.telemetry.validate(problems));
        problems.within_all("redis", self.redis.problems());
        problems.within_all("policy", self.policy.problems());
        problems.within_all("callbacks", self.callbacks.problems());
        problems.within_all("catalogue", self.catalogue.problems());
        problems.within_all("vault", self.vault.problems());
        for problem in self.providers.problems() {
            problems.report("providers", problem, CONFIGURATION_PAGE);
        }
        let found = self.api.problems().into_iter();
        problems.within_all("api", found.map(|(key, problem)| (key, problem, CONFIGURATION_PAGE)));
        if let Err(invalid) = self.s3.check() {
            problems.report("s3", invalid.problems.join("; "), CONFIGURATION_PAGE);
        }
    }
}

/// Serves until `shutdown`.
pub async fn run(
    settings: Settings,
    telemetry: Arc<dyn Telemetry>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let redis = Redis::open(settings.redis)?;
    let assets = S3Store::connect(settings.s3).await?;
    let stop = shutdown.token();
    let end = CancellationToken::new();
    let (jobs, listening) = RedisJobStore::start(redis.clone(), end.clone());
    let registry = Registry::new(&settings.providers, Exceptions::default())?;
    let documents = Arc::new(RedisDocuments::new(redis.clone()));
    let vault = Arc::new(Vault::new(&settings.vault));
    let (events, telling) = RedisJobEvents::start(redis.clone(), end.clone());
    let listener = TcpListener::bind(settings.api.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.api.listen))?;
    let uploads = Uploads::new(settings.api.uploads_at_once);
    let state = ApiState::new(ApiParts {
        jobs: Arc::new(jobs),
        events: Arc::new(events),
        pauses: Arc::new(RedisPauses::new(redis.clone())),
        costs: Arc::new(RedisCostBook::new(redis.clone())),
        assets: Arc::new(assets.clone()),
        asset_book: Arc::new(RedisAssetBook::new(redis.clone())),
        uploads: uploads.clone(),
        time: Arc::new(redis.time()),
        telemetry,
        catalogue: Arc::new(settings.catalogue.load()?),
        callbacks: settings.callbacks.addresses(),
        key_check: Arc::new(registry.key_check()),
        judge: Arc::new(registry),
        documents: documents.clone(),
        sealing: vault.clone(),
        spool: Arc::new(RedisSpool::new(redis.clone(), end.clone())),
        policy: Arc::new(settings.policy),
        large_bodies: LargeBodies::new(settings.api.large_bodies_bytes),
        keys: settings.api.api_keys.clone(),
        exceptions: Arc::new(settings.allow_hosts),
        settings: Arc::new(settings.api),
        draining: stop.clone(),
    });
    info!(listen = %listener.local_addr()?, "api started");
    // The api answers while Redis is away (503), so that its health can be asked; an unsafe Redis ends it.
    let checked = tokio::spawn({
        let (redis, stop, shutdown) = (redis.clone(), stop.clone(), shutdown.clone());
        async move {
            let outcome = preflight::wait(&redis, &stop).await;
            if outcome.is_err() {
                shutdown.begin();
            }
            outcome
        }
    });
    time_or_a_second(&redis).await;
    let resealing = tokio::spawn(keep_resealed(documents, vault, Arc::new(redis.time()), end.clone()));
    serve(listener, router(state), stop, settings.shutdown.grace()).await;
    uploads.close(settings.shutdown.grace()).await;
    end.cancel();
    assets.close().await;
    let _ = listening.await;
    resealing.await?;
    let _ = telling.await;
    checked.await??;
    info!("api ended");
    Ok(())
}

/// What a command about assets works on.
pub(crate) struct AssetStores {
    pub(crate) manifests: Box<dyn AssetManifests>,
    pub(crate) records: Box<dyn AssetRecords>,
}

impl AssetStores {
    /// Checks Redis, as a program does at its start.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let redis = Redis::open(settings.redis.clone())?;
        preflight::check(&redis).await?;
        let manifests = S3Store::connect(settings.s3.clone()).await?;
        Ok(Self { manifests: Box::new(manifests), records: Box::new(RedisAssetBook::new(redis)) })
    }
}

/// Waits for the common time. A Redis that answers tells it within milliseconds, and whoever calls at once need not be
/// refused; without one the api answers all the same, with 503.
async fn time_or_a_second(redis: &Redis) {
    let time = redis.time();
    let known = async {
        while !time.is_common() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), known).await;
}
