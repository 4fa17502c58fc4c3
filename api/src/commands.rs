//! What the program does beside serving, at an operator's word.

pub mod rebuild;
