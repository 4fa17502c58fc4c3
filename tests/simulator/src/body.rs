//! The body that is sent: runs of bytes, whole or cut, at full speed or trickling.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::time::sleep;

use crate::journal::Journal;
use crate::media::Segment;

/// The one body type of the simulator.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Largest piece handed to the connection at once.
const CHUNK: usize = 1 << 20;
/// A trickling body is sent in this many pieces a second.
const TRICKLES_PER_SECOND: u64 = 10;
/// Time for what was sent before a cut to leave the machine.
const FLUSH: Duration = Duration::from_millis(50);

/// How a body leaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Delivery {
    /// Send this many bytes, then close the connection.
    pub(crate) cut_after: Option<u64>,
    /// Send this many bytes a second.
    pub(crate) bytes_per_second: Option<u64>,
}

/// A body that counts what it sends in the journal.
pub(crate) fn body(segments: Vec<Segment>, delivery: Delivery, journal: Journal, sequence: u64) -> Body {
    let state = Sender {
        segments: segments.into_iter(),
        current: None,
        left: delivery.cut_after,
        delivery,
        is_cut: false,
        sent: Sent { journal, sequence, bytes: 0 },
    };
    let frames = stream::unfold(state, |mut state| async move {
        let piece = state.next_piece().await?;
        Some((piece.map(Frame::data), state))
    });
    StreamBody::new(frames.boxed()).boxed_unsync()
}

struct Sender {
    segments: std::vec::IntoIter<Segment>,
    /// The rest of the present segment's bytes, the bytes themselves, and how often they come again.
    current: Option<(Bytes, Bytes, u64)>,
    left: Option<u64>,
    delivery: Delivery,
    is_cut: bool,
    sent: Sent,
}

impl Sender {
    async fn next_piece(&mut self) -> Option<io::Result<Bytes>> {
        if self.is_cut {
            return None;
        }
        if self.left == Some(0) {
            self.is_cut = true;
            sleep(FLUSH).await;
            return Some(Err(io::Error::other("cut by the script")));
        }
        let limit = match self.delivery.bytes_per_second {
            Some(rate) => {
                usize::try_from(rate.div_ceil(TRICKLES_PER_SECOND)).unwrap_or(CHUNK).clamp(1, CHUNK)
            }
            None => CHUNK,
        };
        let limit = self.left.map_or(limit, |left| limit.min(usize::try_from(left).unwrap_or(CHUNK)));
        let piece = self.take(limit)?;
        if let Some(rate) = self.delivery.bytes_per_second {
            sleep(Duration::from_secs_f64(piece.len() as f64 / rate.max(1) as f64)).await;
        }
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        self.sent.bytes += piece.len() as u64;
        Some(Ok(piece))
    }

    fn take(&mut self, limit: usize) -> Option<Bytes> {
        loop {
            match &mut self.current {
                Some((rest, _, _)) if !rest.is_empty() => return Some(rest.split_to(limit.min(rest.len()))),
                Some((rest, whole, again)) if *again > 0 => {
                    *again -= 1;
                    *rest = whole.clone();
                }
                Some(_) | None => {
                    let segment = self.segments.next()?;
                    let again = if segment.bytes.is_empty() { 0 } else { segment.repeat };
                    self.current = Some((Bytes::new(), segment.bytes, again));
                }
            }
        }
    }
}

/// Writes the number of bytes into the journal when the body is done with, however it ends.
struct Sent {
    journal: Journal,
    sequence: u64,
    bytes: u64,
}

impl Drop for Sent {
    fn drop(&mut self) {
        let bytes = self.bytes;
        self.journal.update(self.sequence, |entry| entry.bytes_sent = bytes);
    }
}
