//! Which foreign addresses may be fetched (INV-8). Pure: the fetching itself is the transport's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// Not a URL at all.
    #[error("is not a URL")]
    Unreadable,
    /// Only http and https are fetched.
    #[error("has the scheme `{0}`; https was expected")]
    Scheme(String),
    /// A name and password in a URL would end in logs.
    #[error("holds a user name or password")]
    UserInfo,
    /// An address that is not public.
    #[error("points to the private or reserved address {0}")]
    Private(IpAddr),
    /// A name that is local by definition.
    #[error("points to the local name `{0}`")]
    LocalName(String),
}

/// Addresses that are allowed although they are not public. Empty in production; the development stack names its own
/// simulator here.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Exceptions(Vec<String>);

impl Exceptions {
    /// Each entry is `host:port`, exactly as in the URL.
    pub fn new(authorities: impl IntoIterator<Item = String>) -> Self {
        Self(authorities.into_iter().collect())
    }

    /// Whether this URL's host and port are listed.
    pub fn covers(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let port = url.port_or_known_default().unwrap_or(0);
        let authority = format!("{host}:{port}");
        self.0.contains(&authority)
    }
}

/// Reads a URL and refuses what can be refused without a name look-up. Resolved addresses must be checked with
/// [`is_public`] when the connection is made, or a name could change in between.
pub fn check_url(text: &str, exceptions: &Exceptions) -> Result<Url, UrlRefusal> {
    let url = Url::parse(text).map_err(|_| UrlRefusal::Unreadable)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlRefusal::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::UserInfo);
    }
    if exceptions.covers(&url) {
        return Ok(url);
    }
    let address = match url.host() {
        None => return Err(UrlRefusal::Unreadable),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let is_local = !name.contains('.')
                || [".localhost", ".local", ".internal", ".home.arpa"]
                    .iter()
                    .any(|suffix| name.ends_with(suffix));
            return if is_local { Err(UrlRefusal::LocalName(name)) } else { Ok(url) };
        }
    };
    if is_public(address) { Ok(url) } else { Err(UrlRefusal::Private(address)) }
}

/// Whether an address belongs to the public internet: not loopback, private, link-local (cloud metadata lives
/// there), shared, multicast, documentation or otherwise reserved (IANA special-purpose registries).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_reserved = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !is_reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is global unicast; within it, tunnels and documentation can hide other addresses.
    let is_global = first & 0xe000 == 0x2000;
    let is_special =
        first == 0x2002 || (first == 0x2001 && (second < 0x0200 || second == 0x0db8)) || first == 0x3fff;
    is_global && !is_special
}

/// A URL fit for logs and spans: no query, no fragment, no user info. Signatures live in queries.
pub fn without_query(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        Err(_) => "(unreadable url)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv8_private_addresses_are_refused_in_every_spelling() {
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://10.0.0.1/",
            "http://172.16.3.4/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[2002:7f00:1::]/",
            "http://localhost/",
            "http://redis:6379/",
            "http://foo.localhost./",
            "http://metadata.google.internal/",
            "http://user:pw@example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "no url",
        ] {
            assert!(check_url(text, &Exceptions::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn public_addresses_pass() {
        for text in ["https://example.com/a.png?x=1", "https://8.8.8.8/", "https://[2606:4700::1111]/"] {
            assert!(check_url(text, &Exceptions::default()).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_exception_covers_host_and_port_only() {
        let exceptions = Exceptions::new(["127.0.0.1:8090".to_owned()]);
        assert!(check_url("http://127.0.0.1:8090/media/x.mp4", &exceptions).is_ok());
        assert!(check_url("http://127.0.0.1:8091/media/x.mp4", &exceptions).is_err());
        assert!(check_url("http://127.0.0.1/media/x.mp4", &exceptions).is_err());
    }

    #[test]
    fn inv7_signatures_do_not_reach_logs() {
        assert_eq!(
            without_query("https://u:p@cdn.example.com/a.mp4?_jwt=secret#x"),
            "https://cdn.example.com/a.mp4"
        );
    }
}
