//! The secrets of a job, which must not be in its log.

use cluster_api::Description;
use job_rules::url_secrets;
use redact::{MIN_SECRET_BYTES, Redactor};

/// Returns the redactor for a job's log. It replaces the values of the job's secrets, the `password` for pushing and
/// the credentials in the URL of its source.
pub(crate) fn redactor(job: &Description, password: Option<&[u8]>) -> Redactor {
    let url = url_secrets(&job.repository);
    let values = job.secrets.iter().map(|secret| secret.value.expose());
    let values = values.chain(url.iter().map(Vec::as_slice));
    Redactor::new(values.chain(password))
}

/// Returns warnings for the job's log about secrets that it may show in spite of the redactor.
pub(crate) fn unredacted(redactor: &Redactor) -> Vec<String> {
    let coverage = redactor.coverage();
    let mut remarks = Vec::new();
    if coverage.too_short > 0 {
        remarks.push(format!(
            "Secrets of fewer than {MIN_SECRET_BYTES} bytes are not redacted in this log"
        ));
    }
    if coverage.is_partial {
        remarks.push(
            "The secrets of this job are large: not all encodings of them are redacted in this log"
                .to_owned(),
        );
    }
    remarks
}

#[cfg(test)]
mod tests {
    use cluster_api::{Action, Description, DockerBuild, Secret};
    use expect_test::expect;

    use super::*;
    use crate::executor::JobKind as _;

    #[test]
    fn all_secrets_of_a_job_are_redacted() {
        let build = DockerBuild {
            push_user: "pusher".into(),
            push_password: "push-s3cret".to_owned().into(),
            ..DockerBuild::default()
        };
        let redactor = |job: &Description| redactor(job, build.password());
        let mut job = Description::new(Action::Docker(build.clone()));
        job.secrets.push(Secret {
            id: "pin".into(),
            value: "1234".into(),
        });
        job.secrets.push(Secret {
            id: "token".into(),
            value: "s3cret\n".into(),
        });
        job.repository = "https://reader:p%40ssword@example.com/x".into();
        let known = redactor(&job);
        let text = "1234 s3cret pusher push-s3cret reader p%40ssword p@ssword cmVhZGVyOnBAc3N3b3Jk";
        expect!["1234 *** pusher *** reader *** *** cmVhZGVyOn***"].assert_eq(&known.text(text));
        assert_eq!(
            unredacted(&known),
            ["Secrets of fewer than 5 bytes are not redacted in this log"]
        );
        job.repository = "https://ghp_token@example.com/x".into();
        assert_eq!(redactor(&job).text("ghp_token"), "***");
        job.repository = "https://ghp_token:x-oauth-basic@example.com/x".into();
        assert_eq!(redactor(&job).text("ghp_token"), "***");
    }
}
