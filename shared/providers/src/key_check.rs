//! Whether a key is good: the cheapest call of each provider that needs one. None of them costs anything.
//!
//! | provider | call | source | checked | kind |
//! |---|---|---|---|---|
//! | ElevenLabs | `GET /v1/user`; 401 with `missing_permissions` means a good key with fewer rights | OpenAPI, public samples | 2026-11-25 | documented |
//! | Deepgram | `GET /v1/projects` | Python SDK 7.17.0 | 2026-11-25 | documented |
//! | Fal, and Pika through it | the status of a request that nobody made: 401 or 403 without a good key, else 404 or 422 | none | 2026-11-25 | assumed |
//! | Fal, out of money | 403 with `locked` in its text: the key is good | public samples | 2026-11-25 | observed |
//! | Pika, direct | the status of a request that nobody made | none | 2026-11-25 | assumed |
//! | Replicate | `GET /v1/account` | OpenAPI | 2026-11-25 | documented |
//! | Stability AI | `GET /v1/user/balance` | OpenAPI | 2026-11-25 | documented |
//! | Runway | `GET /v1/organization` | SDK 5.24.0 | 2026-11-25 | documented |
//! | Luma | `GET /credits`; a key of the Agents API: the generation that nobody made | SDKs | 2026-11-25 | documented, assumed |
//! | OpenAI and those like it | `GET /models` with `Authorization: Bearer` | their OpenAPI | 2026-11-25 | documented |
//! | OpenRouter | `GET /key`; its list of models is open to all | docs | 2026-11-25 | documented |
//! | Anthropic | `GET /v1/models` with `x-api-key` | docs | 2026-11-25 | documented |
//! | Gemini | `GET /v1beta/models` with `x-goog-api-key`; a bad key is 400 with `API_KEY_INVALID` | docs | 2026-11-25 | documented |
//! | Perplexity | has no free call | docs | 2026-11-25 | documented |

use std::time::Duration;

use async_trait::async_trait;
use atelier_domain::credential::{CredentialType, LlmProvider};
use atelier_domain::error::ProviderError;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{KeyCheck, KeyVerdict, ProviderKey};
use atelier_domain::secret::Secret;
use http::Method;
use url::Url;

use crate::exchange::{Body, Expects, Header, HttpReply, HttpRequest, Reply};
use crate::luma;
use crate::message::finished_word;
use crate::pika::PikaMode;
use crate::settings::ProviderSettings;
use crate::transport::Transport;
use crate::wire::{Endpoint, key_header};

/// How long a provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An id that no request has.
const NOBODYS: &str = "00000000-0000-4000-8000-000000000000";

/// [`KeyCheck`] over HTTP.
#[derive(Clone)]
pub struct ProviderKeyCheck {
    settings: ProviderSettings,
    transport: Transport,
}

impl ProviderKeyCheck {
    /// Asks the providers of these settings.
    pub(crate) fn new(settings: ProviderSettings, transport: Transport) -> Self {
        Self { settings, transport }
    }

    async fn ask(&self, request: HttpRequest, peer: &'static str, key: &ProviderKey) -> KeyVerdict {
        match self.transport.execute(request, TIMEOUT, Some(peer)).await {
            Ok(Reply::Whole(reply)) => judged(&reply, key),
            Ok(Reply::Media { .. }) => unknown("the provider answered with media".to_owned()),
            Err(error) => unknown(format!("the provider cannot be asked: {error}")),
        }
    }
}

#[async_trait]
impl KeyCheck for ProviderKeyCheck {
    async fn check_key(&self, credential_type: CredentialType, key: &Secret<String>) -> KeyVerdict {
        let key = ProviderKey(key.clone());
        let questions = match questions(&self.settings, credential_type, &key) {
            Ok(questions) if questions.is_empty() => {
                return unknown(format!("{credential_type} has no free call that needs a key"));
            }
            Ok(questions) => questions,
            Err(ProviderError::Unauthorized { message }) => return KeyVerdict::Invalid { message },
            Err(other) => return unknown(other.to_string()),
        };
        let mut verdict = unknown(String::new());
        for question in questions {
            verdict = self.ask(question, credential_type.as_str(), &key).await;
            if verdict == KeyVerdict::Valid {
                break;
            }
        }
        verdict
    }
}

fn unknown(message: String) -> KeyVerdict {
    KeyVerdict::Unknown { message }
}

