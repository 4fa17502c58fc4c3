//! The whole service as its users see it; everything is in `tests/`.
