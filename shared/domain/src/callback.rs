//! The addresses at which providers may call us: unguessable, made from the job and a secret that all programs share.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::ids::JobId;
use crate::operation::Provider;
use crate::secret::Secret;

/// Shortest secret. Addresses are guessed offline once one of them is known.
const SHORTEST_SECRET: usize = 32;
/// Bytes of the address that nobody can guess.
const TOKEN_BYTES: usize = 16;

/// The `[callbacks]` section: whether providers are told where to call. It must be the same for all programs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackSettings {
    /// `https://host` under which the api is reached from outside. Without it no provider is told to call.
    pub public_base_url: Option<String>,
    /// What the addresses are made with, at least 32 characters.
    pub secret: Option<Secret<String>>,
}

/// Makes and checks addresses.
#[derive(Debug, Clone)]
pub struct CallbackAddresses {
    base: String,
    secret: Secret<String>,
}

impl CallbackSettings {
    /// The addresses, or `None` when callbacks are off. Settings with problems give none.
    pub fn addresses(&self) -> Option<CallbackAddresses> {
        let (base, secret) = self.public_base_url.as_ref().zip(self.secret.as_ref())?;
        self.problems().is_empty().then(|| CallbackAddresses {
            base: base.trim_end_matches('/').to_owned(),
            secret: secret.clone(),
        })
    }

    /// What makes no sense: key, problem, and what would be right.
    pub fn problems(&self) -> Vec<(String, &'static str, &'static str)> {
        let mut problems = Vec::new();
        let mut push = |key: &str, problem, right| problems.push((key.to_owned(), problem, right));
        if let Some(base) = &self.public_base_url {
            let is_fit = url::Url::parse(base).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.username().is_empty()
            });
            if !is_fit {
                push("public_base_url", "is no address", "https://host would be right");
            }
            if self.secret.is_none() {
                push("secret", "is missing", "at least 32 random characters would be right");
            }
        }
        if self.secret.as_ref().is_some_and(|secret| secret.expose().len() < SHORTEST_SECRET) {
            push("secret", "is short", "at least 32 random characters would be right");
        }
        problems
    }
}

impl CallbackAddresses {
    /// Where the provider may call about a job.
    pub fn url(&self, provider: Provider, job: &JobId) -> String {
        format!("{}/callbacks/{provider}/{job}/{}", self.base, self.token(provider, job))
    }

    /// Whether the last part of an address is the one that belongs to provider and job, in constant time.
    pub fn is_genuine(&self, provider: Provider, job: &JobId, token: &str) -> bool {
        let bytes: Option<Vec<u8>> = (0..token.len())
            .step_by(2)
            .map(|at| token.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        let is_whole = token.len() == 2 * TOKEN_BYTES;
        is_whole && bytes.is_some_and(|bytes| self.mac(provider, job).verify_truncated_left(&bytes).is_ok())
    }

    fn token(&self, provider: Provider, job: &JobId) -> String {
        let digest = self.mac(provider, job).finalize().into_bytes();
        digest.iter().take(TOKEN_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, provider: Provider, job: &JobId) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes());
        mac.expect("HMAC takes any key").chain_update(format!("{provider}\n{job}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(secret: &str) -> CallbackAddresses {
        let settings = CallbackSettings {
            public_base_url: Some("https://media.example.com/".to_owned()),
            secret: Some(Secret::new(secret.to_owned())),
        };
        settings.addresses().unwrap()
    }

    #[test]
    fn an_address_is_good_for_its_provider_and_job_only() {
        let (job, other) = (JobId::new(), JobId::new());
        let addresses = addresses(&"s".repeat(32));
        let url = addresses.url(Provider::Fal, &job);
        let token = url.rsplit('/').next().unwrap();
        assert_eq!(url, format!("https://media.example.com/callbacks/fal/{job}/{token}"));
        assert!(addresses.is_genuine(Provider::Fal, &job, token));
        for (provider, job, token) in [
            (Provider::Luma, &job, token),
            (Provider::Fal, &other, token),
            (Provider::Fal, &job, ""),
            (Provider::Fal, &job, token.get(1..).unwrap()),
        ] {
            assert!(!addresses.is_genuine(provider, job, token));
        }
        assert!(!self::addresses(&"t".repeat(32)).is_genuine(Provider::Fal, &job, token));
    }

    #[test]
    fn settings_that_cannot_work_are_named_and_give_no_addresses() {
        for (base, secret, key) in [
            (Some("media"), Some("s".repeat(32)), "public_base_url"),
            (Some("https://x"), None, "secret"),
            (Some("https://x"), Some("short".to_owned()), "secret"),
        ] {
            let settings = CallbackSettings {
                public_base_url: base.map(str::to_owned),
                secret: secret.map(Secret::new),
            };
            assert_eq!(settings.problems()[0].0, key);
            assert!(settings.addresses().is_none());
        }
        assert!(CallbackSettings::default().problems().is_empty());
        assert!(CallbackSettings::default().addresses().is_none());
    }
}
