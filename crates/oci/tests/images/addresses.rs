//! Registries that a job may not make this machine ask, and answers that it may not see.

use std::os::unix::fs::PermissionsExt;

use crate::service::Service;
use crate::support::{Machine, block_on};

const HUSH: &str = "AWS_SECRET_ACCESS_KEY=hush";

/// A machine whose operator lists these registries, with a Docker engine that can pull anything.
fn machine(registries: &str) -> Machine {
    let mut machine = Machine::new();
    machine.settings.registries = registries.parse().unwrap();
    let asked = machine.path("asked");
    let program = machine.write(
        "docker",
        format!(
            "#!/bin/sh\necho \"$*\" >> {}\n\
             [ $1 != pull ] || echo 'error parsing HTTP 403 response body: {HUSH}' >&2\nexit 1\n",
            asked.display()
        ),
    );
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    machine.settings.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    machine.settings.docker = Some(program);
    machine
}

/// Fails to fetch an image, and returns the error and the log.
fn reported(machine: &Machine, image: &str) -> String {
    let error = block_on(machine.fetch(image)).unwrap_err().to_string();
    format!("{}{error}", machine.log.text())
}

fn pulls(machine: &Machine) -> usize {
    let asked = std::fs::read_to_string(machine.path("asked")).unwrap_or_default();
    asked
        .lines()
        .filter(|line| line.starts_with("pull"))
        .count()
}

#[test]
fn services_of_this_machine_are_not_asked_for_a_job() {
    let service = Service::saying("200 OK", String::new(), HUSH);
    let port = service.address.port();
    for registry in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        for listed in ["", "lab.example:5000,10.0.0.0/8", "127.0.0.1:1,localhost:1"] {
            let machine = machine(listed);
            let reported = reported(&machine, &format!("{registry}/image"));
            assert!(reported.contains("--obuilder-registries"), "{reported}");
            assert!(!reported.contains("hush"), "{reported}");
            assert_eq!(pulls(&machine), 0, "{reported}");
        }
    }
    // Of a cloud, and of neighbours: nothing waits for them to answer.
    for registry in ["169.254.169.254", "10.0.0.1:5000", "192.168.1.1"] {
        let reported = reported(&machine(""), &format!("{registry}/image"));
        assert!(reported.contains("--obuilder-registries"), "{reported}");
    }
    assert_eq!(service.asked(), [""; 0]);

    let listed = machine(&format!("localhost:{port}"));
    reported(&listed, &format!("localhost:{port}/image"));
    assert!(!service.asked().is_empty(), "what is listed is asked");
    assert_eq!(pulls(&listed), 1);
}

#[test]
fn redirects_to_unlisted_services_are_refused() {
    let hidden = Service::saying("200 OK", String::new(), HUSH);
    let elsewhere = format!("http://{}/latest/meta-data", hidden.address);
    for (status, header) in [
        (
            "307 Temporary Redirect",
            format!("Location: {elsewhere}\r\n"),
        ),
        (
            "401 Unauthorized",
            format!("WWW-Authenticate: Bearer realm=\"{elsewhere}\",service=\"x\"\r\n"),
        ),
    ] {
        let registry = Service::saying(status, header, "");
        let machine = machine(&registry.address.to_string());
        let reported = reported(&machine, &registry.image());
        assert_eq!(registry.asked(), ["/v2/"], "{reported}");
        assert!(reported.contains("--obuilder-registries"), "{reported}");
    }
    assert_eq!(hidden.asked(), [""; 0]);
}

#[test]
fn responses_of_a_service_are_not_shown() {
    for (status, body) in [
        ("200 OK", HUSH),
        ("403 Forbidden", HUSH),
        (
            "418 Teapot",
            r#"{"errors":[{"code":"DENIED","message":"hush"}]}"#,
        ),
        (
            "500 Oops",
            r#"{"errors":[{"code":"UNKNOWN","message":"hush"}]}"#,
        ),
        (
            "429 Wait",
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"hush"}]}"#,
        ),
        (
            "200 OK",
            r#"{"schemaVersion":2,"manifests":[{"hush":"hush","digest":"hush"}]}"#,
        ),
        (
            "200 OK",
            r#"{"schemaVersion":2,"config":"hush","layers":["hush"]}"#,
        ),
        ("200 OK", r#""hush""#),
    ] {
        let service = Service::saying(status, "X-Hush: hush\r\n".to_owned(), body);
        let machine = machine("127.0.0.0/8");
        let reported = reported(&machine, &service.image());
        assert!(!service.asked().is_empty());
        assert!(!reported.contains("hush"), "{reported}");
    }
}
