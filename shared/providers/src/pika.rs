//! Pika: videos from text or from an image. Fal serves its models; the other way in is an unofficial address.
//!
//! | fact                               | value                                  | source                        | checked    | kind       |
//! |------------------------------------|----------------------------------------|-------------------------------|------------|------------|
//! | public API of its own              | none; developers are sent to Fal       | pages about Pika, 2026-07     | 2026-11-24 | documented |
//! | protocol, key, errors, webhooks    | Fal's, see `fal.rs`                    | fal pages                     | 2026-11-24 | documented |
//! | endpoints                          | `fal-ai/pika/{version}/text-to-video`, `.../image-to-video` | @fal-ai/client 1.10.1 | 2026-11-24 | documented |
//! | versions                           | `v2.2`, `v2.1`, `v2/turbo`             | @fal-ai/client 1.10.1         | 2026-11-24 | documented |
//! | `pika-1.0`, `pika-1.5`             | no endpoint makes videos of them       | @fal-ai/client 1.10.1         | 2026-11-24 | documented |
//! | `duration`                         | 5, with 2.2 also 10; a number is sent  | types say number (2.1) and text (2.2) | 2026-11-24 | assumed |
//! | `aspect_ratio` with an image       | not taken: the video follows the image | @fal-ai/client 1.10.1         | 2026-11-24 | documented |
//! | 404 to a submit                    | the model is gone: all names are known ones | none                     | 2026-11-24 | assumed    |
//! | mode `direct`                      | see `pika/direct.rs`                   | library mediarails, 2026-04   | 2026-11-24 | assumed    |

use atelier_domain::Timestamp;
use atelier_domain::error::ProviderError;
use atelier_domain::job::JobSpec;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{
    Abandoned, Callback, CallbackRefusal, CallbackRequest, InputForms, ProviderKey, SubmitCall,
};
use serde::Deserialize;
use serde_json::{Map, Value};

mod direct;

use crate::asked;
use crate::exchange::{HttpReply, HttpRequest};
use crate::fal::queue::ModelPath;
use crate::fal::{FalOptions, callback, input, queue, storage};
use crate::wire::{Answered, CheckStep, Endpoint, FileBytes, Look, Question, UploadStep, Wire, invalid};

/// Where Pika's models are served.
pub(crate) const BASE_URL: &str = crate::fal::BASE_URL;

/// What is particular to Pika.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PikaOptions {
    /// Who is asked.
    pub mode: PikaMode,
    /// In the mode `fal`: what is particular to Fal.
    pub fal: FalOptions,
}

/// Who is asked for Pika's videos.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PikaMode {
    /// Fal, with a key of Fal.
    #[default]
    Fal,
    /// An unofficial address, which `base_url` must name. Text to video only.
    Direct,
}

impl PikaOptions {
    /// There is no address to fall back on in the mode `direct`.
    pub(crate) fn checked(&self, endpoint: Endpoint) -> Result<Endpoint, Vec<String>> {
        if self.mode == PikaMode::Direct && endpoint.is_at(BASE_URL) {
            return Err(vec!["pika.base_url must name the address for the mode `direct`".to_owned()]);
        }
        Ok(endpoint)
    }
}

/// The protocol of Pika.
pub(crate) struct Pika {
    options: PikaOptions,
}

impl Pika {
    pub(crate) fn new(options: PikaOptions) -> Self {
        Self { options }
    }
}

impl Wire for Pika {
    const PROVIDER: Provider = Provider::Pika;

    fn input_forms(&self, _spec: &JobSpec, _option: Option<&str>) -> InputForms {
        match self.options.mode {
            PikaMode::Fal => self.options.fal.input_forms(),
            PikaMode::Direct => InputForms { takes_url: false, max_bytes: None },
        }
    }

    fn encode_upload(
        &self,
        file: &FileBytes<'_>,
        _spec: &JobSpec,
        key: &ProviderKey,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        match self.options.mode {
            PikaMode::Fal => storage::announce(file, key, &self.options.fal, endpoint),
            PikaMode::Direct => Ok(None),
        }
    }

    fn decode_upload(
        &self,
        reply: &HttpReply,
        file: &FileBytes<'_>,
        _endpoint: &Endpoint,
    ) -> Result<UploadStep, ProviderError> {
        storage::announced(reply, file)
    }

    fn encode_submit(&self, call: &SubmitCall, endpoint: &Endpoint) -> Result<HttpRequest, ProviderError> {
        match self.options.mode {
            PikaMode::Fal => {
                let path = model_path(&call.spec)?;
                let input = model_input(call, self.options.fal.max_inline_bytes)?;
                queue::submit(&ModelPath::read(&path)?, input, call, &self.options.fal, endpoint)
            }
            PikaMode::Direct => direct::submit(call, endpoint),
        }
    }

