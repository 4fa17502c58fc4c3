//! Faults of whole processes: the three real programs are killed, and the simulator's journal is the witness.
//!
//! | file | what |
//! |---|---|
//! | `each_effect` | one kill at each effect of a job, for each program |
//! | `under_load` | kills at random, of Redis too, while hundreds of jobs run |
//! | `termination` | SIGTERM under load |
//! | `model` | every state of the queue's protocol, without any process |
//! | `model_on_redis` | the model's store against the real scripts |
//! | `world`, `program`, `client` | the surroundings, a real process, and its user |
//! | `leftovers` | what a crash may leave behind |
//! | `gate`, `wire/*` | the place between a process and its peers where it dies |

mod client;
mod each_effect;
mod gate;
mod leftovers;
mod model;
mod model_on_redis;
mod program;
mod termination;
mod under_load;
mod wire;
mod world;
