//! Fragments (`moof`): each says for each track when it begins and how long its samples last (ISO 14496-12, 8.8).

use super::boxes::{boxes, flags, inside, number32, number64};
use super::track::Track;

/// The `mvex` box of the index: how long a sample lasts whose fragment does not say it.
pub(super) fn defaults(mvex: &[u8], tracks: &mut [Track]) {
    for (_, body) in boxes(mvex).filter(|(name, _)| name == b"trex") {
        if let Some(track) = tracks.iter_mut().find(|track| Some(track.id) == number32(body, 4)) {
            track.sample_duration = number32(body, 12).unwrap_or(0);
        }
    }
}

/// Adds what a `moof` tells to its tracks.
pub(super) fn add(moof: &[u8], tracks: &mut [Track]) {
    for (_, body) in boxes(moof).filter(|(name, _)| name == b"traf") {
        let header = inside(body, b"tfhd");
        let Some(track) = tracks.iter_mut().find(|track| Some(track.id) == number32(header, 4)) else {
            continue;
        };
        let each = sample_duration(header).unwrap_or(track.sample_duration);
        let time = inside(body, b"tfdt");
        let told =
            if time.first() == Some(&1) { number64(time, 4) } else { number32(time, 4).map(u64::from) };
        let begin = told.or(track.fragments.map(|(_, end)| end)).unwrap_or(track.duration.count);
        let end = boxes(body)
            .filter(|(name, _)| name == b"trun")
            .fold(begin, |end, (_, run)| end.saturating_add(run_duration(run, each)));
        let (first, last) = track.fragments.unwrap_or((begin, end));
        track.fragments = Some((first.min(begin), last.max(end)));
    }
}

/// The length of each sample, where the fragment's header says it: behind the fields that come before it.
fn sample_duration(header: &[u8]) -> Option<u32> {
    let flags = flags(header);
    let before: usize =
        [(0x1, 8), (0x2, 4)].iter().filter(|(bit, _)| flags & bit != 0).map(|(_, size)| size).sum();
    if flags & 0x8 == 0 { None } else { number32(header, 8 + before) }
}

/// How long the samples of a run last together. Their number is believed only as far as its field or its bytes go.
fn run_duration(run: &[u8], each: u32) -> u64 {
    let flags = flags(run);
    let count = number32(run, 4).unwrap_or(0);
    if flags & 0x100 == 0 {
        return u64::from(count) * u64::from(each);
    }
    let before: usize = [0x1, 0x4].iter().filter(|bit| flags & **bit != 0).map(|_| 4).sum();
    let size: usize = [0x100, 0x200, 0x400, 0x800].iter().filter(|bit| flags & **bit != 0).map(|_| 4).sum();
    let samples = run.get(8 + before..).unwrap_or_default().chunks_exact(size);
    samples
        .take(usize::try_from(count).unwrap_or(usize::MAX))
        .filter_map(|sample| number32(sample, 0))
        .fold(0, |sum, duration| sum.saturating_add(u64::from(duration)))
}
