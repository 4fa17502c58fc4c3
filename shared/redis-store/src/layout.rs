//! Whether the servers hold the shards that the settings speak of. A job is looked for by its id alone, so another
//! number of shards, or other servers behind the same numbers, would hide every job that is there. Each shard has a
//! mark with the number of all shards; the first program writes them.

use redis::RedisResult;

use crate::connect::{Group, Redis, twice};

/// Why jobs would not be found.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A server could not be asked.
    #[error("cannot ask Redis for its shards")]
    Unreachable(#[source] redis::RedisError),
    /// The servers were filled with another number of shards.
    #[error("Redis holds {held} shards and the settings say {wanted}; jobs would not be found")]
    OtherCount {
        /// As the mark says.
        held: String,
        /// As the settings say.
        wanted: usize,
    },
    /// A shard is where another one belongs.
    #[error("shard {number} is on another server than the settings say; jobs would not be found")]
    Misplaced {
        /// Which one.
        number: u16,
    },
}

impl Redis {
    /// Looks once in the life of a process, and at the first time in the life of the servers leaves the marks.
    pub(crate) async fn confirm_layout(&self) -> Result<(), LayoutError> {
        self.is_confirmed.get_or_try_init(|| look(self)).await.copied()
    }
}

async fn look(redis: &Redis) -> Result<(), LayoutError> {
    // Nothing is written before everything has been looked at.
    let mut bare = Vec::new();
    for group in redis.groups() {
        let held = twice(|| marks(redis, group)).await.map_err(LayoutError::Unreachable)?;
        if is_bare(redis, group, held)? {
            bare.push(group);
        }
    }
    for group in bare {
        let held = twice(|| leave_marks(redis, group)).await.map_err(LayoutError::Unreachable)?;
        is_bare(redis, group, held)?;
    }
    Ok(())
}

/// The marks that stand on the server of a group, by number of the shard.
async fn marks(redis: &Redis, group: &Group) -> RedisResult<Vec<(u16, Option<String>)>> {
    // Where a server's shards follow from the settings, those of others are looked for, too.
    let asked = if redis.is_cluster() { &group.shards[..] } else { redis.shards() };
    let mut pipe = redis::pipe();
    for shard in asked {
        pipe.get(shard.keys.shards());
    }
    let held: Vec<Option<String>> = pipe.query_async(&mut group.link.clone()).await?;
    Ok(asked.iter().map(|shard| shard.keys.number()).zip(held).collect())
}

/// Leaves the marks of a group, all or none; gives those that stand there then.
async fn leave_marks(redis: &Redis, group: &Group) -> RedisResult<Vec<(u16, Option<String>)>> {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for shard in &group.shards {
        pipe.cmd("SET").arg(shard.keys.shards()).arg(redis.shards().len()).arg("NX").ignore();
    }
    let () = pipe.query_async(&mut group.link.clone()).await?;
    marks(redis, group).await
}

/// Whether the server of a group has no marks at all; an error when it has wrong ones.
fn is_bare(redis: &Redis, group: &Group, held: Vec<(u16, Option<String>)>) -> Result<bool, LayoutError> {
    let wanted = redis.shards().len();
    if let Some(other) =
        held.iter().filter_map(|(_, mark)| mark.as_ref()).find(|mark| **mark != wanted.to_string())
    {
        return Err(LayoutError::OtherCount { held: other.clone(), wanted });
    }
    let is_own = |number: u16| group.shards.iter().any(|shard| shard.keys.number() == number);
    let is_marked = held.iter().any(|(_, mark)| mark.is_some());
    match held.iter().find(|(number, mark)| is_marked && mark.is_some() != is_own(*number)) {
        Some((number, _)) => Err(LayoutError::Misplaced { number: *number }),
        None => Ok(!is_marked),
    }
}
