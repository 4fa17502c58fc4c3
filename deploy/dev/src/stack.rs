//! Everything in one process, wired as the three programs wire themselves.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use atelier_api::ApiKeys;
use atelier_domain::callback::CallbackSettings;
use atelier_domain::catalogue::CatalogueSettings;
use atelier_domain::foreign::Exceptions;
use atelier_domain::operation::Provider;
use atelier_domain::policy::{Policy, Polling, Retry};
use atelier_domain::ports::Telemetry;
use atelier_domain::secret::Secret;
use atelier_providers::ProviderSettings;
use atelier_redis_store::RedisStoreSettings;
use atelier_runtime::settings::ShutdownSettings;
use atelier_runtime::shutdown::Shutdown;
use atelier_s3_store::{S3Settings, S3Store};
use atelier_simulator::{Simulator, Timing};
use atelier_vault::{MasterKeys, VaultSettings, new_master_key};
use tokio::task::JoinSet;

use crate::embedded_s3::{self, EmbeddedS3, EmbeddedS3Options};
use crate::redis_server::RedisServer;

/// The bucket of the stack's S3 server.
pub const BUCKET: &str = "atelier";
/// The workspace of the stack's API key.
pub const WORKSPACE: &str = "demo";
/// Credentials of the stack's S3 server: it listens on this machine only.
const S3_KEY: (&str, &str) = ("atelier-dev", "atelier-dev-secret");

/// What the stack's callback addresses are made with: the api listens on this machine only.
const CALLBACK_SECRET: &str = "the development stack's callback secret";

/// How a stack is started.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Where Redis and S3 keep their files.
    pub folder: PathBuf,
    /// Where the api listens; port 0 takes a free one.
    pub api: SocketAddr,
    /// Where the simulator listens.
    pub simulator: SocketAddr,
    /// Where the S3 server listens.
    pub s3: SocketAddr,
    /// The API key.
    pub key: String,
    /// A Redis to use instead of one of our own.
    pub redis_url: Option<String>,
    /// Keys of providers that are to be called for real; all others are simulated.
    pub real_keys: BTreeMap<Provider, Secret<String>>,
    /// How long the simulated work takes.
    pub timing: Timing,
    /// How often, how long, how many times.
    pub policy: Policy,
    /// Lease of a claim.
    pub lease: Duration,
    /// Whether the simulated providers are told to call the api when their work has ended.
    pub has_callbacks: bool,
    /// Whether Deepgram's transcripts come by callback.
    pub deepgram_calls_back: bool,
    /// What an operator would change of the catalogue.
    pub catalogue: CatalogueSettings,
}

impl StackOptions {
    /// Free ports, simulated providers, one check a second.
    pub fn in_folder(folder: PathBuf) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            folder,
            api: free,
            simulator: free,
            s3: free,
            key: "demo".to_owned(),
            redis_url: None,
            real_keys: BTreeMap::new(),
            timing: Timing::default(),
            policy: Policy {
                polling: Polling { interval_ms: 1_000, ..Polling::default() },
                polling_by: by_provider(Polling { interval_ms: 1_000, ..Polling::default() }),
                retry: Retry { base_ms: 200, cap_ms: 5_000, ..Retry::default() },
                ..Policy::default()
            },
            lease: Duration::from_secs(10),
            has_callbacks: false,
            deepgram_calls_back: false,
            catalogue: CatalogueSettings::default(),
        }
    }
}

/// The telemetry of each service.
#[derive(Clone)]
pub struct Services {
    /// The api's.
    pub api: Arc<dyn Telemetry>,
    /// The worker's.
    pub worker: Arc<dyn Telemetry>,
    /// The poller's.
    pub poller: Arc<dyn Telemetry>,
}

/// The servers that the three programs need, and the settings that lead there.
pub struct Surroundings {
    /// The providers.
    pub simulator: Simulator,
    /// The store of assets.
    pub s3: EmbeddedS3,
    /// The store of jobs, unless it is somebody else's.
    pub redis: Option<RedisServer>,
    /// Settings of an api here.
    pub api: atelier_api::program::Settings,
    /// Settings of a worker here.
    pub worker: atelier_worker::program::Settings,
    /// Settings of a poller here.
    pub poller: atelier_poller::program::Settings,
}

