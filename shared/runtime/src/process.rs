//! What a process sets up before anything else.

use std::any::Any;
use std::panic;

use tracing::subscriber::NoSubscriber;

/// Makes ring the TLS implementation of the process. Call it first in `main`; later calls do nothing.
pub fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Only another thread that installs the same provider can be faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Makes a panic a log line with the ids of the job it hit, instead of text on standard error. Where there is no
/// telemetry the usual text still comes.
pub fn install_panic_hook() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let is_silent = tracing::dispatcher::get_default(|dispatch| dispatch.is::<NoSubscriber>());
        if is_silent {
            usual(panic);
            return;
        }
        let thread = std::thread::current();
        tracing::error!(
            panic.message = message_of(panic.payload()),
            panic.location = panic.location().map(ToString::to_string),
            thread.name = thread.name(),
            "panicked"
        );
    }));
}

/// The text of a panic's payload, which is a string unless somebody threw something else.
pub fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
