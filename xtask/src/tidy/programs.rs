//! What the modules of `ocluster`, each of which is a program, may use: a program for clients or operators carries
//! neither builder nor worker, and only programs that build carry the helper process of containers.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::{Spacing, TokenStream, TokenTree};

use super::finding::{Finding, Rule};
use super::tree::TextFile;

const FOLDER: &str = "crates/ocluster/src/";

/// Modules of `ocluster`, and the crates that they must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    // It has the scheduler's store, for "store copy".
    (
        "admin",
        &[
            "cgroup",
            "cluster_client",
            "cluster_worker",
            "obuilder",
            "obuilder_spec",
            "oci",
        ],
    ),
    (
        "client",
        &[
            "cgroup",
            "cluster_scheduler",
            "cluster_worker",
            "obuilder",
            "oci",
        ],
    ),
    (
        "scheduler",
        &[
            "cgroup",
            "cluster_client",
            "cluster_worker",
            "obuilder",
            "obuilder_spec",
            "oci",
        ],
    ),
];

/// The function by which a program becomes the helper process of a container.
const HELPER: &str = "run_if_asked";
/// The modules of programs that build.
const BUILDING: &[&str] = &["obuilder", "ocluster", "worker"];

/// This file, which names modules that must exist.
const HERE: &str = "xtask/src/tidy/programs.rs";

/// Returns where a program names what it must not, and the modules with a rule that do not exist.
///
/// # Errors
/// When a file is not Rust.
pub(super) fn check<'a>(files: impl Iterator<Item = &'a TextFile>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for file in files {
        let Some(module) = module_of(&file.path) else {
            continue;
        };
        seen.insert(module);
        let tokens: TokenStream = file
            .text
            .parse()
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("cannot read {}", file.path))?;
        let mut names = Vec::new();
        collect_names(tokens, &mut names);
        found.extend(names.iter().filter_map(|name| judge(file, module, name)));
    }
    for module in modules_with_rules().filter(|module| !seen.contains(module)) {
        let message = format!("no module {module} of ocluster seen; write its new name here");
        found.push(Finding::strict(HERE, None, message));
    }
    Ok(found)
}

fn modules_with_rules() -> impl Iterator<Item = &'static str> {
    let forbidden = FORBIDDEN.iter().map(|(module, _)| *module);
    forbidden.chain(BUILDING.iter().copied())
}

/// Returns the module of `ocluster` that a file belongs to, which is `bin` for the binaries; `None` for other crates.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix(FOLDER)?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// A name in a file.
struct Name {
    text: String,
    line: usize,
    /// Whether `::` follows.
    is_path: bool,
}

fn collect_names(tokens: TokenStream, names: &mut Vec<Name>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => collect_names(group.stream(), names),
            TokenTree::Ident(ident) => {
                names.push(Name {
                    text: ident.to_string(),
                    line: ident.span().start().line,
                    is_path: is_first_of_two_colons(tokens.get(index + 1)),
                });
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Returns whether this is the first colon of `::`, and not the one before a type or a value.
fn is_first_of_two_colons(next: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Punct(punct)) = next else {
        return false;
    };
    punct.as_char() == ':' && punct.spacing() == Spacing::Joint
}

fn judge(file: &TextFile, module: &str, name: &Name) -> Option<Finding> {
    let Name {
        text,
        line,
        is_path,
    } = name;
    let forbidden = FORBIDDEN.iter().find(|(known, _)| *known == module);
    let is_forbidden = forbidden.is_some_and(|(_, crates)| crates.contains(&text.as_str()));
    let message = if *is_path && is_forbidden {
        format!(
            "the module {module} of ocluster may not use {text}; move what it needs to a crate that it may use"
        )
    } else if text == HELPER && !BUILDING.contains(&module) {
        format!(
            "{module} builds nothing, and needs no helper process for containers; leave `{HELPER}` out"
        )
    } else {
        return None;
    };
    Some(Finding {
        rule: Rule::Program,
        subject: text.clone(),
        ..Finding::strict(&file.path, *line, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut files: Vec<TextFile> = modules_with_rules()
            .map(|module| TextFile::new(&format!("{FOLDER}{module}.rs"), ""))
            .collect();
        files.push(TextFile::new(path, text));
        let found = check(files.iter()).unwrap();
        found.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_client_names_neither_builder_nor_worker() {
        let text = "//! May mention obuilder::Setup.\nuse cluster_api::Job;\nfn f() {\n    obuilder::build();\n}\n";
        assert_eq!(
            found("crates/ocluster/src/client/a.rs", text),
            [
                "crates/ocluster/src/client/a.rs:4: the module client of ocluster may not use obuilder; move what it \
                 needs to a crate that it may use"
            ]
        );
        assert_eq!(found("crates/ocluster/src/admin/mod.rs", text).len(), 1);
        assert!(found("crates/ocluster/src/worker/mod.rs", text).is_empty());
        assert!(found("crates/cluster-client/src/a.rs", text).is_empty());
    }

    #[test]
    fn a_field_may_have_the_name_of_a_crate() {
        let text = "//! A program.\nstruct Limits {\n    oci: u64,\n}\n";
        assert!(found("crates/ocluster/src/client/a.rs", text).is_empty());
    }

    #[test]
    fn a_module_with_a_rule_exists() {
        let found = check(std::iter::empty()).unwrap();
        assert_eq!(found.len(), FORBIDDEN.len() + BUILDING.len());
        assert_eq!(
            found[0].to_string(),
            "xtask/src/tidy/programs.rs: no module admin of ocluster seen; write its new name here"
        );
    }

    #[test]
    fn only_programs_that_build_carry_the_helper() {
        let text = "//! A program.\nfn main() {\n    sandbox::builtin::run_if_asked();\n}\n";
        assert_eq!(
            found("crates/ocluster/src/scheduler/mod.rs", text),
            [
                "crates/ocluster/src/scheduler/mod.rs:3: scheduler builds nothing, and needs no helper process for \
                 containers; leave `run_if_asked` out"
            ]
        );
        assert!(found("crates/ocluster/src/ocluster.rs", text).is_empty());
    }
}
