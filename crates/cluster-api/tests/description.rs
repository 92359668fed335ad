//! Descriptions survive their encoding, and do not show their secrets.

use cluster_api::{
    Action, CustomJob, CustomPayload, Description, DockerBuild, Dockerfile, EncodedDescription,
    MAX_DESCRIPTION_BYTES, OBuilderBuild, RpcError, Secret,
};
use expect_test::expect;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

fn dockerfiles() -> impl Strategy<Value = Dockerfile> {
    prop_oneof![
        ".*".prop_map(Dockerfile::Contents),
        ".*".prop_map(Dockerfile::Path)
    ]
}

fn docker_builds() -> impl Strategy<Value = DockerBuild> {
    let texts = (".*", ".*", ".*", vec(".*", 0..4));
    (dockerfiles(), texts, any::<[bool; 3]>()).prop_map(|(dockerfile, texts, flags)| {
        let (push_target, push_user, push_password, build_args) = texts;
        let [squash, buildkit, include_git] = flags;
        DockerBuild {
            dockerfile,
            push_target,
            push_user,
            push_password: push_password.into(),
            build_args,
            squash,
            buildkit,
            include_git,
        }
    })
}

fn payloads() -> impl Strategy<Value = CustomPayload> {
    prop_oneof![
        Just(CustomPayload::default()),
        ".*".prop_map(|text| CustomPayload::from_text(&text).unwrap()),
    ]
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        docker_builds().prop_map(Action::Docker),
        ".*".prop_map(|spec| Action::OBuilder(OBuilderBuild { spec })),
        (".*", payloads()).prop_map(|(kind, payload)| Action::Custom(CustomJob { kind, payload })),
    ]
}

fn secrets() -> impl Strategy<Value = Secret> {
    (".*", any::<Vec<u8>>()).prop_map(|(id, value)| Secret {
        id,
        value: value.into(),
    })
}

fn descriptions() -> impl Strategy<Value = Description> {
    (actions(), ".*", ".*", vec(".*", 0..4), vec(secrets(), 0..3)).prop_map(
        |(action, cache_hint, repository, commits, secrets)| Description {
            action,
            cache_hint,
            repository,
            commits,
            secrets,
        },
    )
}

proptest! {
    #[test]
    fn any_description_survives_its_encoding(description in descriptions()) {
        let encoded = description.encode().unwrap();
        assert_eq!(encoded.cache_hint(), description.cache_hint);
        assert_eq!(encoded.decode().unwrap(), description);
    }

    #[test]
    fn any_text_survives_as_a_payload(text in ".*") {
        let payload = CustomPayload::from_text(&text).unwrap();
        assert_eq!(payload.to_text(), Some(text));
        assert_eq!(CustomPayload::from_bytes(payload.as_bytes()).unwrap(), payload);
    }

    #[test]
    fn any_bytes_survive_as_a_payload(bytes in any::<Vec<u8>>()) {
        let payload = CustomPayload::from_data(&bytes).unwrap();
        let looks_like_text = bytes.ends_with(&[0])
            && str::from_utf8(&bytes).is_ok()
            && bytes.iter().filter(|&&byte| byte == 0).count() == 1;
        if !looks_like_text {
            assert_eq!(payload.to_data().as_ref(), Some(&bytes));
            let payload = CustomPayload::from_text_or_data(&bytes).unwrap();
            assert_eq!(payload.to_data(), Some(bytes));
        }
    }

    /// Whatever the bytes, this ends, and what it accepts it can write again.
    #[test]
    fn any_bytes_can_be_tried_as_a_payload(bytes in any::<Vec<u8>>()) {
        if let Ok(payload) = CustomPayload::from_bytes(&bytes) {
            let again = CustomPayload::from_bytes(payload.as_bytes()).unwrap();
            assert_eq!(again, payload);
        }
    }
}

/// A job as `ocluster-client submit-docker` sends it.
fn usual() -> Description {
    let action = Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Contents("FROM busybox\nRUN echo test\n".to_owned()),
        push_password: "hunter2".to_owned().into(),
        build_args: vec!["version=1.2.3".to_owned()],
        ..DockerBuild::default()
    });
    Description {
        action,
        cache_hint: "example/project".to_owned(),
        repository: "https://bot:token@example.com/project.git".to_owned(),
        commits: vec!["6bd2c6a6b4d4b6a4c1c6a1e5e7c3d2b1a0f9e8d7".to_owned()],
        secrets: vec![Secret {
            id: "key".to_owned(),
            value: "swordfish".into(),
        }],
    }
}

