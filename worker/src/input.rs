//! Brings a job's input file into the form a provider call takes.

use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::job::{Input, Job};
use atelier_domain::ports::{FetchError, PreparedInput};
use bytes::BytesMut;
use futures::StreamExt;

use crate::{NoProvider, Worker};

/// Largest input that is sent as bytes. Providers take less; their adapters say how much.
const INPUT_LIMIT_BYTES: u64 = 20 * 1024 * 1024;

impl Worker {
    /// A public https URL is passed on; an asset of ours, or a URL that a provider could not reach, goes as bytes.
    pub(crate) async fn prepare_input(&self, job: &Job) -> Result<Option<PreparedInput>, NoProvider> {
        match &job.body.spec.input {
            None => Ok(None),
            Some(Input::Url(url)) if url.starts_with("https://") => Ok(Some(PreparedInput::Url(url.clone()))),
            Some(Input::Url(url)) => self.fetch_input(url).await.map(Some),
            Some(Input::Asset(id)) => {
                let found = self.jobs.asset(&job.body.workspace_id, id).await;
                let asset = found
                    .map_err(|reason| NoProvider::Later(reason.to_string()))?
                    .ok_or_else(|| invalid(format!("the input asset {id} does not exist")))?;
                let bytes = self.assets.read(&asset.key, INPUT_LIMIT_BYTES).await;
                let bytes = bytes
                    .map_err(|reason| match reason {
                        atelier_domain::ports::PutError::Malformed { message } => invalid(message),
                        other => NoProvider::Later(other.to_string()),
                    })?
                    .ok_or_else(|| invalid(format!("the bytes of the input asset {id} do not exist")))?;
                Ok(Some(PreparedInput::Bytes { content_type: asset.content_type, bytes }))
            }
        }
    }

    async fn fetch_input(&self, url: &str) -> Result<PreparedInput, NoProvider> {
        let mut fetched = self.fetcher.fetch(url).await.map_err(|reason| match reason {
            FetchError::Unavailable { message } => NoProvider::Later(message),
            other @ (FetchError::Refused(_) | FetchError::Gone { .. }) => {
                invalid(format!("the input file cannot be read: {other}"))
            }
        })?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = fetched.body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|reason| NoProvider::Later(reason.to_string()))?);
            if bytes.len() as u64 > INPUT_LIMIT_BYTES {
                return Err(invalid(format!("the input file is larger than {INPUT_LIMIT_BYTES} bytes")));
            }
        }
        let content_type = fetched.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        Ok(PreparedInput::Bytes { content_type, bytes: bytes.freeze() })
    }
}

fn invalid(message: String) -> NoProvider {
    NoProvider::Hopeless(JobError::new(ErrorCode::Invalid, message))
}
