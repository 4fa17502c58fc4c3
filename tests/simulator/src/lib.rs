#![doc = include_str!("../README.md")]

mod answer;
mod body;
mod call;
mod control;
mod deepgram;
mod deepgram_callback;
mod deepgram_listen;
mod deepgram_query;
mod deepgram_speak;
mod deepgram_transcript;
mod directive;
mod elevenlabs;
mod elevenlabs_stt;
mod elevenlabs_stt_input;
mod elevenlabs_stt_result;
mod exchange;
mod fal;
mod fal_input;
mod fault;
mod files;
mod journal;
mod luma;
mod media;
mod openai;
mod options;
mod pika;
mod replicate;
mod runway;
mod runway_input;
mod script;
mod server;
mod stability;
mod state;
mod task;
mod transcript;
mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use fault::{ClaimedType, Fault, ModerationForm};
pub use journal::{Entry, Journal, Kind, Provider};
pub use options::{Options, Timing, parse_duration};
pub use script::{Match, Rule};

use state::State;

/// Starts a simulator; it serves from the moment this returns.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(options: Options) -> anyhow::Result<Simulator> {
    let listen = options.listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("failed to listen on {listen}"))?;
    let address = listener.local_addr().context("failed to read the address listened on")?;
    let state = Arc::new(State::new(options));
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(server::serve(listener, Arc::clone(&state), stopped));
    Ok(Simulator { address, state, stop, server })
}

/// A running simulator. Dropping it stops it without waiting; [`Simulator::stop`] waits.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ip:port`, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The seed of the ids, to be printed with a failing test.
    pub fn seed(&self) -> u64 {
        self.state.options.seed
    }

    /// Everything that was received.
    pub fn journal(&self) -> Journal {
        self.state.journal.clone()
    }

    /// Adds a rule behind those that are in force.
    pub fn script(&self, rule: Rule) {
        self.state.script.add(rule);
    }

    /// Drops all rules and the counts of directives in prompts. Work that was already struck stays so.
    pub fn clear_script(&self) {
        self.state.script.clear();
    }

    /// Stops listening, drops the open connections, and waits until both are done.
    pub async fn stop(self) {
        // The server is gone already when nobody receives this.
        let _ = self.stop.send(true);
        let _ = self.server.await;
    }
}
