//! Faults of whole processes, and a model of the protocol that they must survive. The claims stand in `tests`.

pub mod model;
pub mod resp;
