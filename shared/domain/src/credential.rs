//! Credentials: keys of providers that a workspace keeps with us, sealed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{DocumentId, WorkspaceId};
use crate::operation::Provider;
use crate::seal::Sealed;

/// Most credentials of a workspace.
pub const CREDENTIALS_LIMIT: u32 = 1_000;

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CredentialType {
    /// Of a provider of media.
    Media(Provider),
    /// Of a provider of language models.
    Llm(LlmProvider),
}

/// Providers of language models. The words are those of the published clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "names of companies")]
pub enum LlmProvider {
    OpenAi,
    Anthropic,
    Gemini,
    DeepSeek,
    Fireworks,
    Xai,
    OpenRouter,
    #[serde(rename = "together_ai")]
    TogetherAi,
    Mistral,
    Cohere,
    Groq,
    Perplexity,
}

impl LlmProvider {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::DeepSeek,
        Self::Fireworks,
        Self::Xai,
        Self::OpenRouter,
        Self::TogetherAi,
        Self::Mistral,
        Self::Cohere,
        Self::Groq,
        Self::Perplexity,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::DeepSeek => "deepseek",
            Self::Fireworks => "fireworks",
            Self::Xai => "xai",
            Self::OpenRouter => "openrouter",
            Self::TogetherAi => "together_ai",
            Self::Mistral => "mistral",
            Self::Cohere => "cohere",
            Self::Groq => "groq",
            Self::Perplexity => "perplexity",
        }
    }
}

/// What kind of provider it is: the published clients sort credentials by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum CredentialCategory {
    Speech,
    Image,
    Video,
    Llm,
}

impl CredentialCategory {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Speech, Self::Image, Self::Video, Self::Llm];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::Image => "image",
            Self::Video => "video",
            Self::Llm => "llm",
        }
    }
}

impl CredentialType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Media(provider) => provider.as_str(),
            Self::Llm(provider) => provider.as_str(),
        }
    }

    /// What kind of provider it is.
    pub fn category(self) -> CredentialCategory {
        match self {
            Self::Media(Provider::ElevenLabs | Provider::Deepgram) => CredentialCategory::Speech,
            Self::Media(Provider::Fal | Provider::Replicate | Provider::Stability) => {
                CredentialCategory::Image
            }
            Self::Media(Provider::Runway | Provider::Pika | Provider::Luma) => CredentialCategory::Video,
            Self::Llm(_) => CredentialCategory::Llm,
        }
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let media = Provider::ALL.iter().map(|provider| Self::Media(*provider));
        media.chain(LlmProvider::ALL.into_iter().map(Self::Llm))
    }

    /// All words, for error messages.
    pub fn expected() -> String {
        Self::all().map(Self::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for CredentialType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::all().find(|known| known.as_str() == text);
        found.ok_or_else(|| format!("one of {} was expected", Self::expected()))
    }
}

impl fmt::Display for CredentialType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for CredentialType {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CredentialType> for String {
    fn from(credential_type: CredentialType) -> Self {
        credential_type.as_str().to_owned()
    }
}

/// What is kept of a credential; its value is in the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// What it is, in its owner's words.
    pub name: String,
    /// Whose key it is.
    pub r#type: CredentialType,
    /// More of its owner's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The owner's word for the form of the value; kept and given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_type: Option<String>,
    /// What may be shown of the value.
    pub masked: String,
    /// The value.
    pub sealed: Sealed,
    /// What the provider said about it last; absent before the first check of this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckedKey>,
    /// Which key of the api created it; absent for one of the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<DocumentId>,
}

/// What the provider said about a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedKey {
    /// Whether it lets in.
    pub is_valid: bool,
    /// When it was asked.
    pub at: Timestamp,
}

/// What a sealed value belongs to: put in another credential's place, or into another workspace, it does not open.
pub fn purpose(workspace: &WorkspaceId, id: &DocumentId, credential_type: CredentialType) -> String {
    format!("credential/{workspace}/{id}/{credential_type}")
}

/// What may be shown of a value: four characters at either end of a long one, nothing of one with less than sixteen.
pub fn masked(value: &str) -> String {
    const SHOWN: usize = 4;
    let characters: Vec<char> = value.chars().collect();
    if characters.len() < 4 * SHOWN {
        return "*".repeat(8);
    }
    let (head, rest) = characters.split_at(SHOWN);
    let tail = rest.get(rest.len() - SHOWN..).unwrap_or_default();
    head.iter().chain("...".chars().collect::<Vec<_>>().iter()).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_back_and_has_a_category() {
        for known in CredentialType::all() {
            assert_eq!(known.as_str().parse(), Ok(known));
        }
        assert_eq!("luma".parse(), Ok(CredentialType::Media(Provider::Luma)));
        assert_eq!("openai".parse::<CredentialType>().unwrap().category().as_str(), "llm");
        assert!("sora".parse::<CredentialType>().unwrap_err().contains("elevenlabs"));
    }

    #[test]
    fn inv7_a_mask_shows_no_more_than_half_of_a_value() {
        assert_eq!(masked("sk-proj-0123456789-ZqsA"), "sk-p...ZqsA");
        assert_eq!(masked("0123456789abcdef"), "0123...cdef");
        for short in ["", "a", "0123456789abcde"] {
            assert_eq!(masked(short), "********");
        }
        assert_eq!(masked("ключ-ключ-ключ-ключ"), "ключ...ключ");
    }

    #[test]
    fn a_purpose_names_workspace_credential_and_type() {
        let id: DocumentId = "0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
        let purpose = purpose(&"acme".parse().unwrap(), &id, CredentialType::Media(Provider::Fal));
        assert_eq!(purpose, "credential/acme/0ujtsYcgvSTl8PAuAdqWYSMnLOv/fal");
    }
}