    fn decode_submit(
        &self,
        reply: &HttpReply,
        _spec: &JobSpec,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Answered, ProviderError> {
        match self.options.mode {
            PikaMode::Fal => queue::submitted(reply, endpoint, now).map_err(|error| match error {
                ProviderError::Invalid { message, .. } if reply.head.status == 404 => {
                    ProviderError::ModelRetired { message }
                }
                other => other,
            }),
            PikaMode::Direct => direct::submitted(reply, now),
        }
    }

    fn encode_check(&self, look: &Look<'_>, endpoint: &Endpoint) -> Result<Question, ProviderError> {
        match self.options.mode {
            PikaMode::Fal => {
                let path = model_path(look.spec)?;
                queue::ask_status(&ModelPath::read(&path)?, look, endpoint).map(Question::Ask)
            }
            PikaMode::Direct => direct::ask(look, endpoint).map(Question::Ask),
        }
    }

    fn decode_check(
        &self,
        reply: &HttpReply,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<CheckStep, ProviderError> {
        match self.options.mode {
            PikaMode::Fal => {
                let path = model_path(look.spec)?;
                queue::status(reply, &ModelPath::read(&path)?, look, endpoint)
            }
            PikaMode::Direct => direct::status(reply).map(CheckStep::Done),
        }
    }

    fn encode_abandon(
        &self,
        look: &Look<'_>,
        endpoint: &Endpoint,
    ) -> Result<Option<HttpRequest>, ProviderError> {
        match self.options.mode {
            PikaMode::Fal => {
                let path = model_path(look.spec)?;
                queue::cancel(&ModelPath::read(&path)?, look, endpoint).map(Some)
            }
            PikaMode::Direct => Ok(None),
        }
    }

    fn decode_abandon(&self, reply: &HttpReply) -> Result<Abandoned, ProviderError> {
        queue::cancelled(reply)
    }

    fn callback_keys(&self, endpoint: &Endpoint) -> Option<HttpRequest> {
        match self.options.mode {
            PikaMode::Fal => Some(storage::key_set(&self.options.fal, endpoint)),
            PikaMode::Direct => None,
        }
    }

    fn decode_callback(
        &self,
        request: &CallbackRequest,
        keys: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Callback, CallbackRefusal> {
        match self.options.mode {
            PikaMode::Fal => {
                let tolerance = self.options.fal.callback_tolerance();
                callback::judge(request, keys.unwrap_or_default(), tolerance, now)
            }
            PikaMode::Direct => Err(CallbackRefusal::NotExpected { provider: Self::PROVIDER }),
        }
    }
}

// ---------------------------------------------------------------- fal

/// The endpoint of a model at Fal.
fn model_path(spec: &JobSpec) -> Result<String, ProviderError> {
    let version = match spec.model.as_str() {
        "pika-2.2" => "v2.2",
        "pika-2.1" => "v2.1",
        "pika-2-turbo" => "v2/turbo",
        gone @ ("pika-1.0" | "pika-1.5") => {
            let message = format!("`{gone}` is served no longer: no endpoint makes videos with it");
            return Err(ProviderError::ModelRetired { message });
        }
        other => return Err(invalid(format!("`{other}` is not a model of pika"))),
    };
    let task = match spec.operation {
        Operation::VideoGen => "text-to-video",
        Operation::VideoFromImage => "image-to-video",
        other @ (Operation::Tts | Operation::Stt | Operation::ImageGen | Operation::ImageEdit) => {
            return Err(invalid(format!("pika does not do `{other}`; it makes videos")));
        }
    };
    Ok(format!("fal-ai/pika/{version}/{task}"))
}

fn model_input(call: &SubmitCall, max_inline_bytes: usize) -> Result<Map<String, Value>, ProviderError> {
    let spec = &call.spec;
    let prompt = asked::prompt(spec).ok_or_else(|| invalid("a prompt is needed"))?;
    let mut body = options(spec)?;
    body.insert("prompt".to_owned(), Value::from(prompt));
    if spec.operation.needs_input() {
        let url = input::url(asked::input_image(call)?, "the input", max_inline_bytes)?;
        body.insert("image_url".to_owned(), Value::from(url));
    }
    Ok(body)
}

/// The options, each of which the provider knows.
fn options(spec: &JobSpec) -> Result<Map<String, Value>, ProviderError> {
    let mut options = Map::new();
    for (name, value) in asked::options(spec) {
        let value = match name {
            "duration" => duration(value)?,
            "resolution" | "negative_prompt" | "seed" => value.clone(),
            "aspect_ratio" if spec.operation.needs_input() => {
                return Err(invalid(
                    "`aspect_ratio` is not taken with an image: the video follows the image",
                ));
            }
            "aspect_ratio" => value.clone(),
            other => return Err(invalid(format!("the option `{other}` is not known for pika"))),
        };
        options.insert(name.to_owned(), value);
    }
    Ok(options)
}

/// Seconds as a number, whichever way they are written.
fn duration(value: &Value) -> Result<Value, ProviderError> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.trim_end_matches('s').parse().ok());
    seconds.map(Value::from).ok_or_else(|| invalid("`duration` must be a whole number of seconds"))
}

#[cfg(test)]
#[path = "pika_tests.rs"]
mod tests;
