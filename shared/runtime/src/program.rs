//! What the `main` of every Atelier program does: arguments, settings, telemetry, signals, exit code.

use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
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

/// Something that a program does in place of running, such as making an API key.
pub struct Command<T> {
    /// The word that asks for it.
    pub name: &'static str,
    /// Its usage, a line each way of it.
    pub help: &'static [&'static str],
    /// Does it with the words that follow, and says what is to be printed.
    pub run: fn(T, Vec<String>) -> Doing,
}

/// A command under way.
pub type Doing = Pin<Box<dyn Future<Output = Result<String, CommandError>>>>;

/// Why a command was not done.
#[derive(Debug)]
pub enum CommandError {
    /// Its words are wrong: what is wrong, and what would be right.
    Usage(String),
    /// It failed.
    Failed(BoxError),
}

impl<E: Into<BoxError>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What the arguments ask for.
enum Wish {
    Run {
        file: Option<PathBuf>,
    },
    CheckConfig {
        file: Option<PathBuf>,
    },
    /// The command of this place in the list, with its words.
    Do {
        file: Option<PathBuf>,
        command: usize,
        words: Vec<String>,
    },
    Help,
    Version,
}

/// Reads arguments and settings and hands over to `run`, or does one of the `commands`. Wrong settings are told all at
/// once, on standard error, and end the program with 2 before anything is started; so do wrong words.
pub fn main_of<T: Settings>(
    name: &'static str,
    commands: &[Command<T>],
    run: impl FnOnce(Program, T) -> ExitCode,
) -> ExitCode {
    let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
    let wish = wish(std::env::args_os().skip(1), &names);
    let file = match &wish {
        Ok(Wish::Run { file } | Wish::CheckConfig { file } | Wish::Do { file, .. }) => file.clone(),
        Ok(Wish::Help) => return say(&help(name, commands), ExitCode::SUCCESS),
        Ok(Wish::Version) => return say(&format!("{name} {}", env!("CARGO_PKG_VERSION")), ExitCode::SUCCESS),
        Err(problem) => return complain(&format!("{name}: {problem}\n\n{}", help(name, commands))),
    };
    let settings = match settings::load::<T>(name, "", file, settings::process_environment()) {
        Ok(settings) => settings,
        Err(errors) => return complain(&errors.to_string()),
    };
    match wish {
        Ok(Wish::CheckConfig { .. }) => say(&format!("{name}: the settings are right"), ExitCode::SUCCESS),
        Ok(Wish::Do { command, words, .. }) => match commands.get(command) {
            Some(command) => command.done(name, settings, words),
            None => run(Program { name }, settings),
        },
        Ok(Wish::Run { .. } | Wish::Help | Wish::Version) | Err(_) => run(Program { name }, settings),
    }
}

impl<T> Command<T> {
    /// Does it on a runtime of its own, without telemetry: it is a person's, not a service's.
    fn done(&self, program: &str, settings: T, words: Vec<String>) -> ExitCode {
        process::install_crypto();
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return complain(&format!("{program}: no runtime: {error}")),
        };
        match runtime.block_on((self.run)(settings, words)) {
            Ok(text) => say(&text, ExitCode::SUCCESS),
            Err(CommandError::Usage(problem)) => {
                complain(&format!("{program} {}: {problem}\n\n{}", self.name, usages(program, self.help)))
            }
            Err(CommandError::Failed(error)) => {
                let _ = writeln!(std::io::stderr(), "{program} {}: {}", self.name, chain(error.as_ref()));
                ExitCode::FAILURE
            }
        }
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

fn wish(arguments: impl Iterator<Item = OsString>, commands: &[&str]) -> Result<Wish, String> {
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
            word => {
                let command = word.and_then(|word| commands.iter().position(|name| *name == word));
                let command =
                    command.ok_or_else(|| format!("`{}` is not known", argument.to_string_lossy()))?;
                let words = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
                return Ok(Wish::Do { file, command, words });
            }
        }
    }
    Ok(if is_check { Wish::CheckConfig { file } } else { Wish::Run { file } })
}

fn help<T>(name: &str, commands: &[Command<T>]) -> String {
    let commands: String =
        commands.iter().map(|command| format!("{}\n", usages(name, command.help))).collect();
    format!(
        "usage: {name} [--config FILE] [check-config]\n{commands}\n\
         Settings come from compiled defaults, then FILE (or $ATELIER_CONFIG), then the environment:\n\
         ATELIER_REDIS__URL is redis.url. check-config reads them, says all that is wrong, and ends."
    )
}

fn usages(program: &str, lines: &[&str]) -> String {
    lines.iter().map(|line| format!("       {program} {line}")).collect::<Vec<_>>().join("\n")
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
