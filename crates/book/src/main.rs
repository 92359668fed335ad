//! `cargo run -p book -- build` makes the book, and `cargo run -p book -- reference` refreshes its generated pages.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;

use anyhow::{Result, ensure};
use book::{html, links, reference, root};

const USAGE: &str = "\
usage: cargo run -p book -- COMMAND

  build      Make the book as HTML in target/book/html
  reference  Generate the pages of docs/reference from the code
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match *words {
        ["build"] => build(),
        ["reference"] => reference::write(&root()).map(|()| println!("wrote docs/reference")),
        _ => {
            print!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("book: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    let site = html::build(&root(), &root().join("target/book"))?;
    let broken = links::broken(&site)?;
    ensure!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    println!("open {}", site.join("index.html").display());
    Ok(())
}
