//! The fixed binary part of a record, behind the header's text. Numbers are big-endian, times are nanoseconds since 1970.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 48..50 | attempts | |
//! | 50..52 | failures | |
//! | 52..54 | waits | |
//! | 54..62 | started at | 0 for not yet |
//! | 62..70 | completed at | 0 for not yet |
//! | 70..78 | created at | from here on nothing changes in a job's life |
//! | 78..86 | start deadline | |
//! | 86..102 | trace id | |
//! | 102..110 | producer's span id | |
//! | 110..118 | media span id | |
//! | 118 | flags | bit 0: the producer's trace is sampled |

use atelier_domain::Timestamp;
use atelier_domain::job::JobBody;
use atelier_domain::trace::TraceParent;

use super::RecordError;
use super::body::{nanos, time};

/// What stands there.
pub(super) struct Facts {
    pub(super) attempts: u16,
    pub(super) failures: u16,
    pub(super) waits: u16,
    pub(super) started_at: Option<Timestamp>,
    pub(super) completed_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    pub(super) start_deadline: Timestamp,
    pub(super) producer: TraceParent,
    pub(super) media_span_id: u64,
}

/// Appends the facts that change: the end of what a write of the header alone replaces.
pub(super) fn write_changing(body: &JobBody, record: &mut Vec<u8>) -> Result<(), RecordError> {
    let or_zero = |time: Option<Timestamp>| time.map_or(Ok(0), nanos);
    record.extend(body.attempts.to_be_bytes());
    record.extend(body.failures.to_be_bytes());
    record.extend(body.waits.to_be_bytes());
    record.extend(or_zero(body.started_at)?.to_be_bytes());
    record.extend(or_zero(body.completed_at)?.to_be_bytes());
    Ok(())
}

/// Appends the facts that never change.
pub(super) fn write_lasting(body: &JobBody, record: &mut Vec<u8>) -> Result<(), RecordError> {
    record.extend(nanos(body.created_at)?.to_be_bytes());
    record.extend(nanos(body.spec.start_deadline)?.to_be_bytes());
    let producer = body.trace.producer;
    record.extend(producer.trace_id.to_be_bytes());
    record.extend(producer.span_id.to_be_bytes());
    record.extend(body.trace.media_span_id.to_be_bytes());
    record.push(u8::from(producer.is_sampled));
    Ok(())
}

/// Reads the facts from what follows the header's text, and gives what follows them.
pub(super) fn read(bytes: &[u8]) -> Result<(Facts, &[u8]), RecordError> {
    let mut rest = bytes;
    let unless_zero = |nanos: u64| match nanos {
        0 => Ok(None),
        nanos => time(nanos.cast_signed()).map(Some),
    };
    let facts = Facts {
        attempts: u16::from_be_bytes(take(&mut rest)?),
        failures: u16::from_be_bytes(take(&mut rest)?),
        waits: u16::from_be_bytes(take(&mut rest)?),
        started_at: unless_zero(u64::from_be_bytes(take(&mut rest)?))?,
        completed_at: unless_zero(u64::from_be_bytes(take(&mut rest)?))?,
        created_at: time(i64::from_be_bytes(take(&mut rest)?))?,
        start_deadline: time(i64::from_be_bytes(take(&mut rest)?))?,
        producer: TraceParent {
            trace_id: u128::from_be_bytes(take(&mut rest)?),
            span_id: u64::from_be_bytes(take(&mut rest)?),
            is_sampled: false,
        },
        media_span_id: u64::from_be_bytes(take(&mut rest)?),
    };
    let [flags] = take(&mut rest)?;
    let producer = TraceParent { is_sampled: flags & 1 == 1, ..facts.producer };
    Ok((Facts { producer, ..facts }, rest))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (taken, left) = rest.split_first_chunk().ok_or(RecordError::Header)?;
    *rest = left;
    Ok(*taken)
}
