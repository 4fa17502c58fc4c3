//! Faults of whole processes; everything is in `tests/`.
