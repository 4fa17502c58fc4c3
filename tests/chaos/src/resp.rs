//! A client of Redis that does one thing after the other: for tests that must know what was asked and when.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Number(i64),
    Text(String),
    Error(String),
    List(Vec<Reply>),
}

impl Reply {
    /// The text of a string or the digits of a number; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Nil | Self::Error(_) | Self::List(_) => String::new(),
        }
    }

    /// The members of a list; none of anything else.
    pub fn list(self) -> Vec<Reply> {
        match self {
            Self::List(members) => members,
            Self::Nil | Self::Number(_) | Self::Text(_) | Self::Error(_) => Vec::new(),
        }
    }
}

/// One connection.
pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and reads its answer. An answer that is an error is one here.
    pub async fn ask<S: AsRef<[u8]>>(&mut self, command: &[S]) -> Result<Reply> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            let part = part.as_ref();
            bytes.extend(format!("${}\r\n", part.len()).into_bytes());
            bytes.extend(part);
            bytes.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes).await?;
        match self.read().await? {
            Reply::Error(text) => bail!("redis says {text}"),
            reply => Ok(reply),
        }
    }

    async fn read(&mut self) -> Result<Reply> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line).await? > 0, "redis closed the connection");
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).context("an empty answer")?;
        Ok(match kind {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(rest.parse()?),
            "$" => match usize::try_from(rest.parse::<i64>()?) {
                Err(_) => Reply::Nil,
                Ok(length) => {
                    let mut text = vec![0; length + 2];
                    self.stream.read_exact(&mut text).await?;
                    text.truncate(length);
                    Reply::Text(String::from_utf8_lossy(&text).into_owned())
                }
            },
            "*" => match usize::try_from(rest.parse::<i64>()?) {
                Err(_) => Reply::Nil,
                Ok(count) => {
                    let mut members = Vec::with_capacity(count);
                    for _ in 0..count {
                        members.push(Box::pin(self.read()).await?);
                    }
                    Reply::List(members)
                }
            },
            other => bail!("an answer of kind `{other}`"),
        })
    }
}
