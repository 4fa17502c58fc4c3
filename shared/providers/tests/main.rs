//! The adapters and the fetcher against real sockets.

#[cfg(test)]
mod adapters;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod fal;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod happy;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod runway;
// Also built into the benches and the fuzzer, where it is no test.
mod samples;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod stand;
#[cfg(test)]
mod transport;
