//! Measures how fast logs become HTML: `cargo run --release -p cluster-web --example log_speed`.
//!
//! Each log is as long as what a page shows of one, 256 KiB, and is read in one piece, as pages do it. The median of
//! some rounds is printed: for what a terminal shows of it, for the lines with their elements in a page, and how many
//! MiB become those in a second.

#![expect(clippy::print_stdout, reason = "a program")]

use std::time::Instant;

use cluster_web::log::{Line, Start, Terminal};
use cluster_web::pages::{LogOptions, LogView};

/// How much of a log a page shows.
const LENGTH: usize = 256 << 10;

/// How often each is measured.
const ROUNDS: usize = 41;

fn main() {
    println!(
        "{:<44} {:>10} {:>10} {:>10}",
        "", "terminal", "HTML", "both"
    );
    for (name, log) in logs() {
        let terminal = median(|| (), |()| drop(lines(&log)));
        let lines = lines(&log);
        let html = median(|| lines.clone(), html);
        println!(
            "{name:<44} {:>7.2} ms {:>7.2} ms {:>4.0} MiB/s",
            terminal * 1e3,
            html * 1e3,
            speed(terminal + html)
        );
    }
}

/// Returns logs of different kinds.
fn logs() -> Vec<(&'static str, String)> {
    let repeated = |line: &dyn Fn(usize) -> String| {
        let mut log = String::new();
        (0..).map(line).find(|line| {
            log.push_str(line);
            log.len() >= LENGTH
        });
        log
    };
    vec![
        (
            "a build",
            repeated(&|n| {
                format!("#12 {n}.5 cc -O2 -Wall -I include -c src/part{n}.c -o build/part{n}.o\n")
            }),
        ),
        (
            "a build in colours",
            repeated(&|n| {
                format!(
                    "\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m library-{n} v1.{n}.0 (/src/library-{n})\n"
                )
            }),
        ),
        (
            "a progress bar",
            repeated(&|n| format!("\r\u{1b}[Kfetched {n} of 100000 objects")),
        ),
        ("short lines", repeated(&|n| format!("{n:04}\n"))),
        ("nothing but ends of lines", "\n".repeat(LENGTH)),
        ("one line", "x".repeat(LENGTH)),
        ("nothing but colours", "\u{1b}[31m".repeat(LENGTH / 5)),
        (
            "characters of all colours",
            repeated(&|n| {
                format!(
                    "\u{1b}[38;5;{}m{}",
                    n % 256,
                    char::from(b'a' + (n % 26) as u8)
                )
            }),
        ),
        (
            "a long line, erased again and again",
            format!("{}{}", "x".repeat(16_000), "\u{1b}[1K".repeat(LENGTH / 4)),
        ),
        (
            "a long line, jumped over again and again",
            format!(
                "{}{}",
                "x".repeat(16_000),
                "\u{1b}[2Kx\u{1b}[D".repeat(LENGTH / 8)
            ),
        ),
        (
            "a hundred lines, erased again and again",
            format!(
                "{}\u{1b}[100A{}",
                "x\n".repeat(100),
                "\u{1b}[J".repeat(LENGTH / 3)
            ),
        ),
        (
            "links",
            repeated(&|n| format!("https://a.example/{n} \u{1b}]8;;https://b.example/{n}\u{7}x")),
        ),
        ("characters of two bytes", "\u{e9}".repeat(LENGTH / 2)),
        ("bytes that are no text", "\u{1}".repeat(LENGTH)),
    ]
}

fn lines(log: &str) -> Vec<Line> {
    let mut terminal = Terminal::new(Start::BEGINNING);
    terminal.read(log.as_bytes());
    terminal.take_changed()
}

fn html(lines: Vec<Line>) {
    let options = LogOptions::default();
    std::hint::black_box(LogView::new(options, lines, &[], &[]).lines_html());
}

/// Returns the median of some measurements, in seconds. What the work needs is made before.
fn median<T>(prepare: impl Fn() -> T, work: impl Fn(T)) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let prepared = prepare();
            let begun = Instant::now();
            work(prepared);
            begun.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(ROUNDS / 2).copied().unwrap_or_default()
}

/// Returns how many MiB were done in a second.
fn speed(seconds: f64) -> f64 {
    LENGTH as f64 / f64::from(1 << 20) / seconds
}
