//! Bytes of paid replies.

use atelier_domain::ids::JobId;
use atelier_domain::job::Epoch;
use atelier_domain::ports::{ByteStream, SourceBroken, Spool, SpoolError};
use atelier_redis_store::RedisSpool;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::harness::{Fixture, settings};

fn bytes_of(total: usize) -> ByteStream {
    let chunks = (0..total).step_by(70_000).map(move |from| {
        let to = (from + 70_000).min(total);
        Ok(Bytes::from((from..to).map(|at| (at % 251) as u8).collect::<Vec<u8>>()))
    });
    Box::pin(stream::iter(chunks.collect::<Vec<_>>()))
}

async fn collect(mut bytes: ByteStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = bytes.next().await {
        all.extend_from_slice(&chunk.unwrap());
    }
    all
}

#[tokio::test]
async fn kept_bytes_come_back_whole_until_forgotten() {
    let fixture = Fixture::start().await;
    let spool = RedisSpool::new(fixture.redis.clone(), CancellationToken::new());
    let (job, epoch) = (JobId::new(), Epoch(3));
    for total in [1, 512 * 1024, 1_700_001] {
        assert_eq!(spool.keep(&job, epoch, 0, bytes_of(total)).await.unwrap(), total as u64);
        let back = collect(spool.read(&job, epoch, 0).await.unwrap()).await;
        assert_eq!(back, collect(bytes_of(total)).await);
        spool.forget(&job, epoch, 0).await.unwrap();
        assert!(matches!(spool.read(&job, epoch, 0).await, Err(SpoolError::Gone)));
    }
}

#[tokio::test]
async fn a_broken_or_oversized_reply_leaves_nothing() {
    let fixture = Fixture::with(|url| {
        let mut settings = settings(url);
        settings.spool_limit_bytes = 1_000_000;
        settings
    })
    .await;
    let spool = RedisSpool::new(fixture.redis.clone(), CancellationToken::new());
    let (job, epoch) = (JobId::new(), Epoch(1));
    let broken = bytes_of(700_000).chain(stream::iter([Err(SourceBroken { message: "cut".to_owned() })]));
    assert!(matches!(spool.keep(&job, epoch, 0, Box::pin(broken)).await, Err(SpoolError::Source(_))));
    assert!(matches!(spool.read(&job, epoch, 0).await, Err(SpoolError::Gone)));
    let outcome = spool.keep(&job, epoch, 0, bytes_of(1_000_001)).await;
    assert!(matches!(outcome, Err(SpoolError::TooLarge { limit_bytes: 1_000_000 })));
    assert!(matches!(spool.read(&job, epoch, 0).await, Err(SpoolError::Gone)));
}
