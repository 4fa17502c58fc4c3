//! One object on its way out, piece by piece: nothing of it is held but the piece that has just come.

use std::ops::RangeInclusive;
use std::time::Duration;

use atelier_domain::ports::{ByteStream, OpenedObject, PutError, SourceBroken};
use aws_sdk_s3::primitives::ByteStream as Incoming;
use bytes::Bytes;
use futures::stream;

use crate::call;
use crate::store::S3Store;

/// What has been asked for begins after the object's end.
const OUT_OF_RANGE: u16 = 416;

impl S3Store {
    /// The call is repeated as any other; the stream, once begun, is not.
    pub(crate) async fn open_object(
        &self,
        key: &str,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<Option<OpenedObject>, PutError> {
        let asked = range.as_ref().map(|range| format!("bytes={}-{}", range.start(), range.end()));
        let shared = &self.shared;
        let sending =
            shared.client.get_object().bucket(&shared.settings.bucket).key(key).set_range(asked).send();
        let output = match call::run(shared.call("GetObject", Some(key)), sending).await {
            Err(error) if error.is_missing() || error.has_status(OUT_OF_RANGE) => return Ok(None),
            other => other?,
        };
        let announced = output.content_length().and_then(|length| u64::try_from(length).ok());
        let Some(length_bytes) = announced else { return Err(unusable("no length")) };
        // A store that knows no ranges gives the whole.
        if range.is_some() && output.content_range().is_none() {
            return Err(unusable("another part than it was asked for"));
        }
        let idle = shared.settings.source_idle_timeout();
        Ok(Some(OpenedObject { length_bytes, body: pieces(output.body, length_bytes, idle) }))
    }
}

fn unusable(what: &str) -> PutError {
    PutError::Unavailable(format!("S3 GetObject gave {what}").into())
}

/// The pieces as they come. It ends with an error when the store breaks off, falls silent, or gives another length than
/// it said.
fn pieces(body: Incoming, length_bytes: u64, idle: Duration) -> ByteStream {
    Box::pin(stream::try_unfold((body, length_bytes), move |(mut body, left)| async move {
        match next(&mut body, idle).await? {
            Some(piece) => {
                let left = left.checked_sub(piece.len() as u64).ok_or_else(|| broken("more than it said"))?;
                Ok(Some((piece, (body, left))))
            }
            None if left == 0 => Ok(None),
            None => Err(broken("less than it said")),
        }
    }))
}

async fn next(body: &mut Incoming, idle: Duration) -> Result<Option<Bytes>, SourceBroken> {
    match tokio::time::timeout(idle, body.next()).await {
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        // The cause may name an address of ours; what was seen is enough.
        Ok(Some(Err(_))) => Err(SourceBroken { message: "the store broke off".to_owned() }),
        Ok(None) => Ok(None),
        Err(_) => Err(SourceBroken { message: format!("the store was silent for {} ms", idle.as_millis()) }),
    }
}

fn broken(what: &str) -> SourceBroken {
    SourceBroken { message: format!("the store gave {what}") }
}
