//! The whole service as its users see it: the development stack with a real Redis, a real S3 server, the provider
//! simulator, and requests over HTTP.

mod access;
mod architecture;
mod assets;
mod callbacks;
mod doubts;
mod events;
mod faults;
mod harness;
mod housekeeping;
mod inputs;
mod journeys;
mod matrix;
mod outages;
mod pauses;
mod processes;
mod refusals;
mod secrets;
mod traces;
