//! Settings of the providers. Each default says why; each fact behind one is in its provider's file.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_domain::credential::LlmProvider;
use atelier_domain::operation::Provider;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::deepgram::DeepgramOptions;
use crate::elevenlabs::ElevenLabsOptions;
use crate::fal::FalOptions;
use crate::luma::LumaOptions;
use crate::pika::PikaOptions;
use crate::replicate::ReplicateOptions;
use crate::stability::StabilityOptions;
use crate::transport::{TransportSettings, TransportSetupError};
use crate::wire::Endpoint;
use crate::{deepgram, elevenlabs, fal, luma, pika, replicate, runway, stability};

/// All providers of a process. An empty table is a working configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// The HTTP client.
    pub transport: TransportSettings,
    /// ElevenLabs.
    pub elevenlabs: EndpointSettings<ElevenLabsOptions>,
    /// Deepgram.
    pub deepgram: EndpointSettings<DeepgramOptions>,
    /// Fal.
    pub fal: EndpointSettings<FalOptions>,
    /// Replicate.
    pub replicate: EndpointSettings<ReplicateOptions>,
    /// Stability AI.
    pub stability: EndpointSettings<StabilityOptions>,
    /// Runway.
    pub runway: EndpointSettings<RunwayOptions>,
    /// Pika.
    pub pika: EndpointSettings<PikaOptions>,
    /// Luma.
    pub luma: EndpointSettings<LumaOptions>,
    /// Providers of language models, by the words of credentials (`openai`, `together_ai`). Each is at its own host.
    pub llm: BTreeMap<LlmProvider, LlmSettings>,
}

/// Where one provider of language models is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LlmSettings {
    /// Another host, with the path that comes before `models`: a gateway, a simulator. The provider's own when absent.
    #[serde(deserialize_with = "web_url")]
    pub base_url: Option<Url>,
}

/// Where one provider is, how long to wait for it, and what is particular to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, bound = "Options: Deserialize<'de> + Default")]
pub struct EndpointSettings<Options> {
    /// Another host: a regional one, a simulator. May have a path. The provider's own when absent.
    pub base_url: Option<String>,
    /// For the paid call, up to the head of a media reply. Long, because giving up leaves an unknown outcome.
    pub submit_timeout_ms: u64,
    /// For one request of an upload before the paid call.
    pub upload_timeout_ms: u64,
    /// For one status request. Short, because asking again is free.
    pub check_timeout_ms: u64,
    /// For a cancel.
    pub abandon_timeout_ms: u64,
    /// What is particular to this provider.
    pub options: Options,
}

impl<Options: Default> Default for EndpointSettings<Options> {
    fn default() -> Self {
        Self {
            base_url: None,
            submit_timeout_ms: 120_000,
            upload_timeout_ms: 120_000,
            check_timeout_ms: 30_000,
            abandon_timeout_ms: 30_000,
            options: Options::default(),
        }
    }
}

/// What is particular to Runway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunwayOptions {
    /// Value of `X-Runway-Version`. The adapter is written for the default.
    pub api_version: String,
    /// Whether a 502 to a paid call counts as load shedding, that is as work not taken. The provider's pages say so,
    /// but a proxy also answers 502 when the reply got lost; off, because then the work would be paid twice.
    pub resubmit_on_load_shedding: bool,
    /// Largest image sent inside the request, before encoding. Larger ones are uploaded first.
    pub max_inline_image_bytes: usize,
    /// Largest image at all. The provider states it for images by URL only; its uploads take more.
    pub max_image_bytes: usize,
    /// What a credit costs, in millionths of a dollar: tasks report credits.
    pub credit_micro_usd: u32,
}

impl Default for RunwayOptions {
    fn default() -> Self {
        Self {
            api_version: runway::API_VERSION.to_owned(),
            resubmit_on_load_shedding: false,
            max_inline_image_bytes: runway::MAX_INLINE_IMAGE_BYTES,
            max_image_bytes: runway::MAX_IMAGE_BYTES,
            credit_micro_usd: runway::CREDIT_MICRO_USD,
        }
    }
}

/// Why the providers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Settings are wrong; all problems at once.
    #[error("the provider settings are wrong: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Transport(#[from] TransportSetupError),
}

