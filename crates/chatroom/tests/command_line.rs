//! The executable as its user meets it: help, mistakes in one line, and a clean end.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use chatroom_testkit::peer::http;

fn chatroom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatroom"));
    for name in [
        "CHATROOM_LISTEN",
        "CHATROOM_MEMORY",
        "CHATROOM_DATA",
        "CHATROOM_DURABILITY",
        "CHATROOM_KEEP",
        "CHATROOM_CONFIG",
        "CHATROOM_ALLOWED_ORIGINS",
        "CHATROOM_DEBUGGER",
        "DEBUG",
    ] {
        command.env_remove(name);
    }
    command
}

#[track_caller]
fn check_mistake(arguments: &[&str], exit: i32, says: &[&str]) {
    let Output { status, stderr, .. } = chatroom().args(arguments).output().unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(exit), "{told}");
    assert_eq!(told.lines().count(), 1, "one line: {told}");
    for word in says {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn mistakes_say_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check_mistake(&["--listen", &address, "--memory"], 1, &[&address, "taken", "--listen"]);
    check_mistake(&["--listen", "nonsense"], 2, &["nonsense", "127.0.0.1:8765"]);
    check_mistake(&["--listen", "127.0.0.1:99999"], 2, &["127.0.0.1:99999"]);
    check_mistake(&["--allowed-origins", "example.org"], 2, &["example.org", "https://"]);
    check_mistake(&["--config", "/no/such/file.toml"], 2, &["/no/such/file.toml", "--config"]);
    let file = std::env::temp_dir().join(format!("chatroom-{}.toml", std::process::id()));
    check_mistake(&["--keep", "some"], 2, &["--keep", "some", "30d"]);
    check_mistake(&["--durability", "maybe"], 2, &["maybe", "synced", "written"]);
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
    check_mistake(&["--config", file.to_str().unwrap()], 2, &["lisen", "did you mean listen?"]);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn help_is_for_newcomers() {
    let output = chatroom().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for word in
        ["http://127.0.0.1:8765", "two tabs", "serve", "watch", "bench", "--listen", "--debugger", "--allowed-origins"]
    {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

#[test]
fn the_printed_configuration_can_be_used() {
    let printed = chatroom().arg("config").output().unwrap();
    let file = std::env::temp_dir().join(format!("chatroom-printed-{}.toml", std::process::id()));
    std::fs::write(&file, printed.stdout).unwrap();
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let (mut server, address) = start(&["--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--data", data]);
    assert!(
        http(address.parse().unwrap(), "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").contains("ok")
    );
    terminate(&mut server);
    std::fs::remove_file(file).unwrap();
}

fn start(arguments: &[&str]) -> (Child, String) {
    let mut server = chatroom().args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (server, address)
}

fn terminate(server: &mut Child) {
    assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn no_argument_serves_and_a_signal_ends_it_cleanly() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    for arguments in
        [&["--listen", "127.0.0.1:0", "--data", data][..], &["serve", "--memory", "--listen", "127.0.0.1:0"]]
    {
        let (mut server, address) = start(arguments);
        let answer = http(address.parse().unwrap(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.contains("<!doctype html>"), "{answer}");
        terminate(&mut server);
    }
}

#[test]
fn the_debugger_listens_only_when_asked() {
    let start = |arguments: &[&str], debug: &str| {
        let mut command = chatroom();
        let command = command.args(["--memory", "--listen", "127.0.0.1:0"]).args(arguments).env("DEBUG", debug);
        let mut child: Child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        (child, first, lines)
    };
    let (mut child, _, mut lines) = start(&["--debugger", "localhost:0"], "");
    let line = lines.next().unwrap();
    let port = line.strip_prefix("The debugger is at http://localhost:").unwrap().trim_end_matches('/');
    let address: std::net::SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let answer = http(address, &format!("GET /nothing HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
    assert!(answer.contains("the debugger is at /"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();

    let (mut child, _, mut lines) = start(&["--debugger", "0.0.0.0:0"], "");
    let line = lines.next().unwrap();
    assert!(line.contains("/#token="), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();

    // Other programs' DEBUG is no reason to listen: the server says nothing more until its end.
    let (mut child, first, lines) = start(&[], "express:*");
    let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let health = http(address.parse().unwrap(), "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(health.ends_with("ok\n"), "{health}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lines.collect::<Vec<_>>(), Vec::<String>::new());
}
