//! A way between two parts on which the network can fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Proxy, READ_BYTES};

/// What S3 says when it is asked too often.
const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce \
                         your request rate.</Message><RequestId>chaos</RequestId></Error>";

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Clear,
    /// Each piece takes so long in each direction.
    Delayed(Duration),
    /// Connections are closed, and new ones too.
    Cut,
    /// Connections are made and stay, and nothing passes. What was sent arrives when the weather clears.
    HalfOpen,
    /// What is asked arrives; the connection is closed when the answer begins.
    Torn,
    /// Every request is answered with S3's `SlowDown`.
    SlowDown,
}

impl Weather {
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Delayed(_) => "delay",
            Self::Cut => "cut",
            Self::HalfOpen => "half-open",
            Self::Torn => "answers lost",
            Self::SlowDown => "slow down",
        }
    }
}

/// A listening way. Dropping it closes it and its connections.
pub struct Link {
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
    _proxy: Proxy,
}

impl Link {
    /// Opens a way to wherever `upstream` says; while it says nowhere, connections are closed at once.
    pub async fn open(upstream: watch::Receiver<Option<SocketAddr>>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let weather = watch::Sender::new(Weather::Clear);
        let reports = weather.subscribe();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                while connections.try_join_next().is_some() {}
                let upstream = *upstream.borrow();
                connections.spawn(converse(stream, upstream, reports.clone()));
            }
        });
        Ok(Self { address, weather, _proxy: Proxy { address, serving } })
    }

    /// A way to one address.
    pub async fn to(upstream: SocketAddr) -> Result<Self> {
        // The sender may go: what it has said stays.
        Self::open(watch::Sender::new(Some(upstream)).subscribe()).await
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn converse(
    near: TcpStream,
    upstream: Option<SocketAddr>,
    mut weather: watch::Receiver<Weather>,
) -> std::io::Result<()> {
    // A connection that is made while nothing passes is made when something does.
    let _ = weather.wait_for(|weather| *weather != Weather::HalfOpen).await;
    let now = *weather.borrow();
    match now {
        Weather::Cut => return Ok(()),
        Weather::SlowDown => return refuse(near).await,
        Weather::Clear | Weather::Delayed(_) | Weather::HalfOpen | Weather::Torn => {}
    }
    let Some(upstream) = upstream else { return Ok(()) };
    let far = TcpStream::connect(upstream).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let closing = weather.clone();
    tokio::select! {
        ended = pump(from_near, to_far, weather.clone(), false) => ended,
        ended = pump(from_far, to_near, weather, true) => ended,
        () = closes(closing) => Ok(()),
    }
}

async fn closes(mut weather: watch::Receiver<Weather>) {
    // The sender lives as long as the link.
    let _ = weather.wait_for(|weather| matches!(weather, Weather::Cut | Weather::SlowDown)).await;
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
    is_answer: bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let now = *weather.borrow();
        match now {
            Weather::Delayed(time) => tokio::time::sleep(time).await,
            Weather::Torn if is_answer => return Ok(()),
            Weather::HalfOpen => {
                let _ = weather.wait_for(|weather| *weather != Weather::HalfOpen).await;
            }
            Weather::Clear | Weather::Cut | Weather::Torn | Weather::SlowDown => {}
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// Reads a request's head and says `SlowDown`.
async fn refuse(mut near: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut head = Vec::new();
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        let count = near.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..count]);
    }
    let text = format!(
        "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{SLOW_DOWN}",
        SLOW_DOWN.len()
    );
    near.write_all(text.as_bytes()).await?;
    near.shutdown().await?;
    // A body that nobody reads would reset the connection before the answer is read.
    while near.read(&mut buffer).await? > 0 {}
    Ok(())
}
