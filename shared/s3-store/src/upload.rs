//! One multipart upload. It ends in exactly one of two ways: completed, or aborted by a task that the store owns.
//!
//! Every call of it that changes something at the store runs in such a task, never in the caller's future. So a caller
//! that goes away cannot leave a call half done: the task finishes it, sees that nobody waits, and clears up.

use std::sync::Arc;
use std::time::Duration;

use atelier_domain::ports::PutError;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use crate::call::{self, Call, CallError};
use crate::settings::S3Settings;

/// Key of the object metadata that names the writing attempt.
pub(crate) const ATTEMPT: &str = "atelier-attempt";
/// Pauses between the tries of an abort. After the last one the housekeeping does it, or the bucket's lifecycle rule.
const ABORT_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// What all operations of a store share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) settings: S3Settings,
    pub(crate) tasks: TaskTracker,
    pub(crate) runtime: Handle,
}

impl Shared {
    pub(crate) fn call<'a>(&'a self, method: &'static str, key: Option<&'a str>) -> Call<'a> {
        Call {
            method,
            bucket: &self.settings.bucket,
            region: &self.settings.region,
            key,
            upload_id: None,
            part_number: None,
            limit: self.settings.call_timeout(),
        }
    }

    /// Starts a task that [`crate::S3Store::close`] waits for. Its spans stay below the caller's.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn_on(task.instrument(Span::current()), &self.runtime)
    }

    /// Whether the object under `key` is what `attempt` wrote. Asked when an answer was lost.
    pub(crate) async fn is_written_by(&self, key: &str, attempt: &str) -> bool {
        let sending = self.client.head_object().bucket(&self.settings.bucket).key(key).send();
        match call::run(self.call("HeadObject", Some(key)), sending).await {
            Ok(found) => {
                found.metadata().and_then(|metadata| metadata.get(ATTEMPT)).is_some_and(|by| by == attempt)
            }
            Err(_) => false,
        }
    }
}

/// An open upload. Dropping it aborts it.
pub(crate) struct Upload {
    shared: Arc<Shared>,
    key: String,
    upload_id: String,
    attempt: String,
    sending: Option<JoinHandle<Result<CompletedPart, CallError>>>,
    sent: Vec<CompletedPart>,
    is_open: bool,
    span: Span,
}

impl Upload {
    pub(crate) async fn create(
        shared: &Arc<Shared>,
        key: &str,
        content_type: &str,
        attempt: String,
    ) -> Result<Self, PutError> {
        let (answer, created) = oneshot::channel();
        let (task, key, content_type) = (Arc::clone(shared), key.to_owned(), content_type.to_owned());
        let span = Span::current();
        shared.spawn(async move {
            let sending = task
                .client
                .create_multipart_upload()
                .bucket(&task.settings.bucket)
                .key(&key)
                .content_type(content_type)
                .metadata(ATTEMPT, &attempt)
                .send();
            let result = call::run(task.call("CreateMultipartUpload", Some(&key)), sending).await;
            let upload = result.map(|output| Self {
                shared: Arc::clone(&task),
                upload_id: output.upload_id().unwrap_or_default().to_owned(),
                key,
                attempt,
                sending: None,
                sent: Vec::new(),
                is_open: true,
                span,
            });
            // When nobody waits any more the upload comes back here, is dropped, and so aborted.
            drop(answer.send(upload));
        });
        Ok(created.await.map_err(|gone| PutError::Unavailable(gone.into()))??)
    }

    /// Begins to send a part. The one before must have been awaited with [`Upload::sent`].
    pub(crate) fn send(&mut self, bytes: Bytes) {
        let number = i32::try_from(self.sent.len() + 1).unwrap_or(i32::MAX);
        let (shared, key, upload_id) = (Arc::clone(&self.shared), self.key.clone(), self.upload_id.clone());
        self.sending = Some(self.shared.spawn(async move {
            let sending = shared
                .client
                .upload_part()
                .bucket(&shared.settings.bucket)
                .key(&key)
                .upload_id(&upload_id)
                .part_number(number)
                .body(bytes.into())
                .send();
            let call = Call {
                upload_id: Some(&upload_id),
                part_number: Some(number),
                limit: shared.settings.transfer_timeout(),
                ..shared.call("UploadPart", Some(&key))
            };
            let output = call::run(call, sending).await?;
            Ok(CompletedPart::builder().part_number(number).set_e_tag(output.e_tag).build())
        }));
    }

    /// Waits until the part is there.
    pub(crate) async fn sent(&mut self) -> Result<(), PutError> {
        if let Some(sending) = self.sending.as_mut() {
            let part = sending.await;
            self.sending = None;
            self.sent.push(part.map_err(|gone| PutError::Unavailable(gone.into()))??);
        }
        Ok(())
    }

    /// Joins the parts: only now the object becomes visible. A lost answer is looked up.
    pub(crate) async fn complete(self) -> Result<(), PutError> {
        let shared = Arc::clone(&self.shared);
        let task = shared.spawn(self.complete_in_task());
        Ok(task.await.map_err(|gone| PutError::Unavailable(gone.into()))??)
    }

    async fn complete_in_task(mut self) -> Result<(), CallError> {
        let parts =
            CompletedMultipartUpload::builder().set_parts(Some(std::mem::take(&mut self.sent))).build();
        let shared = Arc::clone(&self.shared);
        let sending = shared
            .client
            .complete_multipart_upload()
            .bucket(&shared.settings.bucket)
            .key(&self.key)
            .upload_id(&self.upload_id)
            .multipart_upload(parts)
            .send();
        let call = Call {
            upload_id: Some(&self.upload_id),
            limit: shared.settings.transfer_timeout(),
            ..shared.call("CompleteMultipartUpload", Some(&self.key))
        };
        let result = call::run(call, sending).await;
        match result {
            Err(error) if !shared.is_written_by(&self.key, &self.attempt).await => Err(error),
            Ok(_) | Err(_) => {
                self.is_open = false;
                Ok(())
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let (key, upload_id) = (std::mem::take(&mut self.key), std::mem::take(&mut self.upload_id));
        let sending = self.sending.take();
        let entered = self.span.enter();
        self.shared.spawn(async move {
            // A part that arrives after an abort would stay for ever, so it is waited for; it has a limit of its own.
            if let Some(sending) = sending {
                let _ = sending.await;
            }
            abort(&shared, &key, &upload_id).await;
        });
        drop(entered);
    }
}

/// What became of an abort.
pub(crate) enum Abort {
    /// The upload is gone now.
    Done,
    /// It was gone before.
    Gone,
}

/// Tells the store once to drop an upload.
pub(crate) async fn abort_once(shared: &Shared, key: &str, upload_id: &str) -> Result<Abort, CallError> {
    let sending = shared
        .client
        .abort_multipart_upload()
        .bucket(&shared.settings.bucket)
        .key(key)
        .upload_id(upload_id)
        .send();
    let call = Call { upload_id: Some(upload_id), ..shared.call("AbortMultipartUpload", Some(key)) };
    match call::run(call, sending).await {
        Ok(_) => Ok(Abort::Done),
        Err(error) if error.is_missing() => Ok(Abort::Gone),
        Err(error) => Err(error),
    }
}

async fn abort(shared: &Shared, key: &str, upload_id: &str) {
    for pause in ABORT_PAUSES {
        tokio::time::sleep(pause).await;
        match abort_once(shared, key, upload_id).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(error = %error, "abort of a multipart upload failed"),
        }
    }
    tracing::warn!(
        "aws.s3.key" = key,
        "aws.s3.upload_id" = upload_id,
        "parts of a failed upload were left behind"
    );
}
