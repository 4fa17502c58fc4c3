//! Tests of the crate from the outside, in one binary.

#[cfg(test)]
mod ends;
#[cfg(test)]
mod health;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod support;
