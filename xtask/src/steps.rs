//! `cargo xtask test`: every check in order, the tests last.

use std::path::Path;
use std::process::Command;

use crate::paths::root;

/// Runs all checks; further arguments go to the test runner.
pub(crate) fn test(arguments: &[String]) -> Result<(), String> {
    step("cargo", &["fmt", "--all", "--", "--check"], &root())?;
    step("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &root())?;
    pages()?;
    let extra: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| *argument != "--").collect();
    let mut nextest = vec!["nextest", "run", "--workspace", "--no-fail-fast"];
    let mut plain = vec!["test", "--workspace"];
    if has("cargo", &["nextest", "--version"]) {
        nextest.extend(extra);
        step("cargo", &nextest, &root())
    } else {
        plain.extend(extra);
        step("cargo", &plain, &root())
    }
}

/// Types and lints of the pages. The browser test itself is one of the workspace's tests.
fn pages() -> Result<(), String> {
    if !has("npm", &["--version"]) {
        return missing("npm", "the pages' types and the browser test");
    }
    let folder = root().join("web-test");
    let changed = |name: &str| folder.join(name).metadata().and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") < changed("package-lock.json") {
        step("npm", &["ci", "--no-audit", "--no-fund"], &folder)?;
    }
    step("npm", &["run", "--silent", "check"], &folder)
}

fn missing(tool: &str, what: &str) -> Result<(), String> {
    if std::env::var_os("CI").is_some() {
        return Err(format!("{tool} is missing, which {what} need"));
    }
    println!("left out: {what}; install {tool} to have them checked");
    Ok(())
}

fn has(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn step(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let shown = format!("{program} {}", arguments.join(" "));
    println!("\n> {shown}");
    let status = Command::new(program).args(arguments).current_dir(folder).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("failed: {shown}")),
        Err(error) => Err(format!("cannot run {shown}: {error}")),
    }
}
