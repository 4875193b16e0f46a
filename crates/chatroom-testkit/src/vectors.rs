//! Reading the vectors in `conformance/`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A text too long to be written out, as `conformance/README.md` describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    #[serde(default)]
    before: String,
    open: String,
    #[serde(default)]
    middle: String,
    #[serde(default)]
    close: String,
    #[serde(default)]
    after: String,
    times: usize,
}

impl Repeat {
    /// The text itself.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { before, open, middle, close, after, times } = self;
        format!("{before}{}{middle}{}{after}", open.repeat(*times), close.repeat(*times))
    }
}

/// The folder of the vectors, or of anything else at the root of the repository.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// The cases of all files in a folder of `conformance/`, each with the name of its file.
///
/// # Panics
/// When a file cannot be read as such cases, or there are none: nothing run is a failure.
#[must_use]
pub fn load<Case: DeserializeOwned>(name: &str) -> Vec<(String, Case)> {
    let folder = folder("conformance").join(name);
    let mut files: Vec<PathBuf> = match folder.is_dir() {
        true => std::fs::read_dir(&folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").path())
            .collect(),
        false => vec![folder.with_extension("json")],
    };
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let read: Vec<Case> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        cases.extend(read.into_iter().map(|case| (stem.clone(), case)));
    }
    assert!(!cases.is_empty(), "no vectors in conformance/{name}");
    cases
}

/// Runs every case, prints how many ran, and fails with all that went wrong.
///
/// # Panics
/// When a case failed.
#[expect(clippy::print_stdout, reason = "how many vectors ran is what the runner reports")]
pub fn run<Case>(
    name: &str,
    cases: &[(String, Case)],
    id: impl Fn(&Case) -> &str,
    check: impl Fn(&Case) -> Result<(), String>,
) {
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|(file, case)| check(case).err().map(|why| format!("{file}: {}: {why}", id(case))))
        .collect();
    println!("conformance/{name}: {} run, {} failed, 0 skipped", cases.len(), failures.len());
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