impl Surroundings {
    /// Starts simulator, S3 and Redis, and prepares the settings of the programs.
    pub async fn start(options: &StackOptions) -> Result<Self> {
        std::fs::create_dir_all(&options.folder)
            .with_context(|| format!("cannot make {}", options.folder.display()))?;
        let simulator = atelier_simulator::start(atelier_simulator::Options {
            listen: options.simulator,
            timing: options.timing,
            // The S3 server of the stack signs its URLs for this machine.
            allow_loopback_http_images: true,
            ..atelier_simulator::Options::default()
        })
        .await?;
        let s3 = embedded_s3::start(EmbeddedS3Options {
            listen: options.s3,
            folder: options.folder.join("s3"),
            access_key: S3_KEY.0.to_owned(),
            secret_key: S3_KEY.1.to_owned(),
            bucket: BUCKET.to_owned(),
        })
        .await?;
        let (redis, redis_url) = match &options.redis_url {
            Some(url) => (None, url.clone()),
            None => {
                let server = RedisServer::start(&options.folder.join("redis"), true)?;
                let url = server.url();
                (Some(server), url)
            }
        };
        let redis_settings = RedisStoreSettings {
            url: Secret::new(redis_url),
            lease_ms: u64::try_from(options.lease.as_millis())?,
            ..RedisStoreSettings::default()
        };
        let s3_settings = S3Settings {
            endpoint: Some(s3.base_url()),
            bucket: BUCKET.to_owned(),
            access_key: Some(S3_KEY.0.to_owned()),
            secret_key: Some(Secret::new(S3_KEY.1.to_owned())),
            ..S3Settings::default()
        };
        let allow_hosts = Exceptions::new([simulator.address().to_string(), s3.address().to_string()]);
        // The programs open their listeners themselves, so a free port must be known before.
        let api = if options.api.port() == 0 { free_address()? } else { options.api };
        let callbacks = CallbackSettings {
            public_base_url: options.has_callbacks.then(|| format!("http://{api}")),
            secret: options.has_callbacks.then(|| Secret::new(CALLBACK_SECRET.to_owned())),
        };
        let providers = simulated(&simulator, options);
        let provider_keys = keys(options);
        let vault = vault(&options.folder)?;
        let shutdown = ShutdownSettings { grace_ms: 5_000 };
        Ok(Self {
            api: atelier_api::program::Settings {
                redis: redis_settings.clone(),
                s3: s3_settings.clone(),
                shutdown: shutdown.clone(),
                allow_hosts: allow_hosts.clone(),
                providers: providers.clone(),
                policy: options.policy.clone(),
                catalogue: options.catalogue.clone(),
                callbacks: callbacks.clone(),
                vault: vault.clone(),
                api: atelier_api::ApiSettings {
                    listen: api,
                    api_keys: ApiKeys::new([(options.key.as_str(), WORKSPACE)])?,
                    ..atelier_api::ApiSettings::default()
                },
                ..atelier_api::program::Settings::default()
            },
            worker: atelier_worker::program::Settings {
                redis: redis_settings.clone(),
                s3: s3_settings,
                providers: providers.clone(),
                policy: options.policy.clone(),
                shutdown: shutdown.clone(),
                provider_keys: provider_keys.clone(),
                allow_hosts,
                catalogue: options.catalogue.clone(),
                callbacks,
                vault: vault.clone(),
                worker: atelier_worker::settings::WorkerSettings {
                    listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                    ..atelier_worker::settings::WorkerSettings::default()
                },
                ..atelier_worker::program::Settings::default()
            },
            poller: atelier_poller::program::Settings {
                redis: redis_settings,
                providers,
                policy: options.policy.clone(),
                shutdown,
                provider_keys,
                catalogue: options.catalogue.clone(),
                vault,
                poller: atelier_poller::settings::PollerSettings {
                    listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                    ..atelier_poller::settings::PollerSettings::default()
                },
                ..atelier_poller::program::Settings::default()
            },
            simulator,
            s3,
            redis,
        })
    }

    /// Stops what was started; the programs must have ended before.
    pub async fn stop(self) {
        self.simulator.stop().await;
        self.s3.stop().await;
        drop(self.redis);
    }
}

