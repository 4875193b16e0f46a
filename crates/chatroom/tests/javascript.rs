//! The tests of the JavaScript client, against this executable.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_javascript_client_passes_its_tests() {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/javascript");
    let node = Command::new("node").arg("--version").output().is_ok();
    if !node || !client.join("../../node_modules/ws").is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI needs node and `npm ci`");
        println!("left out: the JavaScript client's tests need node and `npm ci`");
        return;
    }
    let output = Command::new("npm")
        .args(["run", "--silent", "test"])
        .current_dir(client)
        .env("CHATROOM_BINARY", env!("CARGO_BIN_EXE_chatroom"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // How many vectors and interleavings there were.
    for line in told.lines().filter(|line| line.starts_with("# ") && line.ends_with(" ran")) {
        println!("{line}");
    }
    assert!(told.contains(" change vectors ran"), "{told}");
}