impl ProviderSettings {
    /// What cannot work, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        match self.endpoints() {
            Err(SetupError::Settings(problems)) => problems,
            Ok(_) | Err(SetupError::Transport(_)) => Vec::new(),
        }
    }

    /// Checks everything and names every problem.
    pub(crate) fn endpoints(&self) -> Result<BTreeMap<Provider, Endpoint>, SetupError> {
        let mut endpoints = BTreeMap::new();
        let mut problems = Vec::new();
        for &provider in Provider::ALL {
            match self.endpoint(provider) {
                Ok(endpoint) => {
                    endpoints.insert(provider, endpoint);
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(endpoints) } else { Err(SetupError::Settings(problems)) }
    }

    /// Where one provider is, or every problem with it.
    pub(crate) fn endpoint(&self, provider: Provider) -> Result<Endpoint, Vec<String>> {
        let name = provider.as_str();
        let connect_ms = self.transport.connect_timeout_ms;
        match provider {
            Provider::ElevenLabs => self.elevenlabs.endpoint(name, elevenlabs::BASE_URL, connect_ms),
            Provider::Deepgram => self.deepgram.endpoint(name, deepgram::BASE_URL, connect_ms),
            Provider::Fal => self.fal.endpoint(name, fal::BASE_URL, connect_ms),
            Provider::Replicate => self.replicate.endpoint(name, replicate::BASE_URL, connect_ms),
            Provider::Stability => self.stability.endpoint(name, stability::BASE_URL, connect_ms),
            Provider::Runway => self.runway.endpoint(name, runway::BASE_URL, connect_ms),
            Provider::Pika => {
                let endpoint = self.pika.endpoint(name, pika::BASE_URL, connect_ms)?;
                self.pika.options.checked(endpoint)
            }
            Provider::Luma => self.luma.endpoint(name, luma::BASE_URL, connect_ms),
        }
    }
}

impl<Options> EndpointSettings<Options> {
    fn endpoint(
        &self,
        provider: &str,
        default_base: &str,
        connect_timeout_ms: u64,
    ) -> Result<Endpoint, Vec<String>> {
        let mut problems = Vec::new();
        for (name, value) in [
            ("submit_timeout_ms", self.submit_timeout_ms),
            ("upload_timeout_ms", self.upload_timeout_ms),
            ("check_timeout_ms", self.check_timeout_ms),
            ("abandon_timeout_ms", self.abandon_timeout_ms),
        ] {
            if value <= connect_timeout_ms {
                problems.push(format!(
                    "{provider}.{name} is {value}, but must be longer than transport.connect_timeout_ms ({connect_timeout_ms})"
                ));
            }
        }
        let base = match base_url(self.base_url.as_deref().unwrap_or(default_base)) {
            Ok(base) if problems.is_empty() => base,
            Ok(_) => return Err(problems),
            Err(problem) => {
                problems.push(format!("{provider}.base_url {problem}"));
                return Err(problems);
            }
        };
        Ok(Endpoint {
            base,
            submit_timeout: Duration::from_millis(self.submit_timeout_ms),
            upload_timeout: Duration::from_millis(self.upload_timeout_ms),
            check_timeout: Duration::from_millis(self.check_timeout_ms),
            abandon_timeout: Duration::from_millis(self.abandon_timeout_ms),
        })
    }
}

pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "is not a URL".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("has the scheme `{}`; https was expected", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("holds a query or a fragment".to_owned());
    }
    Ok(url)
}

pub(crate) fn web_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let url = text.map(|text| crate::settings::base_url(&text)).transpose();
    url.map_err(|problem| serde::de::Error::custom(format!("the URL {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_working_configuration() {
        let settings: ProviderSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, ProviderSettings::default());
        let endpoints = settings.endpoints().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(endpoints[&Provider::ElevenLabs].base.as_str(), "https://api.elevenlabs.io/");
        assert_eq!(endpoints[&Provider::Fal].base.as_str(), "https://queue.fal.run/");
        assert_eq!(endpoints[&Provider::Runway].base.as_str(), "https://api.dev.runwayml.com/");
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in [r#"{"sora": {}}"#, r#"{"fal": {"url": "x"}}"#, r#"{"runway": {"options": {"x": 1}}}"#] {
            assert!(serde_json::from_str::<ProviderSettings>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let settings: ProviderSettings = serde_json::from_str(
            r#"{"fal": {"base_url": "ftp://x"}, "runway": {"base_url": "http://u:p@x", "check_timeout_ms": 5}}"#,
        )
        .unwrap();
        let message = settings.endpoints().err().unwrap().to_string();
        for part in ["fal.base_url", "runway.base_url", "runway.check_timeout_ms"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
