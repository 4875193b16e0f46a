//! The debugger in a headless browser, with the real server behind it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::Path;
use std::process::Command;

const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

#[test]
fn the_debugger_shows_and_does_what_happens() {
    let web_test = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web-test");
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let browser = std::env::var("CHROMIUM")
        .ok()
        .or_else(|| BROWSERS.iter().find(|browser| there(browser)).map(|browser| (*browser).to_owned()));
    let ready = web_test.join("node_modules/puppeteer-core").is_dir() && there("node");
    let (Some(_), true) = (&browser, ready) else {
        assert!(std::env::var_os("CI").is_none(), "CI needs node, chromium and `npm ci` in web-test");
        println!("left out: the debugger's page needs node, chromium and `npm ci` in web-test");
        return;
    };
    let output =
        Command::new("node").arg(web_test.join("debugger.mjs")).arg(env!("CARGO_BIN_EXE_chatroom")).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
