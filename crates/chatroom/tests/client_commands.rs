//! The commands that are a client: what they print, and with which exit code they end.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use chatroom_testkit::TestServer;
use chatroom_testkit::server::wait_until;

fn chatroom(server: &TestServer) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatroom"));
    for name in ["CHATROOM_ROOM", "CHATROOM_TOKEN", "CHATROOM_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command.env("CHATROOM_URL", format!("ws://{}/", server.address));
    command
}

/// Runs a command to its end: its exit code, standard output and standard error.
fn run(command: &mut Command, input: &str) -> (i32, String, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn check(server: &TestServer, arguments: &[&str], exit: i32, out: &str, err: &str) {
    check_input(server, arguments, "", exit, out, err);
}

#[track_caller]
fn check_input(server: &TestServer, arguments: &[&str], input: &str, exit: i32, out: &str, err: &str) {
    let (code, printed, told) = run(chatroom(server).args(arguments), input);
    assert_eq!(code, exit, "{arguments:?}: {printed}{told}");
    assert_eq!(printed, out, "{arguments:?}: {told}");
    assert!(told.contains(err), "{arguments:?}: {told}");
    assert!(!printed.contains('\u{1b}') && !told.contains('\u{1b}'), "colours without a terminal: {printed}{told}");
    assert!(exit == 0 || told.lines().count() == 1, "one line: {told}");
}

/// A command that goes on; it ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn values_go_in_and_come_out() {
    let server = TestServer::default();
    check(&server, &["topics"], 0, "", "no topics");
    check(&server, &["set", "game/score", "5"], 0, "", "created game/score of type int");
    check(&server, &["set", "game/score", "-3"], 0, "", "");
    check(&server, &["get", "game/score"], 0, "-3\n", "");
    check(&server, &["set", "game/score", "--change", r#"{"type":"add","value":10}"#], 0, "", "");
    check(&server, &["get", "game/score", "--json"], 0, "{\"sequence\":3,\"type\":\"int\",\"value\":7}\n", "");
    check(&server, &["set", "title", "--type", "string", "two words"], 0, "", "created title");
    check(&server, &["set", "title", "42"], 0, "", "");
    check(&server, &["get", "title"], 0, "\"42\"\n", "");
    check_input(&server, &["set", "title", "-"], "from a pipe", 0, "", "");
    check(&server, &["get", "-r", "title"], 0, "from a pipe\n", "");
    check(
        &server,
        &["topics"],
        0,
        "NAME        TYPE    SUBSCRIBERS  SEQUENCE\ngame/score  int               0         3\ntitle       string            0         6\n",
        "",
    );
    check(
        &server,
        &["topics", "game/", "--json"],
        0,
        "{\"name\":\"game/score\",\"sequence\":3,\"subscribers\":0,\"type\":\"int\"}\n",
        "",
    );
    check(&server, &["topics", "--room", "other"], 0, "", "no topics");
}

#[test]
fn refusals_have_their_exit_codes() {
    let server = TestServer::default();
    check(&server, &["set", "n", "1"], 0, "", "");
    check(&server, &["get", "none"], 4, "", "unknown_topic");
    check(&server, &["set", "n", "\"x\""], 4, "", "bad_type");
    check(&server, &["set", "n", "--type", "dict", "{}"], 4, "", "type_mismatch");
    check(&server, &["set", "new", "--change", r#"{"type":"add","value":1}"#], 4, "", "--type");
    check(&server, &["set", "n", "oops"], 2, "", "not JSON");
    check(&server, &["set", "", "1"], 2, "", "empty");
    check(&server, &["watch", "none"], 4, "", "unknown_topic");
    check(&server, &["call", "nobody"], 5, "", "no_provider");
    check(&server, &["call", "_chatroom/secret"], 4, "", "forbidden");
    check(&server, &["get", "n", "--url", "ws://127.0.0.1:1"], 3, "", "cannot connect");
    check(&server, &["get", "n", "--url", "gopher"], 2, "", "--url");
    check(&server, &["get", "n", "--token-file", "/no/such/file"], 4, "", "--token-file");
}

#[test]
fn watch_prints_changes_as_they_happen() {
    let server = TestServer::default();
    let arguments = ["watch", "n", "--type", "int", "--count", "3"];
    let mut readable = Running::start(chatroom(&server).args(arguments));
    let mut json = Running::start(chatroom(&server).args(arguments).arg("--json"));
    let mut lines = [&mut readable, &mut json].map(|running| BufReader::new(running.0.stdout.take().unwrap()).lines());
    assert_eq!(lines[0].next().unwrap().unwrap(), "n  is  0");
    let first: serde_json::Value = serde_json::from_str(&lines[1].next().unwrap().unwrap()).unwrap();
    assert_eq!((&first["cause"], &first["value"]), (&"snapshot".into(), &0.into()), "{first}");
    check(&server, &["set", "n", "5"], 0, "", "");
    assert_eq!(lines[0].next().unwrap().unwrap(), "n  set 5  by 3  = 5");
    let second: serde_json::Value = serde_json::from_str(&lines[1].next().unwrap().unwrap()).unwrap();
    assert_eq!(second["change"], serde_json::json!({"type": "set", "value": 5}));
    assert_eq!((&second["by"], &second["sequence"]), (&3.into(), &1.into()));
    check(&server, &["set", "n", "--change", r#"{"type":"add","value":1}"#], 0, "", "");
    assert_eq!(lines[0].next().unwrap().unwrap(), "n  add 1  by 4  = 6");
    assert!(lines[0].next().is_none(), "three lines were asked for");
    assert!(readable.0.wait().unwrap().success());
}

#[test]
fn a_watch_outlives_its_server() {
    let mut server = TestServer::default();
    check(&server, &["set", "n", "5"], 0, "", "");
    let mut watch = Running::start(chatroom(&server).args(["watch", "n"]));
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "n  is  5");
    let address = server.address;
    server.stop();
    // The room has forgotten the topic; the watch knows what it was.
    let server = TestServer::start_at(address);
    assert_eq!(lines.next().unwrap().unwrap(), "n  is  0");
    check(&server, &["set", "n", "6"], 0, "", "");
    assert!(lines.next().unwrap().unwrap().starts_with("n  set 6  by "), "it goes on");
}

#[test]
fn a_shell_command_answers_calls() {
    let server = TestServer::default();
    let provide =
        |service: &str, words: &[&str]| Running::start(chatroom(&server).args(["provide", service]).args(words));
    let _services = [
        provide("upper", &["tr a-z A-Z"]),
        provide("who", &["sh", "-c", "cat > /dev/null; echo $CHATROOM_SERVICE $CHATROOM_BY"]),
        provide("fail", &["echo out of paper >&2; exit 7"]),
        provide("slow", &["sleep 600"]),
    ];
    server.wait_counts("four services", |counts| counts.services == 4);
    check(&server, &["call", "upper", "\"hello\""], 0, "\"HELLO\"\n", "");
    check(&server, &["call", "-r", "who"], 0, "who 6\n", "");
    check_input(&server, &["call", "upper", "-"], "[\"a\"]", 0, "[\"A\"]\n", "");
    check(&server, &["call", "fail"], 5, "", "error 1007: out of paper {\"exit\":7}");
    check(&server, &["call", "slow", "--timeout-ms", "50"], 5, "", "timeout");
    wait_until("no call is left", || server.counts().calls == 0);
}

#[test]
fn the_shell_pipeline_of_the_examples() {
    let server = TestServer::default();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shell-pipeline/shell_pipeline.sh");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_chatroom")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(script).env("PATH", path).env("CHATROOM_URL", format!("ws://{}/", server.address));
    let (code, printed, told) = run(&mut command, "");
    assert_eq!(code, 0, "{printed}{told}");
    assert_eq!(printed.lines().last(), Some(r#"["THREE","TWO","ONE"]"#), "{printed}{told}");
    assert_eq!(printed.lines().count(), 5, "{printed}");
}

#[test]
fn completions_and_the_manual_are_printed() {
    let server = TestServer::default();
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(chatroom(&server).args(["completions", shell]), "");
        assert!(code == 0 && script.contains("provide"), "{shell}: {script}");
    }
    let (code, page, _) = run(chatroom(&server).arg("man"), "");
    assert_eq!(code, 0);
    for word in [".TH chatroom 1", "CHATROOM PROVIDE", "exit code", "completions"] {
        assert!(page.to_lowercase().contains(&word.to_lowercase()), "{word} is missing");
    }
}
