//! A receiver of callbacks, which keeps what it is sent.

use std::collections::HashMap;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One call that came.
#[derive(Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// Names are small letters.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// Answers each call with the next of some statuses, the last one for ever.
pub struct Receiver {
    pub url: String,
    calls: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    pub async fn answering(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callback", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for index in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let status = statuses[index.min(statuses.len() - 1)];
                // Nobody listens any more once the test is over.
                if sender.send(receive(stream, status).await).is_err() {
                    return;
                }
            }
        });
        Self { url, calls }
    }

    /// The next call.
    pub async fn next(&mut self) -> Received {
        self.calls.recv().await.unwrap()
    }

    /// The calls that came and were not read.
    pub fn waiting(&self) -> usize {
        self.calls.len()
    }
}

async fn receive(stream: TcpStream, status: u16) -> Received {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines[0].split(' ').map(str::to_owned);
    let headers: HashMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
    Received { method: first.next().unwrap(), path: first.next().unwrap(), headers, body }
}
