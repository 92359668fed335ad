//! Generates the Rust code for `api/*.capnp`, which is committed so that building the project needs no `capnp`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::project;

/// The module of `cluster-api` that the code is in.
const MODULE: &str = "raw";

/// Generates the code anew.
///
/// # Errors
/// When `capnp` is not installed (Debian: capnproto), or a schema has a mistake.
pub(crate) fn run() -> Result<()> {
    let folder = committed_code();
    fs::create_dir_all(&folder)?;
    for file in generate(&folder)? {
        println!("wrote {}", file.display());
    }
    Ok(())
}

fn committed_code() -> PathBuf {
    project::root().join("crates/cluster-api/src").join(MODULE)
}

/// Returns the schemas, in order.
fn schemas() -> Result<Vec<PathBuf>> {
    let folder = project::root().join("api");
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "capnp")
    });
    found.sort();
    ensure!(!found.is_empty(), "no schema in {}", folder.display());
    Ok(found)
}

/// Writes the code of each schema into `folder`, and returns the files.
fn generate(folder: &Path) -> Result<Vec<PathBuf>> {
    let schemas = schemas()?;
    let mut compiler = capnpc::CompilerCommand::new();
    compiler
        .src_prefix(project::root().join("api"))
        .output_path(folder)
        .default_parent_module(vec![MODULE.to_owned()]);
    for schema in &schemas {
        compiler.file(schema);
    }
    compiler.run().map_err(|error| anyhow!("{}", error.extra))?;
    let code = |schema: &PathBuf| {
        let stem = schema
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .replace('-', "_");
        folder.join(format!("{stem}_capnp.rs"))
    };
    Ok(schemas.iter().map(code).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns code without the lines that name the `capnp` program's version, which is the machine's affair.
    fn essence(code: &str) -> String {
        let is_version = |line: &&str| line.starts_with("// capnp binary version");
        code.lines()
            .filter(|line| !is_version(line))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Returns what is wrong with the committed code beside the code that was generated now.
    fn differences(fresh: &[PathBuf], committed: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for file in fresh {
            let name = file.file_name().unwrap_or_default();
            let fresh = fs::read_to_string(file).unwrap_or_default();
            match fs::read_to_string(committed.join(name)) {
                Ok(old) if essence(&old) == essence(&fresh) => {}
                Ok(_) => found.push(format!("{} is not what its schema says", name.display())),
                Err(_) => found.push(format!("{} is missing", name.display())),
            }
        }
        found
    }

    #[test]
    fn committed_code_is_what_the_schemas_say() {
        const NAME: &str = "committed_code_is_what_the_schemas_say";
        if rig::find_program("capnp").is_none() {
            rig::report_not_run(NAME, "capnp (Debian package capnproto)");
            return;
        }
        if schemas().is_err() {
            rig::report_not_run(NAME, "a schema in api/");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let fresh = generate(folder.path()).unwrap();
        let found = differences(&fresh, &committed_code());
        assert!(found.is_empty(), "{found:?}: run `cargo xtask codegen`");
    }

    #[test]
    fn a_difference_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [fresh, committed] = ["fresh", "committed"].map(|name| folder.path().join(name));
        for (folder, version) in [(&fresh, "1"), (&committed, "2")] {
            fs::create_dir(folder).unwrap();
            let head = format!("// capnp binary version: {version}\n");
            fs::write(folder.join("same_capnp.rs"), head.clone() + "code").unwrap();
            fs::write(folder.join("other_capnp.rs"), head + version).unwrap();
        }
        fs::write(fresh.join("new_capnp.rs"), "").unwrap();
        let files = ["same_capnp.rs", "other_capnp.rs", "new_capnp.rs"].map(|f| fresh.join(f));
        assert_eq!(
            differences(&files, &committed),
            [
                "other_capnp.rs is not what its schema says",
                "new_capnp.rs is missing"
            ]
        );
    }
}
