//! The repository's files.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files that git tracks and that are there, relative to the root.
pub(crate) fn tracked() -> Result<Vec<String>, String> {
    let text = output(Command::new("git").args(["ls-files", "-z"]).current_dir(root()))?;
    let files: Vec<String> = text.split('\0').filter(|file| root().join(file).is_file()).map(str::to_owned).collect();
    match files.is_empty() {
        true => Err("git tracks no files here: there is nothing to check".into()),
        false => Ok(files),
    }
}

/// The text of a file, bytes that are no text replaced.
pub(crate) fn read(file: &str) -> Result<String, String> {
    let bytes = std::fs::read(root().join(file)).map_err(|error| format!("cannot read {file}: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a file anew.
pub(crate) fn write(file: &str, text: &str) -> Result<(), String> {
    std::fs::write(root().join(file), text).map_err(|error| format!("cannot write {file}: {error}"))
}

/// What a command prints, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("failed: {command:?}\n{}", String::from_utf8_lossy(&output.stderr))),
    }
}
