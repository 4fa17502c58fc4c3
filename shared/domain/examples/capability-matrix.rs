//! Prints the capability matrix of the README, made from the catalogue:
//! `cargo run -p atelier-domain --example capability-matrix`.

use std::io::Write as _;

use atelier_domain::catalogue::Catalogue;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let matrix = Catalogue::builtin()?.capability_matrix();
    Ok(std::io::stdout().write_all(matrix.as_bytes())?)
}
