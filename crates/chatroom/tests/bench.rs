//! `chatroom bench` does its work, and says so when it cannot. Speed is not tested.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use chatroom_testkit::peer::http;
use chatroom_testkit::server::wait_until;
use serde_json::Value;

fn chatroom(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatroom"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[track_caller]
fn check_positive(figures: &Value, keys: &[&str]) {
    for key in keys {
        assert!(figures[*key].as_f64().is_some_and(|figure| figure > 0.0), "{key} of {figures}");
    }
}

#[test]
fn every_workload_reports_figures() {
    let output = chatroom(&["bench", "--json", "--seconds", "1", "--clients", "20"]).output().unwrap();
    let found = lines(&output);
    let names: Vec<_> = found.iter().map(|figures| figures["workload"].as_str().unwrap()).collect();
    assert_eq!(names, ["fan-out", "fan-out", "rooms", "calls", "writes", "writes", "writes", "idle"]);
    for figures in &found {
        check_positive(figures, &["clients", "payload_bytes", "seconds"]);
        check_positive(&figures["latency_ms"], &["p50", "p90", "p99", "max", "count"]);
        if cfg!(target_os = "linux") {
            check_positive(figures, &["server_memory_bytes"]);
        }
        if figures["workload"] == "idle" {
            check_positive(figures, &["connections_per_s"]);
            assert_eq!(figures["latency_ms"]["count"], 20);
        } else {
            check_positive(figures, &["in_flight", "operations_per_s", "deliveries_per_s"]);
            check_positive(figures, &["server_writes_per_delivery"]);
        }
    }
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server() -> (Server, String) {
    let mut command = chatroom(&["--memory", "--listen", "127.0.0.1:0"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the server starts");
    let mut server = Server(child);
    let mut line = String::new();
    let output = server.0.stdout.take().expect("its output is a pipe");
    BufReader::new(output).read_line(&mut line).expect("it says where it listens");
    let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once('/'));
    let url = format!("ws://{}", address.expect("the line holds an address").0);
    (server, url)
}

#[test]
fn a_running_server_is_measured_twice() {
    let (server, url) = server();
    let pid = server.0.id().to_string();
    for _ in 0..2 {
        let mut bench = chatroom(&["bench", "rooms", "--json", "--seconds", "1", "--clients", "8", "--payload", "200"]);
        let output = bench.args(["--url", &url, "--pid", &pid]).output().unwrap();
        let found = lines(&output);
        check_positive(&found[0], &["operations_per_s", "deliveries_per_s"]);
        assert_eq!((&found[0]["clients"], &found[0]["payload_bytes"]), (&8.into(), &200.into()));
    }
}

#[test]
fn a_server_that_ends_is_a_failure() {
    let (server, url) = server();
    let mut bench = chatroom(&["bench", "fan-out", "--seconds", "60", "--clients", "5", "--url", &url]);
    let bench = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let address = url.trim_start_matches("ws://").trim_end_matches('/').parse().unwrap();
    wait_until("the bench to be under way", || {
        let metrics = http(address, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let count = metrics.lines().find_map(|line| line.strip_prefix("chatroom_commits_total "));
        count.is_some_and(|count| count.parse::<u64>().unwrap() > 0)
    });
    drop(server);
    let output = bench.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("chatroom: fan-out: "), "{said}");
}