/// The vault of a folder: its master key stays there, as what it has sealed does.
fn vault(folder: &Path) -> Result<VaultSettings> {
    let file = folder.join("master-keys");
    if !file.exists() {
        let mut options = std::fs::OpenOptions::new();
        options.create_new(true).write(true).mode(0o600);
        let mut file = options.open(&file).with_context(|| format!("cannot make {}", file.display()))?;
        writeln!(file, "dev={}", new_master_key())?;
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(VaultSettings {
        master_keys: MasterKeys::from_text(&text)?,
        // Somebody tries it out: a changed key counts at once.
        cache_ms: Some(100),
        ..VaultSettings::default()
    })
}

/// The whole stack, running.
pub struct Stack {
    /// `http://ip:port` of the api.
    pub api_url: String,
    /// The servers around it.
    pub around: Surroundings,
    shutdown: Shutdown,
    programs: JoinSet<Result<()>>,
}

impl Stack {
    /// Starts everything. The api answers when this returns.
    pub async fn start(options: &StackOptions, services: &Services) -> Result<Self> {
        let around = Surroundings::start(options).await?;
        S3Store::connect(around.api.s3.clone()).await?.ensure_bucket().await?;
        let shutdown = Shutdown::manual(around.worker.shutdown.grace());
        let mut programs = JoinSet::new();
        programs.spawn(atelier_api::program::run(around.api.clone(), services.api.clone(), shutdown.clone()));
        programs.spawn(atelier_worker::program::run(
            around.worker.clone(),
            services.worker.clone(),
            shutdown.clone(),
        ));
        programs.spawn(atelier_poller::program::run(
            around.poller.clone(),
            services.poller.clone(),
            shutdown.clone(),
        ));
        let api_url = format!("http://{}", around.api.api.listen);
        let mut stack = Self { api_url, around, shutdown, programs };
        stack.wait_until_ready().await?;
        Ok(stack)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let client = reqwest::Client::new();
        let ready = format!("{}/readyz", self.api_url);
        let is_ready = async {
            loop {
                if client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = is_ready => Ok(()),
            ended = self.programs.join_next() => {
                ended.context("no program is running")???;
                anyhow::bail!("a program ended while the stack was starting")
            }
            () = tokio::time::sleep(Duration::from_secs(30)) => anyhow::bail!("the api is not ready after 30 s"),
        }
    }

    /// Stops the programs in order, then the servers.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.begin();
        while let Some(ended) = self.programs.join_next().await {
            ended??;
        }
        self.around.stop().await;
        Ok(())
    }
}

/// An address of this machine with a port that is free now.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// These limits for every provider, in place of what the catalogue advises.
pub fn by_provider(polling: Polling) -> BTreeMap<String, Polling> {
    Provider::ALL.iter().map(|provider| (provider.to_string(), polling)).collect()
}

fn simulated(simulator: &Simulator, options: &StackOptions) -> ProviderSettings {
    let base = |provider: Provider, path: &str| {
        let is_real = options.real_keys.contains_key(&provider);
        (!is_real).then(|| format!("{}/{path}", simulator.base_url()))
    };
    let mut settings = ProviderSettings::default();
    settings.elevenlabs.base_url = base(Provider::ElevenLabs, "elevenlabs");
    settings.deepgram.base_url = base(Provider::Deepgram, "deepgram");
    settings.deepgram.options.use_callback = options.deepgram_calls_back;
    settings.fal.base_url = base(Provider::Fal, "fal");
    settings.replicate.base_url = base(Provider::Replicate, "replicate");
    settings.stability.base_url = base(Provider::Stability, "stability");
    settings.runway.base_url = base(Provider::Runway, "runway");
    // Pika's models are hosted by Fal.
    settings.pika.base_url = base(Provider::Pika, "fal");
    settings.luma.base_url = base(Provider::Luma, "luma/dream-machine/v1");
    settings.luma.options.agents_base_url =
        base(Provider::Luma, "luma/agents/v1").and_then(|url| url.parse().ok());
    settings
}

fn keys(options: &StackOptions) -> BTreeMap<Provider, Secret<String>> {
    let mut keys: BTreeMap<_, _> =
        Provider::ALL.iter().map(|provider| (*provider, Secret::new("simulated".to_owned()))).collect();
    keys.extend(options.real_keys.clone());
    keys
}
