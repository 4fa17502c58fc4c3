//! Faults of whole processes. The surroundings stand in `src`.
//!
//! | file | what |
//! |---|---|
//! | `each_effect` | one kill at each effect of a job, for each program |
//! | `under_load` | kills at random, of Redis too, while hundreds of jobs run |
//! | `families` | each family of faults under a mixed load |
//! | `termination` | SIGTERM under load |
//! | `outage` | a long outage of the asset store, with finished jobs behind it |
//! | `model` | every state of the queue's protocol, without any process |
//! | `model_on_redis` | the model's store against the real scripts |

mod each_effect;
mod families;
mod model;
mod model_on_redis;
mod outage;
mod termination;
mod under_load;
