//! `atelier-worker`: does the steps `submit`, `deliver`, `reconcile` and `abandon`.

use std::process::ExitCode;
use std::sync::Arc;

use atelier_runtime::main_of;
use atelier_worker::program;

fn main() -> ExitCode {
    main_of("atelier-worker", &[], |program, settings: program::Settings| {
        let bucket = settings.s3.bucket.clone();
        let threads = Some(settings.worker.threads);
        let (telemetry, shutdown) = (settings.telemetry.clone(), settings.shutdown.clone());
        program.run(threads, Some(&bucket), &telemetry, &shutdown, |telemetry, shutdown| {
            program::run(settings, Arc::new(telemetry), shutdown)
        })
    })
}
