//! What an adapter costs a request: making the paid call and reading its answer, without a network. At most 20 µs are
//! meant to go into it.
//!
//! ```sh
//! cargo bench -p atelier-providers --bench adapters
//! ```

#[path = "../tests/fixtures.rs"]
mod fixtures;
#[path = "../tests/samples.rs"]
mod samples;

use std::error::Error;
use std::hint::black_box;
use std::path::Path;

use atelier_domain::catalogue::Catalogue;
use atelier_domain::operation::Provider;
use atelier_providers::{ProviderSettings, Reading, Writing, protocol};
use criterion::Criterion;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let catalogue = Catalogue::builtin()?;
    let settings = ProviderSettings::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (remote, now) = (samples::remote(), samples::now());
    for &provider in Provider::ALL {
        let protocol = protocol(provider, &settings)?;
        let calls = samples::calls(&catalogue, provider, protocol.as_ref());
        let Some(call) = calls.first() else { continue };
        criterion.bench_function(&format!("{provider}/submit"), |bencher| {
            bencher.iter(|| black_box(protocol.write(Writing::Submit, black_box(call), &remote)));
        });
        // Of the answers that are taken, the largest of each kind.
        let replies = fixtures::replies(&folder, provider)?;
        for (prefix, reading) in [("submit_20", Reading::Submit), ("check_20", Reading::Check)] {
            let matching = replies.iter().filter(|sample| sample.name.starts_with(prefix));
            let Some(sample) = matching.max_by_key(|sample| sample.reply.body.len()) else { continue };
            let reply = &sample.reply;
            criterion.bench_function(
                &format!("{provider}/{} ({} bytes)", sample.name, reply.body.len()),
                |bencher| {
                    bencher.iter(|| {
                        black_box(protocol.read(reading, call, &remote, black_box(reply), reply, now)).is_ok()
                    });
                },
            );
        }
    }
    criterion.final_summary();
    Ok(())
}
