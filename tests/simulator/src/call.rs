//! A request as the providers' modules see it.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

/// A whole request under a provider's prefix.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The whole path, for the journal.
    pub(crate) full_path: String,
    /// The parts of the path behind the provider's prefix.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// `http://host:port` as the client wrote it, for absolute URLs in answers.
    pub(crate) origin: String,
    /// The origin with the provider's prefix, where the request had one.
    pub(crate) base: String,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The name of the host that the client speaks to, without its port.
    pub(crate) fn host(&self) -> Option<&str> {
        let host = self.header("host")?;
        Some(host.rsplit_once(':').map_or(host, |(name, _)| name))
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path's parts, to match on.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body's parts when it is `multipart/form-data`; `None` when it is not, or is broken.
    pub(crate) fn form(&self) -> Option<Vec<FormPart>> {
        let boundary = multer::parse_boundary(self.header("content-type")?).ok()?;
        let whole = futures::stream::iter([Ok::<_, std::convert::Infallible>(self.body.clone())]);
        let mut form = multer::Multipart::new(whole, boundary);
        futures::executor::block_on(async {
            let mut parts = Vec::new();
            while let Some(field) = form.next_field().await.ok()? {
                parts.push(FormPart {
                    name: field.name()?.to_owned(),
                    file_name: field.file_name().map(str::to_owned),
                    content_type: field.content_type().map(ToString::to_string),
                    bytes: field.bytes().await.ok()?,
                });
            }
            Some(parts)
        })
    }

    /// A text field of a JSON body.
    pub(crate) fn text_field(&self, name: &str) -> Option<String> {
        self.json()?.get(name)?.as_str().map(str::to_owned)
    }
}

/// One part of a `multipart/form-data` body.
#[derive(Debug, Clone)]
pub(crate) struct FormPart {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) bytes: Bytes,
}

impl FormPart {
    /// The part as text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

/// What a key says about its owner. Any key is good but the two that are named here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Good,
    Missing,
    Wrong,
    NoMoney,
}

impl Account {
    pub(crate) fn of_key(key: Option<&str>) -> Self {
        match key.map(str::trim) {
            None | Some("") => Self::Missing,
            Some("bad-key") => Self::Wrong,
            Some("no-money") => Self::NoMoney,
            Some(_) => Self::Good,
        }
    }

    /// The account of an `Authorization` header with this scheme.
    pub(crate) fn of_authorization(call: &Call, scheme: &str) -> Self {
        let header = call.header("authorization");
        let key = header
            .and_then(|value| value.split_once(' '))
            .filter(|(name, _)| name.eq_ignore_ascii_case(scheme));
        Self::of_key(key.map(|(_, key)| key))
    }
}
