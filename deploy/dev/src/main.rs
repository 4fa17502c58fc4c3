//! `atelier-dev demo [--keep]`: the whole service on this machine, doing one job of each kind. `atelier-dev serve FOLDER`:
//! the same service on free ports for the tests of clients, until it is told to stop.

mod curls;
mod demo;
mod progress;
mod serve;
mod table;
mod traces;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use atelier_dev::stack::{Services, free_address};
use atelier_dev::{Stack, StackOptions};
use atelier_domain::operation::Provider;
use atelier_domain::secret::Secret;
use atelier_runtime::settings::TelemetrySettings;
use atelier_runtime::shutdown::Shutdown;
use atelier_runtime::{process, telemetry};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            progress::say(&format!("the demo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    process::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo"] => runtime.block_on(demo(false)),
        ["demo", "--keep"] => runtime.block_on(demo(true)),
        ["serve", folder] => runtime.block_on(serve::serve(Path::new(folder))),
        _ => bail!("usage: atelier-dev demo [--keep] | serve FOLDER"),
    }
}

async fn demo(keep: bool) -> Result<ExitCode> {
    let folder = data_folder();
    let receiver = traces::Receiver::start().await?;
    let guard = {
        let settings = TelemetrySettings {
            // A collector of the user's own wins over the demo's.
            otlp_endpoint: std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").is_err().then(|| receiver.endpoint()),
            ..TelemetrySettings::default()
        };
        std::fs::create_dir_all(&folder)?;
        let log = Mutex::new(File::create(folder.join("log.jsonl"))?);
        let (guard, dispatch) =
            telemetry::prepare("atelier-api", Some(atelier_dev::stack::BUCKET), &settings, log)?;
        tracing::dispatcher::set_global_default(dispatch)?;
        guard
    };
    let services = Services {
        api: Arc::new(guard.telemetry()),
        worker: Arc::new(guard.service("atelier-worker", Some(atelier_dev::stack::BUCKET))?),
        poller: Arc::new(guard.service("atelier-poller", None)?),
    };
    let options = options(folder.clone(), keep)?;
    let key = options.key.clone();
    let stack = Stack::start(&options, &services).await?;
    progress::say(&format!("api {}   data and log in {}", stack.api_url, folder.display()));
    let jobs = demo::run(&stack.api_url, &key).await?;
    progress::say(&table::of_jobs(&jobs, &folder.join("s3").join(atelier_dev::stack::BUCKET)));
    if let Some(job) = jobs.last() {
        receiver.show(&job.trace_id, Duration::from_secs(15)).await;
    }
    let all_succeeded = jobs.iter().all(|job| job.status == "succeeded");
    if keep {
        progress::say(&curls::text(&stack.api_url, &stack.around.simulator.base_url(), &key, &jobs));
        Shutdown::listen(Duration::from_secs(10))?.begun().await;
    }
    stack.stop().await?;
    drop(services);
    tokio::task::spawn_blocking(move || guard.shutdown(Duration::from_secs(5))).await?;
    Ok(if all_succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options(folder: PathBuf, keep: bool) -> Result<StackOptions> {
    let mut options = StackOptions::in_folder(folder);
    if keep {
        let fixed = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        (options.api, options.simulator, options.s3) = (fixed(8080), fixed(8090), fixed(9000));
    } else {
        options.api = free_address()?;
    }
    if let Ok(key) = std::env::var("ATELIER_DEMO_KEY") {
        options.key = key;
    }
    options.redis_url = std::env::var("ATELIER_REDIS_URL").ok().filter(|url| !url.is_empty());
    options.real_keys = real_keys();
    Ok(options)
}

/// Providers whose key is set are called for real.
fn real_keys() -> BTreeMap<Provider, Secret<String>> {
    Provider::ALL
        .iter()
        .filter_map(|provider| {
            let name = format!("ATELIER_{}_API_KEY", provider.as_str().to_ascii_uppercase());
            let key = std::env::var(name).ok().filter(|key| !key.is_empty())?;
            Some((*provider, Secret::new(key)))
        })
        .collect()
}

/// `.dev/demo` of the checkout.
fn data_folder() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_folder.ancestors().nth(2).unwrap_or(crate_folder);
    root.join(".dev/demo")
}

/// Reads the jobs of the demo.
pub(crate) fn wanted_jobs() -> Result<Vec<demo::Wanted>> {
    serde_json::from_str(include_str!("../demo.json")).context("deploy/dev/demo.json is not readable")
}
