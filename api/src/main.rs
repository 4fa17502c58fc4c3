//! `atelier-api`: the HTTP api.

use std::process::ExitCode;
use std::sync::Arc;

use atelier_api::{commands, program};
use atelier_runtime::main_of;

fn main() -> ExitCode {
    main_of("atelier-api", &commands(), |program, settings: program::Settings| {
        let bucket = settings.s3.bucket.clone();
        let (telemetry, shutdown) = (settings.telemetry.clone(), settings.shutdown.clone());
        program.run(None, Some(&bucket), &telemetry, &shutdown, |telemetry, shutdown| {
            program::run(settings, Arc::new(telemetry), shutdown)
        })
    })
}
