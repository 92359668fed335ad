//! What jobs do, as descriptions for workers.

use std::path::Path;

use cluster_api::{Action, CustomJob, CustomPayload, DockerBuild, Dockerfile, OBuilderBuild};

use crate::plan::{JobPlan, Work};

/// The kind of the custom jobs.
pub(crate) const KIND: &str = "numbers";

/// Reads what to do; leaves a mark when it begins and when it has printed all its lines. Stands still while there is a
/// file `held`.
pub(crate) const JOB: &str = r#"#!/bin/bash
read -r name lines between exit_code folder
echo "$name" >> "$folder/begun"
if [ "$between" = 0 ]; then
  seq -f "$name: %.0f" 0 $((lines - 1))
else
  for ((n = 0; n < lines; n += between)); do
    seq -f "$name: %.0f" "$n" $((n + between - 1))
    sleep 0.05
    while [ -e "$folder/held" ]; do sleep 0.05; done
  done
fi
echo "$name" >> "$folder/done"
exit "$exit_code"
"#;

/// What prints as a custom job does, for the shell of busybox.
const SHELL: &str = "n=0; while [ $n -lt LINES ]; do echo NAME: $n; n=$((n + 1)); \
                     [ $((n % BETWEEN)) != 0 ] || sleep 0.05; done";

/// Returns what a job does.
pub(crate) fn action(folder: &Path, job: &JobPlan) -> Action {
    match job.work {
        Work::Build | Work::SteadyBuild(_) => Action::OBuilder(OBuilderBuild {
            spec: format!(
                "((from busybox) (shell /bin/sh -c) (run (shell \"{}\")))",
                shell(job)
            ),
        }),
        Work::Docker | Work::Endless => Action::Docker(DockerBuild {
            dockerfile: Dockerfile::Contents(format!("FROM busybox\nRUN {}\n", shell(job))),
            ..DockerBuild::default()
        }),
        _ => {
            let payload = CustomPayload::from_text(&payload(folder, job)).expect("a short text");
            let kind = KIND.to_owned();
            Action::Custom(CustomJob { kind, payload })
        }
    }
}

/// Returns the payload of a custom job.
pub(crate) fn payload(folder: &Path, job: &JobPlan) -> String {
    let (lines, between) = job.work.lines();
    let exit_code = job.work.exit_code();
    format!(
        "{} {lines} {between} {exit_code} {}\n",
        job.name,
        folder.display()
    )
}

fn shell(job: &JobPlan) -> String {
    let (lines, between) = job.work.lines();
    let script = match job.work {
        // One that prints would end with its reader.
        Work::Endless => format!("{SHELL}; sleep 3600"),
        _ => SHELL.to_owned(),
    };
    script
        .replace("NAME", &job.name)
        .replace("LINES", &lines.to_string())
        .replace("BETWEEN", &between.to_string())
}
