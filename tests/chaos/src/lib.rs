//! Faults of whole processes: the three real programs are killed, stopped, stalled and cut off, and the simulator's
//! journal is the witness. The claims stand in `tests`.
//!
//! | module | what |
//! |---|---|
//! | `world`, `program`, `client` | the surroundings, a real process, and its user |
//! | `gate`, `wire` | the place between a process and its peers where it dies, and where the network fails |
//! | `leftovers` | what a crash may leave behind |
//! | `scenario` | a seeded run of faults under load, and the account of it |
//! | `model` | every state of the queue's protocol, without any process |
//! | `resp` | a plain client of Redis |

pub mod client;
pub mod gate;
pub mod leftovers;
pub mod model;
pub mod program;
pub mod resp;
pub mod scenario;
pub mod wire;
pub mod world;
