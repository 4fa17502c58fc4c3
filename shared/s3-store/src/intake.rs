//! Cuts a source into parts, inspecting each byte once. It holds one part and the source's last chunk, no more.

use std::time::Duration;

use atelier_domain::ports::{ByteStream, NewObject, PutError, SourceBroken};
use bytes::Bytes;
use futures::StreamExt;

use crate::buffers::Buffers;
use crate::inspect::{Facts, Inspector};
use crate::settings::S3Settings;

/// Bytes are inspected in steps of at most this many, so that a huge chunk does not hold up the other tasks.
const STEP_BYTES: usize = 1024 * 1024;

/// One part of an object.
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    /// Set on the last part: the object is complete and passed every check.
    pub(crate) facts: Option<Facts>,
}

pub(crate) struct Intake {
    source: ByteStream,
    waiting: Bytes,
    inspector: Inspector,
    announced_bytes: Option<u64>,
    taken_bytes: u64,
    part_bytes: usize,
    buffers: Buffers,
    idle_timeout: Duration,
}

impl Intake {
    pub(crate) fn new(
        object: NewObject,
        source: ByteStream,
        settings: &S3Settings,
    ) -> Result<Self, PutError> {
        Ok(Self {
            source,
            waiting: Bytes::new(),
            announced_bytes: object.length_bytes,
            inspector: Inspector::new(object, settings.max_size_bytes).map_err(malformed)?,
            taken_bytes: 0,
            part_bytes: usize::try_from(settings.part_size_bytes).unwrap_or(usize::MAX),
            buffers: Buffers::default(),
            idle_timeout: settings.source_idle_timeout(),
        })
    }

    /// The next part: full, or the last one. A part is full only when at least one more byte follows.
    pub(crate) async fn next_part(&mut self) -> Result<Part, PutError> {
        let mut part = self.buffers.take(self.expected_part_bytes());
        loop {
            if self.waiting.is_empty() {
                match self.pull().await? {
                    Some(chunk) => self.waiting = chunk,
                    None => {
                        let facts = self.inspector.finish().map_err(malformed)?;
                        return Ok(Part { bytes: self.buffers.lend(part), facts: Some(facts) });
                    }
                }
            }
            let room = self.part_bytes - part.len();
            if room == 0 {
                return Ok(Part { bytes: self.buffers.lend(part), facts: None });
            }
            let step = self.waiting.split_to(room.min(STEP_BYTES).min(self.waiting.len()));
            self.inspector.feed(&step).map_err(malformed)?;
            part.extend_from_slice(&step);
            self.taken_bytes += step.len() as u64;
            if step.len() == STEP_BYTES {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Known after the first part.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.inspector.content_type()
    }

    /// A chunk that is not empty, or None at the end.
    async fn pull(&mut self) -> Result<Option<Bytes>, PutError> {
        loop {
            match tokio::time::timeout(self.idle_timeout, self.source.next()).await {
                Ok(Some(Ok(chunk))) if chunk.is_empty() => {}
                Ok(Some(Ok(chunk))) => return Ok(Some(chunk)),
                Ok(Some(Err(broken))) => return Err(broken.into()),
                Ok(None) => return Ok(None),
                Err(_) => {
                    let message = format!("nothing came for {} ms", self.idle_timeout.as_millis());
                    return Err(SourceBroken { message }.into());
                }
            }
        }
    }

    /// What to reserve: all of a later part at once, for a first part of unknown length little, as it may be small.
    fn expected_part_bytes(&self) -> usize {
        const UNKNOWN: usize = 64 * 1024;
        let expected = match self.announced_bytes {
            Some(announced) => {
                usize::try_from(announced.saturating_sub(self.taken_bytes)).unwrap_or(usize::MAX)
            }
            None if self.taken_bytes == 0 => UNKNOWN,
            None => self.part_bytes,
        };
        expected.min(self.part_bytes)
    }
}

fn malformed(message: String) -> PutError {
    PutError::Malformed { message }
}
