//! The interfaces of `api/*.capnp`, with their methods and the comments there.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::markdown::{code, prose};

pub(super) fn page(root: &Path) -> Result<String> {
    let mut page = String::from(
        "# Interfaces\n\n\
         The interfaces between the programs, from the schemas in `api/`. \
         [The wire contract](../../api/README.md) explains them to authors of clients.\n",
    );
    for (title, schema) in [
        ("Upstream's", "api/schema.capnp"),
        ("Extensions", "api/extensions.capnp"),
    ] {
        let text = fs::read_to_string(root.join(schema)).with_context(|| schema.to_owned())?;
        // Writing to a String cannot fail.
        writeln!(page, "\n## {title}\n\nIn [{schema}](../../{schema}).").unwrap_or_default();
        for interface in interfaces(&text) {
            write(&mut page, &interface);
        }
    }
    Ok(page)
}

fn write(page: &mut String, interface: &Interface) {
    let Interface {
        name,
        about,
        methods,
    } = interface;
    let mut line = |text: String| writeln!(page, "{text}").unwrap_or_default();
    line(format!("\n### {name}\n"));
    for paragraph in about {
        line(format!("{}\n", prose(paragraph)));
    }
    for Method { signature, about } in methods {
        let about: Vec<String> = about.iter().map(|paragraph| prose(paragraph)).collect();
        line(format!("{}\n: {}\n", code(signature), about.join("\n\n  ")));
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Interface {
    name: String,
    about: Vec<String>,
    methods: Vec<Method>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Method {
    signature: String,
    about: Vec<String>,
}

/// Reads the interfaces of a schema. Comments come after what they are about; structs inside interfaces are left out.
fn interfaces(schema: &str) -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    // The number of open braces: 1 is in an interface itself.
    let mut depth = 0;
    let mut is_open = false;
    let mut lines = schema.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if text.starts_with('#') || text.is_empty() {
            continue;
        }
        if depth == 0 {
            is_open = text.starts_with("interface ");
        }
        let declares_method = is_open
            && depth == 1
            && text.contains(" @")
            && text.ends_with(';')
            && text.contains("->");
        let opens_interface = is_open && depth == 0;
        depth += text.matches('{').count();
        depth -= text.matches('}').count().min(depth);
        let mut comment = Vec::new();
        while let Some(words) = lines.peek().and_then(|line| line.trim().strip_prefix('#')) {
            comment.push(words.trim());
            lines.next();
        }
        let about = paragraphs(&comment);
        if opens_interface {
            let name = text
                .trim_start_matches("interface ")
                .trim_end_matches(['{', '}', ' ']);
            found.push(Interface {
                name: name.to_owned(),
                about,
                methods: Vec::new(),
            });
        } else if declares_method && let Some(interface) = found.last_mut() {
            let signature = text.trim_end_matches(';').to_owned();
            interface.methods.push(Method { signature, about });
        }
    }
    found
}

fn paragraphs(comment: &[&str]) -> Vec<String> {
    let parts = comment.split(|line| line.is_empty());
    parts
        .filter(|lines| !lines.is_empty())
        .map(|lines| lines.join(" "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_belongs_to_what_is_above_it() {
        let schema = "# File.\nstruct S {\n  a @0 :Text;\n  # Field.\n}\n\
                      interface Job {\n  # A job.\n  #\n  # More.\n\n  \
                      log @0 (start :Int64) -> (log :Data);\n  # Reads\n  # on.\n\n  \
                      struct T {\n    # Inner.\n    b @0 :Void;\n  }\n}\n\
                      interface Both extends(A, B) {}\n# Both.\n";
        let about = |words: &[&str]| {
            words
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            interfaces(schema),
            [
                Interface {
                    name: "Job".to_owned(),
                    about: about(&["A job.", "More."]),
                    methods: vec![Method {
                        signature: "log @0 (start :Int64) -> (log :Data)".to_owned(),
                        about: about(&["Reads on."]),
                    }],
                },
                Interface {
                    name: "Both extends(A, B)".to_owned(),
                    about: about(&["Both."]),
                    methods: Vec::new(),
                },
            ]
        );
    }
}
