//! The tests of the Python client.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_python_client_passes_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let client = root.join("clients/python");
    // `cargo xtask test` puts what the client stands on there.
    let python = Some(root.join("target/python/bin/python")).filter(|python| python.exists());
    let python = python.unwrap_or_else(|| "python3".into());
    if !Command::new(&python).args(["-c", "import websockets"]).output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI needs Python with websockets: `cargo xtask test` installs it");
        println!("left out: the Python client's tests need `cargo xtask test`, which installs websockets");
        return;
    }
    let output = Command::new(&python)
        .args(["-m", "unittest", "discover", "-t", ".", "-s", "tests"])
        .current_dir(&client)
        .env("PYTHONPATH", "src")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CHATROOM_BINARY", env!("CARGO_BIN_EXE_chatroom"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // How many vectors there were.
    for line in told.lines().filter(|line| line.contains(" run, ")) {
        println!("{line}");
    }
    assert!(told.contains("replica: ") && told.contains("generated/transform: 2000 run"), "{told}");
}
