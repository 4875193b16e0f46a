//! The tests of what is JavaScript, against this executable.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, and says what it ran")]

use std::path::Path;
use std::process::Command;

/// Runs the tests of one package of the workspace; `None`, said, where there is nothing to run them.
fn tested(package: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let node = Command::new("node").arg("--version").output().is_ok();
    if !node || !root.join("node_modules/ws").is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI needs node and `npm ci`");
        println!("left out: the tests of {package} need node and `npm ci`");
        return None;
    }
    let output = Command::new("npm")
        .args(["run", "--silent", "test", "-w", package])
        .current_dir(root)
        .env("CHATROOM_BINARY", env!("CARGO_BIN_EXE_chatroom"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    Some(told)
}

#[test]
fn the_javascript_client_passes_its_tests() {
    let Some(told) = tested("clients/javascript") else { return };
    // How many vectors and interleavings there were.
    for line in told.lines().filter(|line| line.starts_with("# ") && line.ends_with(" ran")) {
        println!("{line}");
    }
    assert!(told.contains(" change vectors ran"), "{told}");
}

#[test]
fn the_editor_adapter_passes_its_tests() {
    tested("clients/codemirror");
}

#[test]
fn the_game_is_played_to_its_end() {
    tested("examples");
}
