//! Names to addresses, with the guard that keeps foreign names out of private networks (INV-8).

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;
use atelier_domain::foreign::is_public;

/// Finds the addresses of a name.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of the name, in the order they should be tried.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// A name leads to no public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name leads to the private or reserved address {0}")]
pub struct PrivateAddress(pub IpAddr);

/// Keeps the public addresses of a name. The connection is made to what is returned here and nothing is looked up
/// again, so a name that changes in between (DNS rebinding) gains nothing.
pub fn public_only(addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, PrivateAddress> {
    let refused = addresses.iter().copied().find(|address| !is_public(*address));
    let public: Vec<IpAddr> = addresses.into_iter().filter(|address| is_public(*address)).collect();
    match refused {
        Some(address) if public.is_empty() => Err(PrivateAddress(address)),
        Some(_) | None => Ok(public),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn inv8_a_name_for_private_addresses_only_is_refused() {
        let refused = public_only(addresses(&["10.0.0.7", "::1"])).unwrap_err();
        assert_eq!(refused, PrivateAddress("10.0.0.7".parse().unwrap()));
    }

    #[test]
    fn inv8_private_addresses_beside_public_ones_are_not_tried() {
        let kept = public_only(addresses(&["169.254.169.254", "1.1.1.1"])).unwrap();
        assert_eq!(kept, addresses(&["1.1.1.1"]));
    }

    #[tokio::test]
    async fn inv8_localhost_resolves_and_is_refused() {
        let found = SystemLookup.addresses("localhost").await.unwrap();
        assert!(!found.is_empty());
        assert!(public_only(found).unwrap_err().0.is_loopback());
    }
}