/// What to ask, one after the other, until one of them lets in.
fn questions(
    settings: &ProviderSettings,
    credential_type: CredentialType,
    key: &ProviderKey,
) -> Result<Vec<HttpRequest>, ProviderError> {
    let provider = match credential_type {
        CredentialType::Media(provider) => provider,
        CredentialType::Llm(provider) => return llm_questions(settings, provider, key),
    };
    let endpoint = settings.endpoint(provider).map_err(|problems| ProviderError::Invalid {
        message: problems.join("; "),
        status: "not_sent".to_owned(),
    })?;
    let bearer = || key_header("authorization", "Bearer ", key);
    Ok(match provider {
        Provider::ElevenLabs => {
            vec![get(endpoint.url(["v1", "user"]), "/v1/user", vec![key_header("xi-api-key", "", key)?])]
        }
        Provider::Deepgram => {
            let header = key_header("authorization", "Token ", key)?;
            vec![get(endpoint.url(["v1", "projects"]), "/v1/projects", vec![header])]
        }
        Provider::Fal => vec![of_fal(&endpoint, key)?],
        Provider::Pika => match settings.pika.options.mode {
            PikaMode::Fal => vec![of_fal(&endpoint, key)?],
            PikaMode::Direct => {
                vec![get(endpoint.url(["v1", "generate", NOBODYS]), "/v1/generate/{id}", vec![bearer()?])]
            }
        },
        Provider::Replicate => {
            vec![get(endpoint.url(["v1", "account"]), "/v1/account", vec![bearer()?])]
        }
        Provider::Stability => {
            vec![get(endpoint.url(["v1", "user", "balance"]), "/v1/user/balance", vec![bearer()?])]
        }
        Provider::Runway => {
            let version = Header::plain("x-runway-version", &settings.runway.options.api_version);
            vec![get(endpoint.url(["v1", "organization"]), "/v1/organization", vec![bearer()?, version])]
        }
        Provider::Luma => {
            let agents = luma::agents_endpoint(&settings.luma.options, &endpoint);
            vec![
                get(endpoint.url(["credits"]), "/credits", vec![bearer()?]),
                get(agents.url(["generations", NOBODYS]), "/generations/{id}", vec![bearer()?]),
            ]
        }
    })
}

fn of_fal(endpoint: &Endpoint, key: &ProviderKey) -> Result<HttpRequest, ProviderError> {
    let url = endpoint.url(["fal-ai", "flux", "requests", NOBODYS, "status"]);
    let header = key_header("authorization", "Key ", key)?;
    Ok(get(url, "/{model}/requests/{id}/status", vec![header]))
}

fn llm_questions(
    settings: &ProviderSettings,
    provider: LlmProvider,
    key: &ProviderKey,
) -> Result<Vec<HttpRequest>, ProviderError> {
    let base = settings.llm.get(&provider).and_then(|llm| llm.base_url.clone());
    let Some(base) = base.or_else(|| Url::parse(own_base(provider)).ok()) else { return Ok(Vec::new()) };
    let at = |segments: &[&str]| {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    };
    let bearer = || key_header("authorization", "Bearer ", key);
    Ok(match provider {
        LlmProvider::Perplexity => Vec::new(),
        LlmProvider::Anthropic => {
            let version = Header::plain("anthropic-version", "2023-06-01");
            vec![get(at(&["models"]), "/models", vec![key_header("x-api-key", "", key)?, version])]
        }
        LlmProvider::Gemini => {
            vec![get(at(&["models"]), "/models", vec![key_header("x-goog-api-key", "", key)?])]
        }
        LlmProvider::OpenRouter => vec![get(at(&["key"]), "/key", vec![bearer()?])],
        LlmProvider::OpenAi
        | LlmProvider::DeepSeek
        | LlmProvider::Fireworks
        | LlmProvider::Xai
        | LlmProvider::TogetherAi
        | LlmProvider::Mistral
        | LlmProvider::Cohere
        | LlmProvider::Groq => vec![get(at(&["models"]), "/models", vec![bearer()?])],
    })
}

