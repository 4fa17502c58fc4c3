//! Stored media in S3 or anything that speaks its protocol: the only crate that links the AWS SDK.
//!
//! What it promises:
//! - bytes stream through in bounded memory: at most two parts of an upload are held, see [`S3Settings::part_size_bytes`],
//!   and of a video its index, where that is not larger than 8 MiB;
//! - what is stored was looked at: its type is told from its bytes, its length compared, its end checked, its digest taken;
//! - an upload that fails, or whose caller goes away, leaves no object and no parts ([`S3Store::close`] waits for that);
//! - every call has a time limit, a bounded number of attempts and a client span; no span or error holds a secret.
//!
//! The way of the bytes: `intake` cuts the source into parts and feeds `inspect`, which asks `sniff` and `verdict` what
//! the bytes are, `ending` whether they are complete and `probe` what they tell about themselves; `upload` sends the parts; `store` is the port's implementation.
//! `download` is the way out, `upkeep` removes what is old, `manifests` reads what stands beside the objects.

mod buffers;
mod call;
mod client;
mod download;
mod ending;
mod inspect;
mod intake;
mod manifests;
mod probe;
mod settings;
mod sniff;
mod store;
mod upkeep;
mod upload;
mod verdict;

use atelier_domain::ports::{NewObject, PutError, StoredObject};

pub use settings::{InvalidSettings, S3Settings};
pub use store::S3Store;

/// What a store would make of a file that comes in these pieces, without a store and without a limit of its length: for
/// tests and fuzzing. Whatever the bytes are, it answers or refuses; the same bytes in other pieces give the same.
pub fn probe_pieces(object: NewObject, pieces: &[&[u8]]) -> Result<StoredObject, PutError> {
    store::look(object, pieces, u64::MAX)
}
