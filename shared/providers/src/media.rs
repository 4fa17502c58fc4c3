//! Media on their way in: bounded in size, pauses and time, and checked against the announced length.

use std::time::Duration;

use atelier_domain::ports::{ByteStream, SourceBroken};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use crate::span::mark_failed;

/// What a transfer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MediaLimits {
    /// Longest pause between two pieces. Only waiting for the source counts, not waiting for the reader.
    pub(crate) idle_timeout: Duration,
    /// Longest time in all.
    pub(crate) timeout: Duration,
    /// Most bytes.
    pub(crate) max_bytes: u64,
}

struct Media {
    source: ByteStream,
    announced_bytes: Option<u64>,
    seen_bytes: u64,
    limits: MediaLimits,
    deadline: Instant,
    span: Span,
}

/// The source within its limits, counted from `started`. It keeps `span` open, so that the span's duration is that of
/// the whole transfer.
pub(crate) fn within_limits(
    source: ByteStream,
    announced_bytes: Option<u64>,
    limits: MediaLimits,
    started: Instant,
    span: Span,
) -> ByteStream {
    let deadline = started + limits.timeout;
    let media = Media { source, announced_bytes, seen_bytes: 0, limits, deadline, span };
    Box::pin(stream::try_unfold(media, Media::next))
}

impl Media {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, SourceBroken> {
        let outcome = self.read().await;
        match outcome {
            Ok(Some(chunk)) => Ok(Some((chunk, self))),
            Ok(None) => Ok(None),
            Err(broken) => {
                mark_failed(&self.span, "source_broken");
                Err(broken)
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, SourceBroken> {
        let pause_ends = Instant::now() + self.limits.idle_timeout;
        let chunk = match timeout_at(pause_ends.min(self.deadline), self.source.next()).await {
            Ok(read) => read.transpose()?,
            Err(_) if pause_ends < self.deadline => {
                return Err(broken(format!("no byte came for {} ms", self.limits.idle_timeout.as_millis())));
            }
            Err(_) => {
                return Err(broken(format!("it did not end within {} ms", self.limits.timeout.as_millis())));
            }
        };
        let Some(chunk) = chunk else {
            return match self.announced_bytes {
                Some(announced) if announced != self.seen_bytes => {
                    Err(broken(format!("{} of {announced} announced bytes came", self.seen_bytes)))
                }
                Some(_) | None => Ok(None),
            };
        };
        self.seen_bytes = self.seen_bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.seen_bytes > self.limits.max_bytes {
            return Err(broken(format!("it is larger than the limit of {} bytes", self.limits.max_bytes)));
        }
        Ok(Some(chunk))
    }
}

fn broken(message: String) -> SourceBroken {
    SourceBroken { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MediaLimits =
        MediaLimits { idle_timeout: Duration::from_secs(1), timeout: Duration::from_secs(10), max_bytes: 6 };

    async fn read(chunks: &[&'static str], announced_bytes: Option<u64>) -> Result<usize, String> {
        let chunks: Vec<_> = chunks.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect();
        let source: ByteStream = Box::pin(stream::iter(chunks));
        let mut media = within_limits(source, announced_bytes, LIMITS, Instant::now(), Span::none());
        let mut length = 0;
        while let Some(chunk) = media.next().await {
            length += chunk.map_err(|broken| broken.message)?.len();
        }
        Ok(length)
    }

    // HTTP/1 clients count announced bytes themselves; this is for sources that do not.
    #[tokio::test]
    async fn a_length_that_was_announced_must_come() {
        assert_eq!(read(&["abc", "de"], Some(5)).await, Ok(5));
        assert_eq!(read(&["abc", "de"], None).await, Ok(5));
        assert_eq!(read(&["abc"], Some(5)).await, Err("3 of 5 announced bytes came".to_owned()));
        assert_eq!(read(&["abc", "de"], Some(3)).await, Err("5 of 3 announced bytes came".to_owned()));
    }

    #[tokio::test]
    async fn the_limit_itself_is_allowed() {
        assert_eq!(read(&["abc", "def"], None).await, Ok(6));
        assert_eq!(
            read(&["abc", "defg"], None).await,
            Err("it is larger than the limit of 6 bytes".to_owned())
        );
    }
}
