//! Brings a job's input files into the forms that the provider call takes.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::foreign::check_url;
use atelier_domain::job::{Input, Job};
use atelier_domain::ports::{FetchError, InputForms, MediaProvider, PreparedInput, PutError};
use bytes::BytesMut;
use futures::StreamExt;

use crate::{NoProvider, Worker};

/// Largest input that a worker holds in memory. What is larger goes as a URL where the provider takes one.
const INPUT_LIMIT_BYTES: u64 = 20 * 1024 * 1024;

/// How long a provider may fetch an input of ours. It may queue the job for long before it does.
const INPUT_URL_TTL: Duration = Duration::from_secs(6 * 3600);

/// An object of our store.
struct Stored<'a> {
    key: &'a str,
    content_type: &'a str,
    size_bytes: u64,
}

impl Worker {
    /// The job's input and the files of its options.
    pub(crate) async fn prepare_inputs(
        &self,
        job: &Job,
        provider: &dyn MediaProvider,
    ) -> Result<(Option<PreparedInput>, BTreeMap<String, PreparedInput>), NoProvider> {
        let spec = &job.body.spec;
        let input = match &spec.input {
            None => None,
            Some(input) => Some(self.prepare(job, input, provider.input_forms(spec, None)).await?),
        };
        let mut files = BTreeMap::new();
        for (option, file) in &spec.files {
            let forms = provider.input_forms(spec, Some(option));
            files.insert(option.clone(), self.prepare(job, file, forms).await?);
        }
        Ok((input, files))
    }

    /// What is at hand as a URL goes as a URL, what is at hand as bytes goes as bytes, as far as the provider takes it.
    async fn prepare(
        &self,
        job: &Job,
        input: &Input,
        forms: InputForms,
    ) -> Result<PreparedInput, NoProvider> {
        match input {
            // A provider cannot reach what is not https: that is an exception of development.
            Input::Url(url)
                if forms.takes_url && (url.starts_with("https://") || forms.max_bytes.is_none()) =>
            {
                Ok(PreparedInput::Url(url.clone()))
            }
            Input::Url(url) => self.fetch_input(url, byte_limit(forms)).await,
            Input::Asset(id) => {
                let found = self.jobs.asset(&job.body.workspace_id, id).await;
                let asset = found
                    .map_err(|reason| NoProvider::Later(reason.to_string()))?
                    .ok_or_else(|| invalid(format!("the input asset {id} does not exist")))?;
                let stored = Stored {
                    key: &asset.key,
                    content_type: &asset.content_type,
                    size_bytes: asset.size_bytes,
                };
                self.prepare_stored(stored, forms).await
            }
            Input::Staged(staged) => {
                let stored = Stored {
                    key: &staged.key,
                    content_type: &staged.content_type,
                    size_bytes: staged.size_bytes,
                };
                self.prepare_stored(stored, forms).await
            }
        }
    }

    async fn prepare_stored(
        &self,
        stored: Stored<'_>,
        forms: InputForms,
    ) -> Result<PreparedInput, NoProvider> {
        let limit = byte_limit(forms);
        if stored.size_bytes <= limit {
            let bytes = self.assets.read(stored.key, limit).await;
            let bytes = bytes
                .map_err(|reason| match reason {
                    PutError::Malformed { message } => invalid(message),
                    other => NoProvider::Later(other.to_string()),
                })?
                .ok_or_else(|| invalid("the bytes of the input do not exist any more".to_owned()))?;
            return Ok(PreparedInput::Bytes { content_type: stored.content_type.to_owned(), bytes });
        }
        if forms.takes_url {
            return self.sign_input(stored.key).await;
        }
        let size_bytes = stored.size_bytes;
        Err(invalid(format!("the input has {size_bytes} bytes; the provider takes at most {limit}")))
    }

    async fn sign_input(&self, key: &str) -> Result<PreparedInput, NoProvider> {
        let url = self.assets.signed_input_url(key, INPUT_URL_TTL).await;
        let url = url.map_err(|reason| NoProvider::Later(reason.to_string()))?;
        match check_url(&url, &self.exceptions) {
            Ok(address) if address.scheme() == "https" || self.exceptions.covers(&address) => {
                Ok(PreparedInput::Url(url))
            }
            Ok(_) | Err(_) => Err(invalid(
                "the provider must fetch the input itself, but the asset store has no public https address \
                 (`s3.public_endpoint`); an `input_url` that the provider can reach would do"
                    .to_owned(),
            )),
        }
    }

    async fn fetch_input(&self, url: &str, limit: u64) -> Result<PreparedInput, NoProvider> {
        let mut fetched = self.fetcher.fetch(url).await.map_err(|reason| match reason {
            FetchError::Unavailable { message } => NoProvider::Later(message),
            other @ (FetchError::Refused(_) | FetchError::Gone { .. }) => {
                invalid(format!("the input file cannot be read: {other}"))
            }
        })?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = fetched.body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|reason| NoProvider::Later(reason.to_string()))?);
            if bytes.len() as u64 > limit {
                return Err(invalid(format!("the input file is larger than {limit} bytes")));
            }
        }
        let content_type = fetched.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        Ok(PreparedInput::Bytes { content_type, bytes: bytes.freeze() })
    }
}

fn byte_limit(forms: InputForms) -> u64 {
    forms.max_bytes.unwrap_or(0).min(INPUT_LIMIT_BYTES)
}

fn invalid(message: String) -> NoProvider {
    NoProvider::Hopeless(JobError::new(ErrorCode::Invalid, message))
}
