//! The store and its apalis backend against a real server, with the traps that lost or killed jobs in a prototype:
//! each is a test here. Nothing waits for a fixed time where a condition can be waited for.

#![cfg(test)]

mod admission;
mod assets;
mod callbacks;
mod common_time;
mod control;
mod costs;
mod crash;
mod documents;
mod drain;
mod events;
mod failover;
mod faults;
mod harness;
mod layout;
mod lifecycle;
mod listing;
mod pauses;
mod priorities;
#[path = "../../../deploy/dev/src/redis_groups.rs"]
mod redis_groups;
#[path = "../../../deploy/dev/src/redis_server.rs"]
mod redis_server;
mod rescue;
mod scale;
mod secure;
mod sizes;
mod spool;
mod topologies;
