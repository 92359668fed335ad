//! Images and responses that are made to fill the memory of the process that reads them. Each is read in a process of
//! its own, which prints how much memory it used.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a child of the test gets its task by variables, and prints the result"
)]

use std::io;
use std::process::Command;

use crate::service::{Answer, Service};
use crate::support::{Archive, Machine, block_on};

/// What the process of its own is to fetch, and into which state directory.
const IMAGE: &str = "OBUILDER_TEST_FETCH";
const STATE: &str = "OBUILDER_TEST_STATE";

/// An image of no interest.
const SMALL: &str = "small";

/// The size of an "endless" response, so that a bug does not fill the machine's memory.
const ENDLESS: usize = 64 << 20;

/// Not a test, but a child process of others: fetches an image, and prints how much memory it used.
#[test]
fn fetches_the_image_of_the_environment() {
    let (Ok(image), Some(state)) = (std::env::var(IMAGE), std::env::var_os(STATE)) else {
        return;
    };
    let mut machine = Machine::new();
    machine.settings.state_dir = state.into();
    // The memory that every fetch uses: buffers, and the program itself.
    block_on(machine.fetch(SMALL)).unwrap();
    // Starts the count of the most that was ever used anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory_kib("VmRSS:");
    let fetched = block_on(machine.fetch(&image));
    println!("fetched: {:?}", fetched.map_err(|error| error.to_string()));
    println!("took: {}", memory_kib("VmHWM:").saturating_sub(before));
}

/// Returns a number of KiB from the status of this process.
fn memory_kib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

/// Fetches an image in a process of its own, which may use `most_mib` MiB more, and returns its output.
fn fetched(machine: &Machine, image: &str, most_mib: u64) -> String {
    let small = Archive::default().file("usr/file", b"").finish();
    let small = machine.write("small.tar", small);
    machine.import(SMALL, &small).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sizes::fetches_the_image_of_the_environment",
            "--nocapture",
        ])
        .env(IMAGE, image)
        .env(STATE, &machine.settings.state_dir)
        .output()
        .unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    let took = output_text
        .lines()
        .find_map(|line| line.strip_prefix("took: "));
    let took: u64 = took
        .unwrap_or_else(|| panic!("{output_text}"))
        .parse()
        .unwrap();
    println!("{image}: {took} KiB");
    assert!(took < most_mib << 10, "it took {took} KiB: {output_text}");
    output_text
}

#[test]
fn a_layer_of_many_directories_with_long_names() {
    // Of paths alone, these are 10 MB.
    let machine = Machine::new();
    let name = "n".repeat(200);
    let way = std::iter::repeat_n(name.as_str(), 18).collect::<Vec<_>>();
    let way = format!("usr/{}", way.join("/"));
    let mut archive = Archive::default().directory("usr");
    for number in 0..2_500 {
        let path = format!("{way}/{number:0>200}");
        archive = archive.record("path", path.as_bytes()).directory("x");
    }
    let path = machine.write("image.tar", archive.finish());
    machine.import("test", &path).unwrap();
    let output_text = fetched(&machine, "test", 8);
    assert!(output_text.contains("fetched: Ok("), "{output_text}");
}

#[test]
fn a_manifest_without_end() {
    let service = Service::start(endless(|path| path.contains("/manifests/")));
    let output_text = fetched(&Machine::new(), &service.image(), 24);
    assert!(
        output_text.contains("too large: more than 4194304 bytes"),
        "{output_text}"
    );
}

#[test]
fn a_token_without_end() {
    let tokens = Service::start(endless(|_| true));
    let realm = format!("http://{}/token", tokens.address);
    let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n");
    let service = Service::saying("401 Unauthorized", header, "");
    let output_text = fetched(&Machine::new(), &service.image(), 24);
    assert!(
        output_text.contains("too large: more than 1048576 bytes"),
        "{output_text}"
    );
}

/// Answers with an endless text where `where_` says so, and with nothing elsewhere.
fn endless(where_: fn(&str) -> bool) -> Answer {
    Box::new(move |request, to| {
        if !where_(&request.path) {
            return write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        write!(
            to,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            2_u64 << 30
        )?;
        let chunk = vec![b' '; 1 << 20];
        for _ in 0..ENDLESS / chunk.len() {
            to.write_all(&chunk)?;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    })
}
