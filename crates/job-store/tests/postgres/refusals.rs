//! Databases that cannot be used are refused, and nothing is written to them.

use cluster_postgres::{OpenError, Part, Settings, prepare};
use job_store::postgres::TABLES;
use rig::{PostgreSql, checked};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::place::Place;

#[test]
fn a_database_of_another_program_or_a_newer_one_is_left_alone() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    place.sql("CREATE TABLE cars (wheels INTEGER)");
    let error = prepare(&place.settings, &[TABLES]).expect_err("it is not ours");
    assert!(
        error.to_string().contains("it has a table \"public.cars\""),
        "{error}"
    );
    place.sql("DROP TABLE cars; CREATE SCHEMA ocluster");
    let error = prepare(&place.settings, &[TABLES]).expect_err("it is not ours");
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    place.sql("DROP SCHEMA ocluster");
    drop(place.open());
    place.sql("UPDATE ocluster.versions SET version = 99 WHERE part = 'jobs'");
    let error = prepare(&place.settings, &[TABLES]).expect_err("it is newer");
    assert!(
        matches!(
            error,
            OpenError::Newer {
                part: "jobs",
                found: 99,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn steps_are_done_in_order_and_once_and_all_or_none() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let part = |steps| Part {
        name: "test",
        steps,
    };
    prepare(&place.settings, &[part(&["CREATE TABLE a (x BIGINT)"])]).expect("made");
    let broken: &[&str] = &[
        "",
        "CREATE TABLE b AS SELECT * FROM a",
        "CREATE TABLE c AS SELECT * FROM nowhere",
    ];
    prepare(&place.settings, &[part(broken)]).expect_err("a step fails");
    let tables = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables
         WHERE tablename IN ('a', 'b', 'c')";
    assert_eq!(place.sql(tables), "a");
    let good: &[&str] = &[
        "",
        "CREATE TABLE b AS SELECT * FROM a",
        "CREATE TABLE c AS SELECT * FROM b",
    ];
    prepare(&place.settings, &[part(good)]).expect("brought up to date");
    prepare(&place.settings, &[part(good)]).expect("it is up to date");
    assert_eq!(place.sql(tables), "a b c");
}

#[test]
fn encodings_rights_and_names_are_checked() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let other = |database: &str, user: &str| {
        let address = place
            .address()
            .replace(&format!("/{}?", place.database()), &format!("/{database}?"));
        Settings::parse(&address.replace("//ocluster@", &format!("//{user}@"))).expect("an address")
    };
    let error = prepare(&other("nowhere", "ocluster"), &[TABLES]).expect_err("there is none");
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    place.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    let error =
        prepare(&other("ascii", "ocluster"), &[TABLES]).expect_err("it has another encoding");
    assert!(
        error
            .to_string()
            .contains("SQL_ASCII; create one with the encoding UTF8"),
        "{error}"
    );
    place.sql("CREATE ROLE guest LOGIN");
    let error = prepare(&other(place.database(), "guest"), &[TABLES]).expect_err("a guest may not");
    assert!(
        error
            .to_string()
            .contains("make its user the owner of the database"),
        "{error}"
    );
    let error =
        prepare(&other(place.database(), "stranger"), &[TABLES]).expect_err("nobody knows it");
    assert!(matches!(error, OpenError::Denied { .. }), "{error}");
}

/// A certificate for a name, signed by one that is in `ca.pem`.
const CERTIFICATES: &str = "
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority &&
    openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server &&
    printf 'subjectAltName=DNS:localhost' > ext &&
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem &&
    openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other";

/// Has a server take only passwords over TLS, with certificates that are made in a folder.
fn encrypt(server: &PostgreSql, made: &Path) {
    let mut make = Command::new("sh");
    make.args(["-c", CERTIFICATES]).current_dir(made);
    checked(&mut make).expect("certificates");
    let data = server.data();
    for name in ["server.key", "server.pem"] {
        std::fs::copy(made.join(name), data.join(name)).expect("copied");
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(0o600))
            .expect("set");
        checked(
            Command::new("chown")
                .arg("--reference")
                .arg(&data)
                .arg(data.join(name)),
        )
        .expect("owned");
    }
    server
        .sql("postgres", "ALTER ROLE ocluster PASSWORD 'hunter2'")
        .expect("set");
    for setting in [
        "ssl = on",
        "ssl_cert_file = 'server.pem'",
        "ssl_key_file = 'server.key'",
    ] {
        server
            .sql("postgres", &format!("ALTER SYSTEM SET {setting}"))
            .expect("set");
    }
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).expect("written");
    server.restart().expect("it starts");
}

#[test]
fn a_password_is_sent_and_certificates_are_checked() {
    let server = match PostgreSql::start(&[]) {
        Ok(server) => server,
        Err(error) => return rig::report_not_run("TLS to PostgreSQL", &format!("{error:#}")),
    };
    server.create("farm").expect("a database");
    let made = tempfile::tempdir().expect("a temporary folder");
    encrypt(&server, made.path());

    let (port, made) = (server.port(), made.path().display().to_string());
    let open = |host: &str, parameters: &str, password: &str| {
        let address = format!("postgres://ocluster@{host}:{port}/farm?{parameters}");
        let settings = Settings::parse(&address).expect("an address");
        prepare(&settings.with_password(password), &[TABLES]).map_err(|error| error.to_string())
    };
    let ours = format!("sslrootcert={made}/ca.pem");
    assert_eq!(open("localhost", &ours, "hunter2"), Ok(()));
    let failed = [
        // The certificate has another name, or is signed by another authority.
        open("127.0.0.1", &ours, "hunter2"),
        open(
            "localhost",
            &format!("sslrootcert={made}/other.pem"),
            "hunter2",
        ),
        // The server takes no connection that is not encrypted.
        open("localhost", "sslmode=disable", "hunter2"),
        // The password is wrong.
        open("localhost", &ours, "hunter3"),
        open("localhost", "sslrootcert=/nowhere.pem", "hunter2"),
    ];
    for (error, words) in failed.into_iter().zip([
        "certificate",
        "certificate",
        "no encryption",
        "password",
        "/nowhere.pem",
    ]) {
        let error = error.expect_err("it must not work");
        assert!(
            error.contains(words) && !error.contains("hunter"),
            "{words}: {error}"
        );
    }
}
