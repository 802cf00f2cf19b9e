//! The corpora that fuzzers have gathered, as ordinary tests: each input as it is, and cut, joined and changed.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::TARGETS;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What is committed for a target, in the order of names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz_folder().join("corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// The panic's own words have been printed by then; this says which input it was.
fn hold(check: fn(&[u8]), bytes: &[u8], what: &dyn std::fmt::Display) {
    if catch_unwind(AssertUnwindSafe(|| check(bytes))).is_err() {
        panic!("{what}: {}", bytes.escape_ascii());
    }
}

#[test]
fn every_input_that_was_gathered_holds() {
    for (target, check) in TARGETS {
        check(b"");
        for (path, bytes) in corpus(target) {
            hold(*check, &bytes, &path.display());
        }
    }
}

#[test]
fn what_was_gathered_holds_when_it_is_cut_and_joined() {
    for (target, check) in TARGETS {
        let inputs: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
        let pick = || (any::<prop::sample::Index>(), any::<prop::sample::Index>());
        // The same ones each time: to find others is what fuzzers are for.
        let config =
            ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let strategy =
            (pick(), pick(), prop::option::of((any::<prop::sample::Index>(), any::<u8>())));
        let result = runner.run(&strategy, |((one, cut), (other, from), change)| {
            let (one, other) = (one.get(&inputs), other.get(&inputs));
            let mut bytes = one[..cut.index(one.len() + 1)].to_vec();
            bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            if let Some((at, byte)) = change.filter(|_| !bytes.is_empty()) {
                let at: prop::sample::Index = at;
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let held = catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_ok();
            let shown = || TestCaseError::fail(bytes.escape_ascii().to_string());
            if held { Ok(()) } else { Err(shown()) }
        });
        result.unwrap_or_else(|error| panic!("{target}: {error}"));
    }
}

#[test]
fn every_target_can_be_fuzzed() {
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        let path = format!("targets/{target}.rs");
        assert!(manifest.contains(&format!("path = \"{path}\"")), "fuzz/Cargo.toml lacks {path}");
        let text = fs::read_to_string(fuzz_folder().join(path)).unwrap();
        assert!(text.contains(&format!("herdgate::fuzzing::{target}(bytes)")), "{text}");
    }
    let bins = manifest.matches("[[bin]]").count();
    assert_eq!(bins, TARGETS.len(), "fuzz/Cargo.toml knows no other targets");
}