/// Where each provider of language models is.
fn own_base(provider: LlmProvider) -> &'static str {
    match provider {
        LlmProvider::OpenAi => "https://api.openai.com/v1",
        LlmProvider::Anthropic => "https://api.anthropic.com/v1",
        LlmProvider::Gemini => "https://generativelanguage.googleapis.com/v1beta",
        LlmProvider::DeepSeek => "https://api.deepseek.com",
        LlmProvider::Fireworks => "https://api.fireworks.ai/inference/v1",
        LlmProvider::Xai => "https://api.x.ai/v1",
        LlmProvider::OpenRouter => "https://openrouter.ai/api/v1",
        LlmProvider::TogetherAi => "https://api.together.xyz/v1",
        LlmProvider::Mistral => "https://api.mistral.ai/v1",
        LlmProvider::Cohere => "https://api.cohere.com/v1",
        LlmProvider::Groq => "https://api.groq.com/openai/v1",
        LlmProvider::Perplexity => "https://api.perplexity.ai",
    }
}

fn get(url: Url, template: &'static str, headers: Vec<Header>) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url,
        template: Some(template),
        headers,
        body: Body::None,
        expects: Expects::Text,
    }
}

/// What an answer says about the key.
fn judged(reply: &HttpReply, key: &ProviderKey) -> KeyVerdict {
    let text = String::from_utf8_lossy(&reply.body);
    let status = reply.head.status;
    let says = |word: &str| text.contains(word);
    match status {
        200..=299 | 404 | 422 => KeyVerdict::Valid,
        401 if says("missing_permissions") => KeyVerdict::Valid,
        // Money is another matter.
        402 => KeyVerdict::Valid,
        403 if says("locked") => KeyVerdict::Valid,
        400 if says("API_KEY_INVALID") => refused(status, &text, key),
        401 | 403 => refused(status, &text, key),
        _ => unknown(format!("the provider answered with HTTP {status}")),
    }
}

fn refused(status: u16, text: &str, key: &ProviderKey) -> KeyVerdict {
    let said = finished_word(text.to_owned(), key);
    KeyVerdict::Invalid { message: format!("the provider answered with HTTP {status}: {said}") }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::exchange::ReplyHead;

    fn key(text: &str) -> ProviderKey {
        ProviderKey(Secret::new(text.to_owned()))
    }

    fn asked(credential_type: &str) -> Vec<String> {
        let settings = ProviderSettings::default();
        let questions = questions(&settings, credential_type.parse().unwrap(), &key("k")).unwrap();
        questions.iter().map(|question| question.url.to_string()).collect()
    }

    fn judge(status: u16, body: &str) -> KeyVerdict {
        let head = ReplyHead { status, headers: HeaderMap::new() };
        let reply = HttpReply { head, body: Bytes::copy_from_slice(body.as_bytes()), is_cut: false };
        judged(&reply, &key("hunter2-hunter2"))
    }

    #[test]
    fn each_provider_is_asked_at_its_own_host() {
        for credential_type in CredentialType::all().map(CredentialType::as_str) {
            let asked = asked(credential_type);
            assert_eq!(asked.is_empty(), credential_type == "perplexity", "{credential_type}: {asked:?}");
            assert!(asked.iter().all(|url| url.starts_with("https://")), "{asked:?}");
        }
        assert_eq!(asked("runway"), ["https://api.dev.runwayml.com/v1/organization"]);
        assert_eq!(asked("luma").len(), 2);
        assert_eq!(asked("gemini"), ["https://generativelanguage.googleapis.com/v1beta/models"]);
    }

    #[test]
    fn a_key_that_no_header_takes_is_refused_before_it_is_sent() {
        let settings = ProviderSettings::default();
        let refused = questions(&settings, "fal".parse().unwrap(), &key("a b"));
        assert!(matches!(refused, Err(ProviderError::Unauthorized { .. })));
    }

    #[test]
    fn answers_about_other_things_say_nothing_about_the_key() {
        for (status, body) in [
            (200, "{}"),
            (404, ""),
            (401, r#"{"detail":{"status":"missing_permissions"}}"#),
            (402, ""),
            (403, r#"{"detail":"User is locked. Reason: Exhausted balance."}"#),
        ] {
            assert_eq!(judge(status, body), KeyVerdict::Valid, "{status} {body}");
        }
        for status in [429, 500, 503, 400, 302] {
            assert!(matches!(judge(status, "{}"), KeyVerdict::Unknown { .. }), "{status}");
        }
    }

    #[test]
    fn inv7_a_refusal_tells_why_and_never_the_key() {
        let KeyVerdict::Invalid { message } = judge(401, "no such key: hunter2-hunter2") else {
            panic!("a 401 is a refusal");
        };
        assert!(message.contains("no such key") && !message.contains("hunter2"), "{message}");
        assert!(matches!(judge(400, r#"{"reason":"API_KEY_INVALID"}"#), KeyVerdict::Invalid { .. }));
    }
}
