//! Jobs that no worker could run: refused before they are queued.

use expect_test::expect_file;

use super::{Files, NAME};

#[test]
fn a_job_that_no_worker_could_run_is_refused() {
    let files = Files::new();
    let hint = "x".repeat(1025);
    let docker = "submit-docker @submission.cap --pool p";
    let built = format!("{docker} --local-dockerfile @Dockerfile");
    let from = format!("{docker} https://host/r");
    let lines = [
        docker.to_owned(),
        format!("{docker} --local-dockerfile @empty"),
        format!("{docker} --local-dockerfile @comments"),
        format!("{from} ac619d2"),
        format!("{from} main"),
        format!("{from} @A ac619d2"),
        format!("{docker} git%host.com:org/r.git @A"),
        format!("{docker} ssh://git%host.com:22/org/r.git @A"),
        format!("{docker} file:///home/me/r @A"),
        format!("{docker} ../r @A"),
        format!("{docker} https://me:s3cret%host.com\u{1}/r @A"),
        format!("{built} --secret id:@password"),
        format!("{built} --buildkit --secret a,b:@password"),
        format!("{built} --build-arg HOME"),
        format!("{docker} --context-dockerfile=../x https://host/r @A"),
        format!("{built} --cache-hint {hint}"),
        "submit-obuilder @submission.cap --pool p --local-file @bad.spec".to_owned(),
        "submit-obuilder @submission.cap --pool p --local-file @open.spec".to_owned(),
        "submit-obuilder @submission.cap --pool p --local-file @empty".to_owned(),
        "submit-custom @submission.cap --pool p --kind k https://host/r main".to_owned(),
    ];
    let here = files.0.path().to_str().unwrap();
    let mut texts = String::new();
    for line in &lines {
        let error = files.request(line).unwrap_err();
        assert_eq!(error.kind.exit_code(), 124, "{line}");
        let line = if line.len() > 200 {
            "--cache-hint xxx…"
        } else {
            line
        };
        let text = error
            .render(NAME)
            .replace("Try 'ocluster-client --help' for more information.\n", "");
        texts.push_str(&format!("$ {line}\n{}\n", text.replace(here, "$DIR")));
    }
    expect_file!["mistakes.txt"].assert_eq(&texts);
    // The checks can be skipped.
    for line in &lines {
        if !line.contains("--context") {
            files.request(&format!("{line} --unchecked")).unwrap();
        }
    }
}
