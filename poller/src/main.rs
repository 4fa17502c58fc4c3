//! `atelier-poller`: does the step `check`, and promotes due steps.

use std::process::ExitCode;
use std::sync::Arc;

use atelier_poller::program;
use atelier_runtime::main_of;

fn main() -> ExitCode {
    main_of("atelier-poller", &[], |program, settings: program::Settings| {
        let threads = Some(settings.poller.threads);
        let (telemetry, shutdown) = (settings.telemetry.clone(), settings.shutdown.clone());
        program.run(threads, None, &telemetry, &shutdown, |telemetry, shutdown| {
            program::run(settings, Arc::new(telemetry), shutdown)
        })
    })
}
