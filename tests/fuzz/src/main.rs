//! The fuzzer: libFuzzer around the target that `ATELIER_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use atelier_fuzz::{TARGETS, Target, changed_json};

static CHOSEN: LazyLock<Option<Target>> = LazyLock::new(|| {
    let name = std::env::var("ATELIER_FUZZ_TARGET").ok()?;
    TARGETS.into_iter().find(|target| target.name == name)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(CHOSEN.is_some(), "ATELIER_FUZZ_TARGET names no target");
    if let Some(target) = CHOSEN.as_ref() {
        (target.attack)(data);
    }
});

// Every other time a value of the JSON is changed, if there is any; else libFuzzer does as it likes.
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let changed =
        data.get(..size).filter(|_| seed.is_multiple_of(2)).and_then(|data| changed_json(data, seed / 2));
    if let Some(changed) = changed.filter(|changed| changed.len() <= max_size)
        && let Some(room) = data.get_mut(..changed.len())
    {
        room.copy_from_slice(&changed);
        return changed.len();
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
});
