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
mod fault;
mod files;
mod hex;
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
mod tls;
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
pub use options::{Options, Timing, TlsOptions, parse_duration};
pub use script::{Match, Rule};

use server::Door;
use state::State;

/// Starts a simulator; it serves from the moment this returns.
///
/// # Errors
/// When an address cannot be listened on, or the certificate cannot be made or written.
pub async fn start(options: Options) -> anyhow::Result<Simulator> {
    let (listener, address) = listen(options.listen).await?;
    let tls = match &options.tls {
        None => None,
        Some(tls) => {
            let (certificate_pem, acceptor) = tls::set_up(tls).await?;
            let (listener, address) = listen(tls.listen).await?;
            let door = Door { tls: Some(acceptor), provider: tls.provider };
            Some((listener, door, Secure { address, certificate_pem }))
        }
    };
    let state = Arc::new(State::new(options));
    let (stop, stopped) = watch::channel(false);
    let serve =
        |listener, door| tokio::spawn(server::serve(listener, door, Arc::clone(&state), stopped.clone()));
    let mut servers = vec![serve(listener, Door::default())];
    let secure = tls.map(|(listener, door, secure)| {
        servers.push(serve(listener, door));
        secure
    });
    Ok(Simulator { address, secure, state, stop, servers })
}

async fn listen(wanted: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(wanted).await;
    let listener = listener.with_context(|| format!("failed to listen on {wanted}"))?;
    let address = listener.local_addr().context("failed to read the address listened on")?;
    Ok((listener, address))
}

/// A running simulator. Dropping it stops it without waiting; [`Simulator::stop`] waits.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    secure: Option<Secure>,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

/// Where TLS is spoken, and by which certificate it is known.
#[derive(Debug)]
struct Secure {
    address: SocketAddr,
    certificate_pem: String,
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

    /// `https://ip:port` of the listener that speaks TLS, without a trailing slash.
    pub fn tls_base_url(&self) -> Option<String> {
        self.secure.as_ref().map(|secure| format!("https://{}", secure.address))
    }

    /// The certificate of that listener, to be trusted by its clients.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.secure.as_ref().map(|secure| secure.certificate_pem.as_str())
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
        for server in self.servers {
            let _ = server.await;
        }
    }
}
