//! Span ids that were promised before their span exists.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    static PINNED: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// Random ids, but for a span that is started within [`with_span_id`].
#[derive(Debug, Clone, Default)]
pub(super) struct PinnableIds {
    random: RandomIdGenerator,
}

impl IdGenerator for PinnableIds {
    fn new_trace_id(&self) -> TraceId {
        self.random.new_trace_id()
    }

    fn new_span_id(&self) -> SpanId {
        PINNED.take().unwrap_or_else(|| self.random.new_span_id())
    }
}

/// Runs `start`, whose first span gets this id. The SDK's builder cannot be given one.
pub(super) fn with_span_id<T>(id: SpanId, start: impl FnOnce() -> T) -> T {
    struct Unpin;
    impl Drop for Unpin {
        fn drop(&mut self) {
            PINNED.set(None);
        }
    }
    let _unpin = Unpin;
    PINNED.set(Some(id));
    start()
}

/// A random id that is not zero.
pub(super) fn fresh() -> u64 {
    let random = RandomIdGenerator::default();
    loop {
        let id = u64::from_be_bytes(random.new_span_id().to_bytes());
        if id != 0 {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_holds_for_one_span_and_no_longer() {
        let ids = PinnableIds::default();
        let pinned = SpanId::from(7);
        let (first, second) = with_span_id(pinned, || (ids.new_span_id(), ids.new_span_id()));
        assert_eq!(first, pinned);
        assert_ne!(second, pinned);
        with_span_id(pinned, || ());
        assert_ne!(ids.new_span_id(), pinned);
    }
}
