//! The figures of a run, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::histogram::Histogram;

/// What was measured; `None` is what the workload or the machine does not give.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) workload: &'static str,
    pub(crate) clients: usize,
    pub(crate) in_flight: Option<u64>,
    pub(crate) payload_bytes: usize,
    pub(crate) seconds: f64,
    pub(crate) operations: Option<u64>,
    pub(crate) deliveries: Option<u64>,
    pub(crate) latency: Latency,
    pub(crate) server_core_percent: Option<f64>,
    pub(crate) generator_core_percent: Option<f64>,
    pub(crate) server_us_per_delivery: Option<f64>,
    pub(crate) writes_per_delivery: Option<f64>,
    pub(crate) server_memory_bytes: Option<u64>,
    pub(crate) connections_per_second: Option<f64>,
    pub(crate) server_us_per_connection: Option<f64>,
    pub(crate) bytes_per_connection: Option<f64>,
}

/// Milliseconds from sending to reading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) count: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram) -> Self {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        Self {
            p50: milliseconds(histogram.quantile(500)),
            p90: milliseconds(histogram.quantile(900)),
            p99: milliseconds(histogram.quantile(990)),
            max: milliseconds(histogram.max()),
            count: histogram.count(),
        }
    }
}

/// One line of the table: its name and how it reads a figure.
type Row = (&'static str, fn(&Figures) -> Option<String>);

const ROWS: &[Row] = &[
    ("clients", |figures| Some(grouped(figures.clients as f64))),
    ("in flight", |figures| figures.in_flight.map(|count| grouped(count as f64))),
    ("updates or calls/s", |figures| figures.operations_per_second().map(number)),
    ("deliveries/s", |figures| figures.deliveries_per_second().map(number)),
    ("latency p50, ms", |figures| Some(number(figures.latency.p50))),
    ("latency p90, ms", |figures| Some(number(figures.latency.p90))),
    ("latency p99, ms", |figures| Some(number(figures.latency.p99))),
    ("latency max, ms", |figures| Some(number(figures.latency.max))),
    ("server, % of a core", |figures| figures.server_core_percent.map(number)),
    ("generator, % of a core", |figures| figures.generator_core_percent.map(number)),
    ("server CPU s/M deliveries", |figures| figures.server_us_per_delivery.map(number)),
    ("server writes/delivery", |figures| figures.writes_per_delivery.map(number)),
    ("server memory, MB", |figures| figures.server_memory_bytes.map(|bytes| number(bytes as f64 / 1e6))),
    ("connections/s", |figures| figures.connections_per_second.map(number)),
    ("server CPU us/connection", |figures| figures.server_us_per_connection.map(number)),
    ("memory KB/connection", |figures| figures.bytes_per_connection.map(|bytes| number(bytes / 1e3))),
];

/// The table of several runs, a column each. Five of them fit 80 columns.
pub(crate) fn table(runs: &[Figures]) -> String {
    let mut text = format!("{:<27}", "");
    for figures in runs {
        write_cell(&mut text, figures.workload);
    }
    for (name, read) in ROWS {
        let cells: Vec<Option<String>> = runs.iter().map(read).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        text.push('\n');
        text.push_str(&format!("{name:<27}"));
        for cell in cells {
            write_cell(&mut text, cell.as_deref().unwrap_or("-"));
        }
    }
    text.push('\n');
    text
}

fn write_cell(text: &mut String, cell: &str) {
    // A String takes any text.
    let _ = write!(text, "{cell:>10}");
}

impl Figures {
    fn operations_per_second(&self) -> Option<f64> {
        self.operations.map(|count| count as f64 / self.seconds)
    }

    fn deliveries_per_second(&self) -> Option<f64> {
        self.deliveries.map(|count| count as f64 / self.seconds)
    }

    /// All figures as one JSON object.
    pub(crate) fn json(&self) -> Value {
        json!({
            "workload": self.workload,
            "clients": self.clients,
            "in_flight": self.in_flight,
            "payload_bytes": self.payload_bytes,
            "seconds": self.seconds,
            "operations": self.operations,
            "operations_per_s": self.operations_per_second(),
            "deliveries": self.deliveries,
            "deliveries_per_s": self.deliveries_per_second(),
            "latency_ms": {
                "p50": self.latency.p50,
                "p90": self.latency.p90,
                "p99": self.latency.p99,
                "max": self.latency.max,
                "count": self.latency.count,
            },
            "server_core_percent": self.server_core_percent,
            "generator_core_percent": self.generator_core_percent,
            "server_cpu_s_per_million_deliveries": self.server_us_per_delivery,
            "server_writes_per_delivery": self.writes_per_delivery,
            "server_memory_bytes": self.server_memory_bytes,
            "connections_per_s": self.connections_per_second,
            "server_cpu_us_per_connection": self.server_us_per_connection,
            "server_bytes_per_connection": self.bytes_per_connection,
        })
    }
}

/// A figure with about three digits.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        small if small < 1.0 => format!("{value:.3}"),
        small if small < 10.0 => format!("{value:.2}"),
        small if small < 100.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// A whole number with commas.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.0123, 1.234, 56.78, 999.6, 1234.5, 1_234_567.0, -123_456.0].map(number);
        assert_eq!(shown, ["0", "0.012", "1.23", "56.8", "1,000", "1,234", "1,234,567", "-123,456"]);
    }

    #[test]
    fn the_table_fits_80_columns() {
        let figures = Figures {
            workload: "fan-out",
            clients: 10_001,
            operations: Some(50_000_000),
            deliveries: Some(50_000_000),
            seconds: 5.0,
            bytes_per_connection: Some(12_345.0),
            ..Figures::default()
        };
        let table = table(&vec![figures; 5]);
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");
        assert!(table.contains("10,000,000"), "{table}");
        assert!(!table.contains("in flight"), "{table}");
    }
}
