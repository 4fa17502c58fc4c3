//! The step `deliver`: streams finished outputs into the asset store. May be repeated at any point: the same job and
//! index give the same key (INV-5), and nothing is shown before everything is stored.

use atelier_domain::asset::{self, Asset, MadeBy};
use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::ids::AssetId;
use atelier_domain::job::{Epoch, Job, Output, OutputSource};
use atelier_domain::operation::Operation;
use atelier_domain::policy::SourceFault;
use atelier_domain::ports::{
    ByteStream, Claim, ClaimError, ExpectedContent, FetchError, NewObject, PutError, SpoolError,
};
use atelier_domain::state::State;
use futures::stream;
use tracing::warn;

use crate::{StepError, Worker};

/// Why one output was not stored.
pub(crate) enum Undelivered {
    /// Its source.
    Source(JobError, SourceFault),
    /// The store, or the spool.
    Store(String),
}

struct Opened {
    body: ByteStream,
    content_type: Option<String>,
    length_bytes: Option<u64>,
}

impl Worker {
    pub(crate) async fn deliver(&self, claim: &dyn Claim) -> Result<(), StepError> {
        let job = claim.job().clone();
        match job.state {
            State::Delivering => {}
            State::Queued
            | State::Submitting
            | State::Awaiting
            | State::Uncertain
            | State::Succeeded
            | State::Failed
            | State::Cancelled => return self.hand_back(claim, job).await,
        }
        let stored = match self.store_outputs(&job).await {
            Ok(stored) => stored,
            Err(Undelivered::Source(error, fault)) => {
                let decision = self.policy.source_failed(job, error, fault, self.now(), rand::random())?;
                return self.settle(claim, decision).await;
            }
            Err(Undelivered::Store(reason)) => {
                warn!(job.id = %job.id, reason, "asset store does not take the result yet");
                let decision = self.policy.store_failed(job, self.now(), rand::random())?;
                return self.settle(claim, decision).await;
            }
        };
        let decision = self.policy.delivered(job.clone(), stored.clone(), self.now())?;
        match self.settle(claim, decision).await {
            Ok(()) => {
                self.forget_spooled(&job).await;
                Ok(())
            }
            Err(StepError::Claim(ClaimError::Stale(Some(present)))) if present.state == State::Cancelled => {
                for asset in &stored {
                    if let Err(reason) = self.assets.remove(&asset.key).await {
                        warn!(job.id = %job.id, error = %reason, "object of a cancelled job remains");
                    }
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Brings all outputs of a job into the asset store.
    pub(crate) async fn store_outputs(&self, job: &Job) -> Result<Vec<Asset>, Undelivered> {
        let mut stored = Vec::with_capacity(job.body.outputs.len());
        for (index, output) in (0u16..).zip(&job.body.outputs) {
            stored.push(self.store_output(job, index, output).await?);
        }
        Ok(stored)
    }

    async fn store_output(&self, job: &Job, index: u16, output: &Output) -> Result<Asset, Undelivered> {
        let opened = self.open(job, index, output).await?;
        let spec = &job.body.spec;
        let object = NewObject {
            key_prefix: asset::object_key_prefix(&job.body.workspace_id, job.body.created_at, &job.id, index),
            claimed_type: output.content_type.clone().or(opened.content_type),
            expects: expected(spec.operation, output.content_type.as_deref()),
            length_bytes: opened.length_bytes,
        };
        let object = self.assets.put(object, opened.body).await.map_err(undelivered)?;
        let asset = Asset {
            id: AssetId::of(&job.id, index),
            workspace_id: job.body.workspace_id.clone(),
            made_by: Some(MadeBy {
                job_id: job.id.clone(),
                index,
                operation: spec.operation,
                provider: spec.provider,
                model: spec.model.clone(),
            }),
            name: None,
            metadata: serde_json::Map::new(),
            key: object.key,
            content_type: object.content_type,
            size_bytes: object.size_bytes,
            sha256: object.sha256,
            media: object.facts,
            seed: output.seed,
            revised_prompt: output.revised_prompt.clone(),
            created_at: self.now(),
        };
        self.assets.put_manifest(&asset).await.map_err(undelivered)?;
        Ok(asset)
    }

    async fn open(&self, job: &Job, index: u16, output: &Output) -> Result<Opened, Undelivered> {
        match &output.source {
            OutputSource::Link(url) => {
                let fetched = self.fetcher.fetch(url).await.map_err(|reason| match reason {
                    FetchError::Refused(_) => {
                        Undelivered::Source(malformed(reason.to_string()), SourceFault::Final)
                    }
                    FetchError::Gone { .. } => {
                        Undelivered::Source(malformed(reason.to_string()), SourceFault::Gone)
                    }
                    FetchError::Unavailable { .. } => Undelivered::Source(
                        JobError::new(ErrorCode::Exhausted, reason.to_string()),
                        SourceFault::Passing,
                    ),
                })?;
                Ok(Opened {
                    body: fetched.body,
                    content_type: fetched.content_type,
                    length_bytes: fetched.length_bytes,
                })
            }
            // Nothing was written: silence has no words.
            OutputSource::Spool { size_bytes: 0, .. } => {
                Ok(Opened { body: Box::pin(stream::empty()), content_type: None, length_bytes: Some(0) })
            }
            OutputSource::Spool { epoch, size_bytes } => {
                let body =
                    self.spool.read(&job.id, Epoch(*epoch), index).await.map_err(|reason| match reason {
                        SpoolError::Gone | SpoolError::TooLarge { .. } => Undelivered::Source(
                            JobError::new(ErrorCode::Exhausted, "the kept bytes of the paid reply are gone"),
                            SourceFault::Final,
                        ),
                        SpoolError::Source(_) | SpoolError::Unavailable(_) => {
                            Undelivered::Store(reason.to_string())
                        }
                    })?;
                Ok(Opened { body, content_type: None, length_bytes: Some(*size_bytes) })
            }
        }
    }

    /// The spool's keys have a time to live, too; this only frees the memory early.
    pub(crate) async fn forget_spooled(&self, job: &Job) {
        for (index, output) in (0u16..).zip(&job.body.outputs) {
            if let OutputSource::Spool { epoch, .. } = output.source
                && let Err(reason) = self.spool.forget(&job.id, Epoch(epoch), index).await
            {
                warn!(job.id = %job.id, error = %reason, "spooled bytes stay until they expire");
            }
        }
    }
}

/// What an output must be: a transcript is text, beside it stands its JSON, and all other operations make media.
fn expected(operation: Operation, content_type: Option<&str>) -> ExpectedContent {
    match operation {
        Operation::Stt if content_type.is_some_and(|named| asset::essence(named) == "application/json") => {
            ExpectedContent::Json
        }
        Operation::Stt => ExpectedContent::Text,
        Operation::Tts
        | Operation::ImageGen
        | Operation::ImageEdit
        | Operation::VideoGen
        | Operation::VideoFromImage => ExpectedContent::Media(operation.media_kind()),
    }
}

fn undelivered(reason: PutError) -> Undelivered {
    match reason {
        PutError::Malformed { message } => Undelivered::Source(malformed(message), SourceFault::Passing),
        PutError::Source(broken) => Undelivered::Source(malformed(broken.to_string()), SourceFault::Passing),
        PutError::Unavailable(source) => Undelivered::Store(source.to_string()),
    }
}

fn malformed(message: String) -> JobError {
    JobError::new(ErrorCode::Malformed, message)
}
