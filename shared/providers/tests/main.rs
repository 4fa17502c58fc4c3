//! The adapters and the fetcher against real sockets. Modules that are not marked as tests are also built into the
//! benches or the fuzzer.

#[cfg(test)]
mod adapters;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod fal;
#[cfg(test)]
mod fetch;
mod fixtures;
#[cfg(test)]
mod happy;
mod json_change;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod runway;
mod samples;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod stand;
#[cfg(test)]
mod transport;
