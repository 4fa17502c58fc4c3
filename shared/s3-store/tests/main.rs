//! The store against a real S3 server in this process, directly and through a proxy that makes faults.
#![cfg(test)]

#[path = "../../../deploy/dev/src/embedded_s3.rs"]
mod embedded_s3;

mod bench;
mod downloads;
mod facts;
mod fault_proxy;
mod faults;
mod given_up;
mod manifests;
mod media;
mod memory;
mod refusals;
mod round_trips;
mod spans;
mod texts;
mod upkeep;
