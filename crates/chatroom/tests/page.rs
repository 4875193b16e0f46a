//! Pages in a headless browser: the welcome page in two tabs, a page of ten lines in two browsers,
//! and the debugger of a server that is killed and started again.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::Path;
use std::process::Command;

use chatroom_server::{AllowedOrigins, Config};
use chatroom_testkit::TestServer;

const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Runs a script of `web-test` against a fresh server.
#[track_caller]
fn check(script: &str, config: Config) {
    let server = TestServer::start(config);
    run(script, &format!("http://{}/", server.address));
}

/// Runs a script of `web-test` with what it is to look at.
#[track_caller]
#[expect(clippy::print_stdout, reason = "a test says what it leaves out")]
fn run(script: &str, argument: &str) {
    let web_test = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web-test");
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let browser = std::env::var("CHROMIUM")
        .ok()
        .or_else(|| BROWSERS.iter().find(|browser| there(browser)).map(|browser| (*browser).to_owned()));
    let ready = web_test.join("../node_modules/puppeteer-core").is_dir() && there("node");
    let (Some(_), true) = (&browser, ready) else {
        assert!(std::env::var_os("CI").is_none(), "CI needs node, chromium and `npm ci`");
        println!("left out: {script} needs node, chromium and `npm ci`");
        return;
    };
    let output = Command::new("node").arg(web_test.join(script)).arg(argument).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn two_tabs_are_in_step() {
    check("page.mjs", Config::default());
}

#[test]
fn the_debugger_shows_and_does_what_happens() {
    run("debugger.mjs", env!("CARGO_BIN_EXE_chatroom"));
}

#[test]
fn the_debugger_reaches_back_before_a_restart() {
    run("past.mjs", env!("CARGO_BIN_EXE_chatroom"));
}

#[test]
fn the_debugger_lets_in_who_has_the_token() {
    run("access.mjs", env!("CARGO_BIN_EXE_chatroom"));
}

/// The example: two type into one text at once, one of them offline for a while.
#[test]
fn two_editors_keep_in_step() {
    run("editor.mjs", env!("CARGO_BIN_EXE_chatroom"));
}

#[test]
fn two_browsers_share_the_counter_of_ten_lines() {
    let allowed_origins = AllowedOrigins::parse(["*"]).unwrap();
    check("counter.mjs", Config { allowed_origins, ..Config::default() });
}
