//! `cargo xtask test`: every check in order, the tests last.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::paths::root;

/// What the browser may be called, besides what CHROMIUM says.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Runs all checks; further arguments go to the test runner.
pub(crate) fn test(arguments: &[String]) -> Result<ExitCode, String> {
    step("cargo", &["fmt", "--all", "--", "--check"], &root())?;
    step("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &root())?;
    step("cargo", &["doc", "--workspace", "--no-deps", "--quiet"], &root())?;
    step("cargo", &["test", "--doc", "--workspace", "--quiet"], &root())?;
    pages()?;
    python()?;
    tests(arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments))
}

/// Types and lints of the JavaScript client and the pages. Their tests are tests of the workspace.
fn pages() -> Result<(), String> {
    if !has("node", &["--version"]) || !has("npm", &["--version"]) {
        return left_out("the JavaScript client and the pages", "Node 20 or later with npm (nodejs.org)");
    }
    let changed = |name: &str| root().join(name).metadata().and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") < changed("package-lock.json") {
        step("npm", &["ci", "--no-audit", "--no-fund"], &root())?;
    }
    step("npm", &["run", "--silent", "check"], &root())?;

    let named = std::env::var("CHROMIUM").ok();
    if BROWSERS.iter().copied().chain(named.as_deref()).any(|browser| has(browser, &["--version"])) {
        return Ok(());
    }
    left_out("the browser test", "Chromium (`apt-get install chromium`), or name it in CHROMIUM")
}

/// Types, lints and form of the Python client, with tools of their own under `target/python`. Its
/// tests are tests of the workspace.
fn python() -> Result<(), String> {
    if !has("python3", &["-c", "import sys, venv; sys.exit(sys.version_info < (3, 10))"]) {
        return left_out("the Python client", "Python 3.10 or later with venv and pip");
    }
    let tools = root().join("target/python");
    let python = tools.join("bin/python").display().to_string();
    let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let wanted = root().join("clients/python/requirements-dev.txt");
    if changed(&tools.join("installed")) < changed(&wanted) {
        step("python3", &["-m", "venv", &tools.display().to_string()], &root())?;
        let wanted = wanted.display().to_string();
        step(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &wanted], &root())?;
        std::fs::write(tools.join("installed"), "")
            .map_err(|error| format!("cannot note what is installed: {error}"))?;
    }
    let client = root().join("clients/python");
    step(&python, &["-m", "ruff", "format", "--check", "--quiet", "."], &client)?;
    step(&python, &["-m", "ruff", "check", "--quiet", "."], &client)?;
    step(&python, &["-m", "mypy", "--no-error-summary"], &client)
}

/// Says what cannot be checked here, which CI does not accept.
fn left_out(what: &str, install: &str) -> Result<(), String> {
    if std::env::var_os("CI").is_some() {
        return Err(format!("CI checks {what} too: install {install}"));
    }
    println!("\nleft out: {what}. To have it checked, install {install}");
    Ok(())
}

/// Runs the tests. The runner has the last word: its summary ends the output, failed or not.
fn tests(arguments: &[String]) -> Result<ExitCode, String> {
    let mut command = match has("cargo", &["nextest", "--version"]) {
        true => vec!["nextest", "run", "--workspace", "--no-fail-fast"],
        false => vec!["test", "--workspace"],
    };
    command.extend(arguments.iter().map(String::as_str));
    let code = run("cargo", &command, &root())?;
    Ok(ExitCode::from(code))
}

fn step(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    match run(program, arguments, folder)? {
        0 => Ok(()),
        _ => Err(format!("failed: {program} {}", arguments.join(" "))),
    }
}

/// The exit code of a command, which shows what it prints.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<u8, String> {
    let shown = format!("{program} {}", arguments.join(" "));
    println!("\n> {shown}");
    let status = Command::new(program).args(arguments).current_dir(folder).status();
    let status = status.map_err(|error| format!("cannot run {shown}: {error}"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn has(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
