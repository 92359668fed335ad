//! `cargo xtask deb`: Debian packages of the programs. crates/ocluster/Cargo.toml lists their contents.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use rig::{checked, find_program};

use crate::project::{build_release_programs, cargo, target, tools};

/// All make their packages with the same version of it.
const CARGO_DEB: &str = "cargo-deb@3.8.0";

/// Each makes one package; `None` is the one that is not called a variant.
const VARIANTS: [Option<&str>; 4] = [None, Some("scheduler"), Some("worker"), Some("obuilder")];

/// The programs, each with its name in the packages' manual and completions.
const PROGRAMS: [&str; 6] = [
    "ocluster-scheduler",
    "ocluster-worker",
    "ocluster-client",
    "ocluster-admin",
    "ocluster",
    "obuilder",
];

/// Makes the packages that people install, and prints where they are.
///
/// # Errors
/// When something does not build.
pub(crate) fn run() -> Result<ExitCode> {
    ensure_program()?;
    let programs = build_release_programs()?;
    println!("==> Making the packages");
    pack(&programs, &target().join("debian"), &[])
}

/// Makes packages in `output` of the programs that tests use: sooner, and larger.
///
/// # Errors
/// When they cannot be made.
pub(crate) fn run_for_tests(output: &Path) -> Result<ExitCode> {
    pack(
        &target().join("debug"),
        output,
        &["--profile=dev", "--fast"],
    )
}

fn pack(programs: &Path, output: &Path, args: &[&str]) -> Result<ExitCode> {
    document(programs)?;
    for variant in VARIANTS {
        let mut command = cargo(&["deb", "--package=ocluster", "--no-build", "--no-dbgsym"]);
        command.args(args);
        command.args(variant.map(|variant| format!("--variant={variant}")));
        // A folder that is not there yet is only known by its slash.
        command.arg("--output").arg(output.join(""));
        let status = command.env("PATH", search_path()).status();
        if !status.context("cannot start cargo-deb")?.success() {
            bail!("cargo-deb failed");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual and the completions of all programs where the packages' definition looks for them.
fn document(programs: &Path) -> Result<()> {
    let folder = programs.join("packaged");
    // What a version before has written may have other names.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let generate = || {
        let mut command = Command::new(programs.join("ocluster"));
        command.arg("generate");
        command
    };
    checked(generate().arg("man").arg(folder.join("man")))?;
    for (shell, before, after) in [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")] {
        fs::create_dir_all(folder.join(shell))?;
        for program in PROGRAMS {
            let script = checked(generate().args(["completion", shell, program]))?;
            // What it printed has lost its last line break.
            fs::write(
                folder.join(shell).join(format!("{before}{program}{after}")),
                script + "\n",
            )?;
        }
    }
    Ok(())
}

/// Installs cargo-deb among what is built here, unless there is one. That takes a minute.
///
/// # Errors
/// When it does not build.
pub(crate) fn ensure_program() -> Result<()> {
    if find_program("cargo-deb").is_some() || programs().join("cargo-deb").exists() {
        return Ok(());
    }
    println!("==> Installing {CARGO_DEB} in {}", tools().display());
    let status = cargo(&[
        "install", "--quiet", "--locked", "--debug", CARGO_DEB, "--root",
    ])
    .arg(tools())
    .status()
    .context("cannot start cargo")?;
    if !status.success() {
        bail!("{CARGO_DEB} was not installed");
    }
    Ok(())
}

/// Returns where programs are found, with what is installed here first.
pub(crate) fn search_path() -> OsString {
    let mut path = programs().into_os_string();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

fn programs() -> PathBuf {
    tools().join("bin")
}
