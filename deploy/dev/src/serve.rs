//! The service on free ports, for tests of clients: quick, with nothing but simulated providers, until SIGTERM or SIGINT.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use atelier_dev::stack::{BUCKET, Services, by_provider, free_address};
use atelier_dev::{Stack, StackOptions};
use atelier_domain::policy::Polling;
use atelier_runtime::settings::TelemetrySettings;
use atelier_runtime::shutdown::Shutdown;
use atelier_runtime::telemetry;
use atelier_simulator::Timing;

/// Serves in this folder, and says in one line of JSON where: `{"api", "key", "simulator"}`.
pub(crate) async fn serve(folder: &Path) -> Result<ExitCode> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let log = Mutex::new(File::create(folder.join("log.jsonl"))?);
    let (guard, dispatch) =
        telemetry::prepare("atelier-api", Some(BUCKET), &TelemetrySettings::default(), log)?;
    tracing::dispatcher::set_global_default(dispatch)?;
    let services = Services {
        api: Arc::new(guard.telemetry()),
        worker: Arc::new(guard.service("atelier-worker", Some(BUCKET))?),
        poller: Arc::new(guard.service("atelier-poller", None)?),
    };
    let mut options = StackOptions::in_folder(folder.to_owned());
    options.api = free_address()?;
    options.timing = Timing {
        image: Duration::from_millis(100),
        video: Duration::from_millis(400),
        speech: Duration::from_millis(10),
    };
    options.policy.polling = Polling { interval_ms: 150, ..Polling::default() };
    options.policy.polling_by = by_provider(options.policy.polling);
    let stack = Stack::start(&options, &services).await?;
    let told = serde_json::json!({
        "api": stack.api_url, "key": options.key, "simulator": stack.around.simulator.base_url(),
    });
    writeln!(std::io::stdout(), "{told}")?;
    Shutdown::listen(Duration::from_secs(10))?.begun().await;
    stack.stop().await?;
    drop(services);
    tokio::task::spawn_blocking(move || guard.shutdown(Duration::from_secs(5))).await?;
    Ok(ExitCode::SUCCESS)
}
