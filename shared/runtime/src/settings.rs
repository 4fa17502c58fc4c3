//! Settings of a program: compiled defaults, then one TOML file, then the environment; all mistakes are told at once.
//!
//! The program's own struct is the schema. Its field names are the known keys, its types are the checks, and
//! [`Settings::validate`] says the rest. To report more than serde's first error the loader repairs each mistake in
//! memory (the default, else nothing, else a stand-in) and reads again, until the struct comes out or nothing helps.
//!
//! | source | example |
//! |---|---|
//! | environment | `ATELIER_REDIS__URL` is `redis.url`; two underscores go one level down; case does not matter |
//! | provider keys | `ATELIER_RUNWAY_API_KEY` is `provider_keys.runway` |
//! | the file's name | `ATELIER_CONFIG`, unless the caller names one |
//! | a mounted secret | any single value `x` may be given as `x_file = "/run/secrets/x"`, here or as `ATELIER_..._FILE` |
//!
//! An empty variable counts as not set. Names that Kubernetes injects for services (`ATELIER_API_PORT`, ...) are passed
//! over. A top-level section that belongs to another Atelier program ([`SECTIONS_OF_THE_PRODUCT`]) is passed over too,
//! so that one file and one environment serve all of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

pub use self::faults::{Problems, SettingsError, SettingsErrors};
pub use self::sections::{CapturePrompts, LogFormat, OtlpProtocol, ShutdownSettings, TelemetrySettings};

mod environment;
mod faults;
mod layers;
mod reader;
mod repair;
mod sections;
mod stand_in;
mod words;

/// Where every setting is explained: the remedy of a problem that says itself what would be right.
pub const CONFIGURATION_PAGE: &str = "see shared/docs/configuration.md";

/// Top-level sections that some Atelier program knows. A program that has no such field ignores the section instead of
/// calling it unknown.
pub const SECTIONS_OF_THE_PRODUCT: &[&str] = &[
    "allow_hosts",
    "api",
    "callbacks",
    "catalogue",
    "fetch",
    "policy",
    "poller",
    "provider_keys",
    "providers",
    "redis",
    "s3",
    "shutdown",
    "telemetry",
    "worker",
];

/// A program's settings. Give the struct and every section of it `#[serde(deny_unknown_fields)]` or not, as you like:
/// unknown keys are refused here in any case. `#[serde(flatten)]` is not supported, as it hides the field names.
pub trait Settings: DeserializeOwned {
    /// Reports values that have the right type but make no sense. Called even when other mistakes were found.
    fn validate(&self, problems: &mut Problems<'_>) {
        let _ = problems;
    }
}

/// Reads the settings of `program` or says everything that is wrong with them.
///
/// `file` is the file to read; without it `ATELIER_CONFIG` of `environment` names one; without both there is none.
/// Pass [`process_environment`] as `environment`. Values of secrets never stand in an error.
pub fn load<T: Settings>(
    program: &str,
    defaults_toml: &str,
    file: Option<PathBuf>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<T, SettingsErrors> {
    let layers = layers::read(defaults_toml, file, environment);
    let mut attempt = repair::Attempt::new(&layers);
    let value = attempt.read::<T>();
    let mut faults = attempt.into_faults();
    if let Some(value) = &value {
        let broken: BTreeSet<_> = faults.iter().map(|fault| fault.path.clone()).collect();
        let mut problems = Problems::new(&layers, broken);
        value.validate(&mut problems);
        faults.extend(problems.into_faults());
    }
    if !layers.faults.is_empty() {
        // What the unreadable file would have set is not missing.
        faults.retain(|fault| !fault.is_missing);
        faults.extend(layers.faults.iter().cloned());
    }
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(SettingsErrors::new(program, faults)),
    }
}

/// The variables of this process. `std::env::vars` would panic over one that is no Unicode; none of ours is.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
