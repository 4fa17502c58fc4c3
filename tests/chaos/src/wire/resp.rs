//! As much of Redis' protocol as it takes to cut a stream into whole commands and replies, and to name them.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::READ_BYTES;

/// Cuts a stream into frames.
pub struct Frames<R> {
    source: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(source: R) -> Self {
        Self { source, buffer: Vec::new() }
    }

    /// The next whole frame; `None` at the end of the stream.
    pub async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(length) = length_of(&self.buffer) {
                let rest = self.buffer.split_off(length);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            let mut part = vec![0; READ_BYTES];
            let count = self.source.read(&mut part).await?;
            if count == 0 {
                return Ok(None);
            }
            self.buffer.extend_from_slice(&part[..count]);
        }
    }
}

/// Length of the frame at the beginning, if it is whole.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..line_end - 2]).ok()?.parse::<i64>().ok();
    match bytes.first()? {
        b'$' => {
            let length = usize::try_from(number()?).map_or(line_end, |text| line_end + text + 2);
            (bytes.len() >= length).then_some(length)
        }
        b'*' => {
            let mut at = line_end;
            for _ in 0..number()?.max(0) {
                at += length_of(bytes.get(at..)?)?;
            }
            Some(at)
        }
        _ => Some(line_end),
    }
}

/// The arguments of a command.
pub fn arguments(frame: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut at = frame.windows(2).position(|pair| pair == b"\r\n").map_or(frame.len(), |end| end + 2);
    while at < frame.len() {
        let Some(length) = length_of(&frame[at..]) else { break };
        let part = &frame[at..at + length];
        let text = part.windows(2).position(|pair| pair == b"\r\n").map_or(0, |end| end + 2);
        found.push(&part[text..part.len() - 2]);
        at += length;
    }
    found
}

/// What a command does, in words. Scripts are told by the shape of their arguments.
pub fn name_of(frame: &[u8]) -> String {
    let arguments = arguments(frame);
    let word =
        |index: usize| arguments.get(index).map_or("", |part| std::str::from_utf8(part).unwrap_or("?"));
    let command = word(0).to_ascii_uppercase();
    if command != "EVALSHA" && command != "EVAL" {
        return command;
    }
    let keys: usize = word(2).parse().unwrap_or(0);
    let rest: Vec<&str> = (3 + keys..arguments.len()).map(word).collect();
    match rest.as_slice() {
        _ if keys == 4 => "hasten".to_owned(),
        [_, _, _, step, mode @ ("read" | "given" | "recover"), ..] => format!("claim {step} ({mode})"),
        [_, _] => PROMOTE.to_owned(),
        [_, _, _, "0" | "1", "a"] => "take checks".to_owned(),
        [_, _, _, "0" | "1", "d"] => "take deliveries".to_owned(),
        [_, source, "g", _, ..] => format!("renew {source}"),
        [_, "g", ..] => settle(arguments.get(5 + keys..).unwrap_or_default()),
        [_, _, jobs @ ..] if !jobs.is_empty() && jobs.len().is_multiple_of(8) => "admit".to_owned(),
        _ => "script".to_owned(),
    }
}

/// The script whose effect shows in its reply alone.
pub const PROMOTE: &str = "promote";

/// Whether a reply of [`PROMOTE`] says that something was moved.
pub fn has_moved(reply: &[u8]) -> bool {
    !reply.starts_with(b"*3\r\n:0\r\n") && reply.starts_with(b"*3\r\n:")
}

/// Each verdict has 7 values and then two for each of its assets; the last of the 7 says what it does.
fn settle(verdicts: &[&[u8]]) -> String {
    let state = match verdicts.get(3).and_then(|header| header.get(1)) {
        Some(b'q') => "queued",
        Some(b's') => "submitting",
        Some(b'a') => "awaiting",
        Some(b'd') => "delivering",
        Some(b'u') => "uncertain",
        Some(b'S') => "succeeded",
        Some(b'F') => "failed",
        Some(b'C') => "cancelled",
        _ => "?",
    };
    let plan = verdicts.get(6).and_then(|plan| std::str::from_utf8(plan).ok()).unwrap_or_default();
    let plan: Vec<&str> = plan.split(' ').collect();
    let part = |index: usize| plan.get(index).copied().unwrap_or("");
    let assets: usize = part(5).parse().unwrap_or(0);
    let more = if verdicts.len() == 7 + 2 * assets { "" } else { " and others" };
    match (part(0), part(1)) {
        ("k", _) => format!("save: {state}{more}"),
        (source, "n") => format!("settle {source}: {state}{more}"),
        (source, _) => format!("settle {source}: {state}, next {}{more}", part(2)),
    }
}
