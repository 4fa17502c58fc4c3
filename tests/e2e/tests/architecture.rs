//! The house stands as the architecture page says.

use std::path::{Path, PathBuf};

use atelier_domain::invariant::Invariant;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} has no sources");
    files
}

#[test]
fn the_readmes_eight_files_exist_and_are_eight() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let tour = readme.split("## One job in eight files").nth(1).expect("the README has the tour");
    let tour = tour.split("\n## ").next().unwrap();
    let files: Vec<&str> = tour.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs")).collect();
    assert_eq!(files.len(), 8, "{files:?}");
    for file in files {
        assert!(root().join(file).is_file(), "{file} is gone");
    }
}

#[test]
fn the_readmes_capability_matrix_is_that_of_the_catalogue() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let start = readme.split("--example capability-matrix -->\n").nth(1).expect("the README has the matrix");
    let shown = start.split("<!-- end of the capability matrix -->").next().unwrap();
    let matrix = atelier_domain::catalogue::Catalogue::builtin().unwrap().capability_matrix();
    assert_eq!(
        shown.trim(),
        matrix.trim(),
        "make it anew: cargo run -p atelier-domain --example capability-matrix"
    );
}

#[test]
fn programs_name_adapters_in_one_place_only() {
    let adapters =
        ["atelier_redis_store", "atelier_s3_store", "atelier_providers", "atelier_vault", "atelier_runtime"];
    for folder in ["api/src", "worker/src", "poller/src"] {
        for file in sources(folder) {
            let is_command = file.ends_with("commands.rs")
                || file.parent().is_some_and(|parent| parent.ends_with("commands"));
            if file.ends_with("program.rs") || file.ends_with("main.rs") || is_command {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            for adapter in adapters {
                assert!(!text.contains(adapter), "{} names {adapter}", file.display());
            }
        }
    }
}

#[test]
fn vendor_types_stay_in_the_crate_that_wraps_them() {
    let vendors = [
        ("apalis", "shared/redis-store"),
        ("redis", "shared/redis-store"),
        ("aws_sdk_s3", "shared/s3-store"),
        ("opentelemetry", "shared/runtime"),
        ("reqwest", "shared/providers"),
    ];
    for (vendor, home) in vendors {
        for folder in ["api/src", "worker/src", "poller/src", "shared"] {
            for file in sources(folder) {
                let is_at_home = file.starts_with(root().join(home));
                let is_test = file.components().any(|part| {
                    ["tests", "examples", "benches"].iter().any(|name| part.as_os_str() == *name)
                });
                if is_at_home || is_test {
                    continue;
                }
                let text = std::fs::read_to_string(&file).unwrap();
                let names_it = text.lines().any(|line| {
                    let code = line.split("//").next().unwrap_or_default();
                    code.contains(&format!("use {vendor}::")) || code.contains(&format!(" {vendor}::"))
                });
                assert!(!names_it, "{} names {vendor}", file.display());
            }
        }
    }
}

#[test]
fn nothing_points_out_of_the_domain() {
    let manifest = std::fs::read_to_string(root().join("shared/domain/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    for foreign in ["atelier-", "redis", "reqwest", "aws-", "axum", "opentelemetry", "apalis"] {
        assert!(!dependencies.contains(foreign), "the domain depends on {foreign}");
    }
}

#[test]
fn every_invariant_is_told_and_has_a_test_that_names_it() {
    let page = std::fs::read_to_string(root().join("shared/docs/architecture.md")).unwrap();
    let mut tests = String::new();
    for folder in ["shared", "api", "worker", "poller", "tests"] {
        for file in sources(folder) {
            tests.push_str(&std::fs::read_to_string(file).unwrap());
        }
    }
    for invariant in Invariant::ALL {
        assert!(page.contains(invariant.promise()), "the page does not tell: {}", invariant.promise());
        let names = [format!("inv{}_", invariant.number()), format!("INV-{}:", invariant.number())];
        assert!(names.iter().any(|name| tests.contains(name)), "no test names INV-{}", invariant.number());
    }
}