#[test]
fn a_queued_description_is_small() {
    let bytes = usual().encode().unwrap().size();
    assert!(bytes < 500, "{bytes} bytes");
}

#[test]
fn secrets_and_credentials_are_not_shown() {
    expect![[r#"
        Description {
            action: Docker(
                DockerBuild {
                    dockerfile: Contents(
                        "FROM busybox\nRUN echo test\n",
                    ),
                    push_target: "",
                    push_user: "",
                    push_password: Password(redacted),
                    build_args: [
                        "version=1.2.3",
                    ],
                    squash: false,
                    buildkit: false,
                    include_git: false,
                },
            ),
            cache_hint: "example/project",
            repository: "https://…@example.com/project.git",
            commits: [
                "6bd2c6a6b4d4b6a4c1c6a1e5e7c3d2b1a0f9e8d7",
            ],
            secrets: [
                Secret {
                    id: "key",
                    value: SecretValue(redacted),
                },
            ],
        }
    "#]]
    .assert_debug_eq(&usual());
}

#[test]
fn a_description_has_a_largest_size() {
    let spec = "x".repeat(MAX_DESCRIPTION_BYTES);
    let description = Description::new(Action::OBuilder(OBuilderBuild { spec: spec.clone() }));
    let too_large = RpcError::failed("description is larger than 8388608 bytes");
    assert_eq!(description.encode().unwrap_err(), too_large);
    let spec = spec[1000..].to_owned();
    let description = Description::new(Action::OBuilder(OBuilderBuild { spec }));
    assert_eq!(description.encode().unwrap().decode().unwrap(), description);
}

#[test]
fn a_payload_that_is_no_text_has_none() {
    assert_eq!(CustomPayload::default().to_text(), None);
    // A struct of one data word.
    let bytes = [[0, 0, 0, 0, 1, 0, 0, 0], [42; 8]].concat();
    let payload = CustomPayload::from_bytes(&bytes).unwrap();
    assert_eq!(payload.as_bytes(), bytes);
    assert_eq!(payload.to_text(), None);
    assert_eq!(payload.to_data(), None);
}

#[test]
fn bytes_come_back_whether_they_were_sent_as_text_or_not() {
    let bytes = |payload: CustomPayload| payload.to_data();
    assert_eq!(bytes(CustomPayload::default()), Some(Vec::new()));
    for text in ["", "x", "exactly8", "naïve\n"] {
        let expected = Some(text.as_bytes().to_vec());
        assert_eq!(bytes(CustomPayload::from_text(text).unwrap()), expected);
        let data = CustomPayload::from_data(text.as_bytes()).unwrap();
        assert_eq!(bytes(data), expected);
    }
    // An archive of text files is UTF-8 that ends in zeros, of which none must be lost.
    let archive = b"name\0\0text\0\0".to_vec();
    let payload = CustomPayload::from_text_or_data(&archive).unwrap();
    assert_eq!(bytes(payload), Some(archive));
    // The exception.
    let data = CustomPayload::from_data(b"like a text\0").unwrap();
    assert_eq!(bytes(data), Some(b"like a text".to_vec()));
}

#[test]
fn a_payload_can_be_written_as_a_message() {
    let payload = CustomPayload::from_text("hi").unwrap();
    let message = payload.to_message();
    let read = capnp::serialize::read_message(&*message, capnp::message::ReaderOptions::new());
    let read = read.unwrap();
    assert_eq!(read.get_root::<capnp::text::Reader<'_>>().unwrap(), "hi");
    let null = CustomPayload::default().to_message();
    assert_eq!(null, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_description_that_was_kept_comes_back_however_long_its_hint_is() {
    for length in 0..300 {
        let payload = CustomPayload::from_text("true").unwrap();
        let kind = "script".to_owned();
        let mut description = Description::new(Action::Custom(CustomJob { kind, payload }));
        description.cache_hint = "h".repeat(length);
        let kept = description.encode().unwrap().to_bytes();
        let read = EncodedDescription::from_bytes(&kept);
        let read = read.unwrap_or_else(|error| panic!("a hint of {length} bytes: {error}"));
        assert_eq!(read.cache_hint(), description.cache_hint);
        assert_eq!(read.decode().unwrap(), description);
    }
}
