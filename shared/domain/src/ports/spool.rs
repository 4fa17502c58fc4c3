//! The spool: bytes that came with a reply, kept until the asset store has them.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;

use super::{BoxError, ByteStream, Finished, SourceBroken};
use crate::ids::JobId;
use crate::job::{Epoch, Output, OutputSource};
use crate::policy::Received;

/// Keeps bytes that came with a paid reply until the asset store has them.
#[async_trait]
pub trait Spool: Send + Sync {
    /// Keeps a stream; returns its length. Fails with `TooLarge` above the limit of the spool.
    async fn keep(&self, job: &JobId, epoch: Epoch, index: u16, bytes: ByteStream)
    -> Result<u64, SpoolError>;
    /// The bytes kept by that claim.
    async fn read(&self, job: &JobId, epoch: Epoch, index: u16) -> Result<ByteStream, SpoolError>;
    /// Forgets them.
    async fn forget(&self, job: &JobId, epoch: Epoch, index: u16) -> Result<(), SpoolError>;
}

/// Why the spool did not keep or give.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The reply broke off.
    #[error(transparent)]
    Source(#[from] SourceBroken),
    /// More than the spool takes.
    #[error("the reply is larger than the spool's limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Nothing under that name.
    #[error("the spool no longer holds these bytes")]
    Gone,
    /// The spool itself failed.
    #[error("the spool is not available")]
    Unavailable(#[source] BoxError),
}

/// Keeps everything of a result that came whole, under this claim.
pub async fn keep_finished(
    spool: &dyn Spool,
    job: &JobId,
    epoch: Epoch,
    finished: Finished,
) -> Result<Received, SpoolError> {
    let mut outputs = Vec::with_capacity(finished.outputs.len());
    for (index, output) in (0u16..).zip(finished.outputs) {
        let bytes: ByteStream = Box::pin(stream::iter([Ok(output.bytes)]));
        let size_bytes = spool.keep(job, epoch, index, bytes).await?;
        outputs.push(Output {
            source: OutputSource::Spool { epoch: epoch.0, size_bytes },
            content_type: output.content_type,
            seed: output.seed,
            revised_prompt: output.revised_prompt,
        });
    }
    Ok(Received { outputs, text: finished.text, cost: finished.cost })
}

/// Keeps the outputs that stand in their own link (`data:`) under this claim, so that no record carries their bytes.
/// The others stay as they are.
pub async fn keep_inline(
    spool: &dyn Spool,
    job: &JobId,
    epoch: Epoch,
    outputs: Vec<Output>,
) -> Result<Vec<Output>, SpoolError> {
    let mut kept = Vec::with_capacity(outputs.len());
    for (index, mut output) in (0u16..).zip(outputs) {
        if let OutputSource::Link(link) = &output.source
            && let Some(uri) = link.strip_prefix("data:")
        {
            let (content_type, bytes) = inline(uri).ok_or_else(|| SourceBroken {
                message: "a result in a data URI is not readable".to_owned(),
            })?;
            output.content_type = output.content_type.or(content_type);
            let bytes: ByteStream = Box::pin(stream::iter([Ok(bytes)]));
            let size_bytes = spool.keep(job, epoch, index, bytes).await?;
            output.source = OutputSource::Spool { epoch: epoch.0, size_bytes };
        }
        kept.push(output);
    }
    Ok(kept)
}

/// What a data URI without its scheme holds. Media come in base64; another form is none.
fn inline(uri: &str) -> Option<(Option<String>, Bytes)> {
    let (head, data) = uri.split_once(',')?;
    let named = head.strip_suffix(";base64")?;
    let bytes = STANDARD.decode(data).ok()?;
    Some(((!named.is_empty()).then(|| named.to_owned()), bytes.into()))
}
