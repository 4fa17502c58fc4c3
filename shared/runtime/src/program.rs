//! What the `main` of every Atelier program does: arguments, settings, telemetry, signals, exit code.

use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use atelier_domain::error::chain;
use atelier_domain::ports::BoxError;
use tracing::{error, info};

use crate::process;
use crate::settings::{self, Settings, ShutdownSettings, TelemetrySettings};
use crate::shutdown::Shutdown;
use crate::telemetry::{self, OtelTelemetry};

/// How long the last spans may take to leave.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// A program whose settings have been read.
pub struct Program {
    name: &'static str,
}

/// What the arguments ask for.
enum Wish {
    Run { file: Option<PathBuf> },
    CheckConfig { file: Option<PathBuf> },
    Help,
    Version,
}

/// Reads arguments and settings and hands over to `run`. Wrong settings are told all at once, on standard error, and
/// end the program with 2 before anything is started.
pub fn main_of<T: Settings>(name: &'static str, run: impl FnOnce(Program, T) -> ExitCode) -> ExitCode {
    let (is_check, file) = match wish(std::env::args_os().skip(1)) {
        Ok(Wish::Run { file }) => (false, file),
        Ok(Wish::CheckConfig { file }) => (true, file),
        Ok(Wish::Help) => return say(&help(name), ExitCode::SUCCESS),
        Ok(Wish::Version) => return say(&format!("{name} {}", env!("CARGO_PKG_VERSION")), ExitCode::SUCCESS),
        Err(problem) => return complain(&format!("{name}: {problem}\n\n{}", help(name))),
    };
    match settings::load::<T>(name, "", file, settings::process_environment()) {
        Ok(_) if is_check => say(&format!("{name}: the settings are right"), ExitCode::SUCCESS),
        Ok(settings) => run(Program { name }, settings),
        Err(errors) => complain(&errors.to_string()),
    }
}

impl Program {
    /// Sets up telemetry and signals and runs `work` to its end, on `threads` threads, or as many as there are cores.
    /// The exit code is 0 when it ended well.
    pub fn run<F, E>(
        self,
        threads: Option<usize>,
        bucket: Option<&str>,
        telemetry: &TelemetrySettings,
        shutdown: &ShutdownSettings,
        work: impl FnOnce(OtelTelemetry, Shutdown) -> F,
    ) -> ExitCode
    where
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        process::install_crypto();
        let guard = match telemetry::init(self.name, bucket, telemetry) {
            Ok(guard) => guard,
            Err(error) => return complain(&format!("{}: {}", self.name, chain(&error))),
        };
        process::install_panic_hook();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if let Some(threads) = threads {
            builder.worker_threads(threads.max(1));
        }
        let runtime = match builder.enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return complain(&format!("{}: no runtime: {error}", self.name)),
        };
        let ended = runtime.block_on(async {
            let shutdown = Shutdown::listen(shutdown.grace())?;
            work(guard.telemetry(), shutdown).await.map_err(Into::into)
        });
        // Handlers that outlived the grace time are not waited for: their leases end.
        runtime.shutdown_background();
        let code = match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let error: BoxError = error;
                error!(error = chain(error.as_ref()), "the program failed");
                ExitCode::FAILURE
            }
        };
        if !guard.shutdown(FLUSH_LIMIT) {
            info!("some spans were not sent");
        }
        code
    }
}

fn wish(arguments: impl Iterator<Item = OsString>) -> Result<Wish, String> {
    let mut file = None;
    let mut is_check = false;
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--config") => {
                let path = arguments.next().ok_or("--config needs the path of a TOML file")?;
                file = Some(PathBuf::from(path));
            }
            Some("check-config") => is_check = true,
            Some("--help" | "-h") => return Ok(Wish::Help),
            Some("--version" | "-V") => return Ok(Wish::Version),
            _ => return Err(format!("`{}` is not known", argument.to_string_lossy())),
        }
    }
    Ok(if is_check { Wish::CheckConfig { file } } else { Wish::Run { file } })
}

fn help(name: &str) -> String {
    format!(
        "usage: {name} [--config FILE] [check-config]\n\n\
         Settings come from compiled defaults, then FILE (or $ATELIER_CONFIG), then the environment:\n\
         ATELIER_REDIS__URL is redis.url. check-config reads them, says all that is wrong, and ends."
    )
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str) -> ExitCode {
    // If even standard error is closed there is only the exit code left to say it.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(2)
}
