//! Writes `shared/docs/state-machine.md` from the transition table.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/state-machine.md");
    let text = format!(
        "# The states of a job\n\nGenerated from `shared/domain/src/state.rs` by \
         `cargo run -p atelier-domain --example state-machine`; a test holds the two together.\n\n```mermaid\n{}```\n\n\
         Every step claims its job first: the claim raises the job's epoch, and whatever holds an older epoch has no\n\
         effect (INV-9). `still working` uses a check, never an attempt (INV-6). A state without an arrow out is final\n\
         (INV-3).\n",
        atelier_domain::state::mermaid()
    );
    std::fs::write(page, text)
}
