//! When the worker asks for tasks, and how it reads them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::codec::Codec;
use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use tokio::time::{Instant, Sleep};

/// Wakes the worker at fixed intervals. Unlike apalis' own, it polls a new timer until that is pending: a timer that
/// nobody has polled wakes nobody, and the worker would sleep until its next heartbeat.
pub(super) struct Interval {
    every: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Interval {
    /// Must be called inside the runtime. An interval of nothing would never become pending.
    pub(super) fn new(every: Duration) -> Self {
        let every = every.max(Duration::from_millis(1));
        Self { every, timer: Box::pin(tokio::time::sleep(every)) }
    }
}

impl PollStrategy for Interval {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut has_fired = false;
        while self.timer.as_mut().poll(cx).is_ready() {
            has_fired = true;
            self.timer.as_mut().reset(Instant::now() + self.every);
        }
        if has_fired { Poll::Ready(Some(())) } else { Poll::Pending }
    }
}

/// A task as bytes. apalis ends the worker when a task cannot be decoded, so decoding is left to the handler.
#[derive(Debug, Clone)]
pub(super) struct Parcel(pub(super) Vec<u8>);

/// The codec that never fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParcelCodec;

impl Codec<Parcel> for ParcelCodec {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, parcel: &Parcel) -> Result<Vec<u8>, Infallible> {
        Ok(parcel.0.clone())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Parcel, Infallible> {
        Ok(Parcel(bytes.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_has_fired_wakes_again_without_another_poll() {
        let mut interval = Interval::new(Duration::from_millis(5));
        // Late by several intervals, as after a slow fetch.
        tokio::time::advance(Duration::from_millis(17)).await;
        let since = Instant::now();
        let mut polls = 0;
        let woken = std::future::poll_fn(|cx| {
            let fired = interval.poll_drive(cx, &PollSnapshot::new());
            assert!(fired.is_ready());
            polls += 1;
            if polls < 4 { Poll::Pending } else { Poll::Ready(()) }
        });
        tokio::time::timeout(Duration::from_secs(1), woken).await.unwrap();
        assert_eq!(since.elapsed(), Duration::from_millis(15), "three intervals, and nobody was late");
    }
}
