//! Invalid command lines, and cap files that lead nowhere: the errors and the exit codes.

use expect_test::{Expect, expect};

use crate::cluster::Cluster;
use crate::harness::Place;

/// Checks the output of each of the command lines.
fn check(place: &Place, lines: &[&str], expected: Expect) {
    let transcripts: Vec<String> = lines
        .iter()
        .map(|line| place.run(line).transcript())
        .collect();
    expected.assert_eq(&transcripts.join("\n"));
}

/// Returns command lines of workers and clients with a mistake each.
fn invalid_custom_jobs() -> [String; 8] {
    let worker =
        |options: &str| format!("ocluster-worker pool.cap --name=w1 --state-dir=w1 {options}");
    let client = |options: &str| format!("ocluster-client submit-custom pool.cap {options}");
    [
        worker("--custom=try"),
        worker("--custom=try=nosuch-program"),
        worker("--custom=try='true"),
        worker("--custom=try=true --custom=try=false"),
        worker("--job-weight=heavy"),
        worker("--job-weight=(=2"),
        client("--pool=linux"),
        client("--pool=linux --kind=try --payload=nosuch"),
    ]
}

#[test]
fn in_custom_jobs_and_weights() {
    let place = Place::new();
    place.write("pool.cap", "capnp://");
    let lines = invalid_custom_jobs();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    check(
        &place,
        &lines,
        expect![[r#"
            $ ocluster-worker pool.cap --name=w1 --state-dir=w1 --custom=try
            2> ocluster-worker: invalid value 'try' for '--custom <KIND=COMMAND>': invalid value "try": it must \
                be KIND=COMMAND
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --name=w1 --state-dir=w1 --custom=try=nosuch-program
            2> ocluster-worker: option '--custom': the kind of job "try" cannot run "nosuch-program": no such \
                program in PATH
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --name=w1 --state-dir=w1 --custom=try='true
            2> ocluster-worker: invalid value 'try='true' for '--custom <KIND=COMMAND>': a quote is not closed \
                in the command "'true"
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --name=w1 --state-dir=w1 --custom=try=true --custom=try=false
            2> ocluster-worker: option '--custom': the kind of job "try" is given twice; give each kind once
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --name=w1 --state-dir=w1 --job-weight=heavy
            2> ocluster-worker: invalid value 'heavy' for '--job-weight <REGEX=N>': invalid weight "heavy": it \
                must be REGEX=N, with a number N of at least 1
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --name=w1 --state-dir=w1 --job-weight=(=2
            2> ocluster-worker: invalid value '(=2' for '--job-weight <REGEX=N>': regex parse error:
            2>     (
            2>     ^
            2> error: unclosed group
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-client submit-custom pool.cap --pool=linux
            2> ocluster-client: the following required arguments were not provided:
            2>   --kind <KIND>
            2> 
            2> Usage: ocluster-client submit-custom [OPTIONS] [CAP] --pool <ID> --kind <KIND> [URL HASH...]
            2> Try 'ocluster-client --help' for more information.
            [exit code 124]

            $ ocluster-client submit-custom pool.cap --pool=linux --kind=try --payload=nosuch
            2> ocluster-client: option '--payload': no 'nosuch' file or directory
            2> Try 'ocluster-client --help' for more information.
            [exit code 124]
        "#]],
    );
}

/// Command lines of clients and operators that are incomplete or have too much.
const INVALID_LINES: &[&str] = &[
    "ocluster-admin show",
    "ocluster-admin show nowhere.cap",
    "ocluster-admin -c nowhere.cap show",
    "ocluster-admin pause admin.cap",
    "ocluster-admin u admin.cap",
    "ocluster-admin show admin.cap a b c",
    "ocluster-admin set-rate admin.cap pool alice fast",
    "ocluster-admin exec admin.cap pool",
    "ocluster-client submit-docker admin.cap",
];

#[test]
fn on_the_command_line() {
    let place = Place::new();
    place.write("admin.cap", "capnp://");
    check(
        &place,
        INVALID_LINES,
        expect![[r#"
            $ ocluster-admin show
            2> ocluster-admin: required argument CAP is missing
            2> Hint: give the cap file as the first argument, or with --connect=FILE
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin show nowhere.cap
            2> ocluster-admin: argument CAP: no 'nowhere.cap' file or directory
            2> Hint: the scheduler writes cap files to its --secrets-dir when it starts
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin -c nowhere.cap show
            2> ocluster-admin: option '--connect': no 'nowhere.cap' file or directory
            2> Hint: the scheduler writes cap files to its --secrets-dir when it starts
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin pause admin.cap
            2> ocluster-admin: required argument POOL is missing
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin u admin.cap
            2> ocluster-admin: command 'u' ambiguous and could be either 'unpause' or 'unpause-worker' or \
                'update'
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin show admin.cap a b c
            2> ocluster-admin: too many arguments, don't know what to do with 'c'
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin set-rate admin.cap pool alice fast
            2> ocluster-admin: argument RATE: invalid value 'fast', expected a number
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin exec admin.cap pool
            2> ocluster-admin: required argument CMD is missing
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-client submit-docker admin.cap
            2> ocluster-client: the following required arguments were not provided:
            2>   --pool <ID>
            2> 
            2> Usage: ocluster-client submit-docker [OPTIONS] [CAP] --pool <ID> [URL HASH...]
            2> Try 'ocluster-client --help' for more information.
            [exit code 124]
        "#]],
    );
}

/// Returns command lines of schedulers with a mistake each.
fn invalid_schedulers() -> Vec<String> {
    let begin = "ocluster-scheduler --capnp-secret-key-file= --state-dir=s";
    vec![
        "ocluster-scheduler --pools=a".to_owned(),
        format!("{begin} --capnp-listen-address=tcp:localhost --pools=a"),
        format!("{begin} --capnp-listen-address=tcp:localhost:x --pools=a"),
        format!("{begin} --capnp-listen-address=ftp:x --pools=a"),
        format!("{begin} --capnp-listen-address=unix:s --pools=,"),
        format!("{begin} --capnp-listen-address=unix:s --pools=a/b"),
        format!("{begin} --capnp-listen-address=unix:s --pools=a"),
        "ocluster-scheduler --listen-prometheus=localhost:9090".to_owned(),
    ]
}

#[test]
fn in_the_schedulers_options() {
    let lines = invalid_schedulers();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    check(
        &Place::new(),
        &lines,
        expect![[r#"
            $ ocluster-scheduler --pools=a
            2> ocluster-scheduler: the following required arguments were not provided:
            2>   --capnp-secret-key-file <PATH>
            2>   --capnp-listen-address <ADDR>
            2>   --state-dir <DIR>
            2> 
            2> Usage: ocluster-scheduler --capnp-secret-key-file <PATH> --capnp-listen-address <ADDR> \
                --state-dir <DIR> --pools <NAMES>
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]

            $ ocluster-scheduler --capnp-secret-key-file= --state-dir=s --capnp-listen-address=tcp:localhost \
                --pools=a
            2> ocluster-scheduler: invalid value 'tcp:localhost' for '--capnp-listen-address <ADDR>': invalid \
                address "tcp:localhost": expected tcp:HOST:PORT or unix:PATH (the port is a number up to 65535)
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]

            $ ocluster-scheduler --capnp-secret-key-file= --state-dir=s --capnp-listen-address=tcp:localhost:x \
                --pools=a
            2> ocluster-scheduler: invalid value 'tcp:localhost:x' for '--capnp-listen-address <ADDR>': invalid \
                address "tcp:localhost:x": expected tcp:HOST:PORT or unix:PATH (the port is a number up to \
                65535)
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]

            $ ocluster-scheduler --capnp-secret-key-file= --state-dir=s --capnp-listen-address=ftp:x --pools=a
            2> ocluster-scheduler: invalid value 'ftp:x' for '--capnp-listen-address <ADDR>': invalid address \
                "ftp:x": expected tcp:HOST:PORT or unix:PATH
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]

            $ ocluster-scheduler --capnp-secret-key-file= --state-dir=s --capnp-listen-address=unix:s --pools=,
            2> ocluster-scheduler: option '--pools': at least one pool is required
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]

            $ ocluster-scheduler --capnp-secret-key-file= --state-dir=s --capnp-listen-address=unix:s \
                --pools=a/b
            2> ocluster-scheduler: option '--pools': the name "a/b" may not contain "/", as it is used in a file \
                name; choose another
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]

            $ ocluster-scheduler --capnp-secret-key-file= --state-dir=s --capnp-listen-address=unix:s --pools=a
            2> ocluster-scheduler: option '--secrets-dir': no './capnp-secrets' directory
            2> Hint: create it with: mkdir -m 700 ./capnp-secrets
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]

            $ ocluster-scheduler --listen-prometheus=localhost:9090
            2> ocluster-scheduler: invalid value 'localhost:9090' for '--listen-prometheus <PORT>': expected a \
                port up to 65535, or an address and a port as in 127.0.0.1:PORT or [::]:9090
            2> Try 'ocluster-scheduler --help' for more information.
            [exit code 124]
        "#]],
    );
}

#[test]
fn a_port_for_metrics_that_is_taken() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("capnp-secrets")).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = place.run(&format!(
        "ocluster-scheduler --capnp-secret-key-file= --state-dir=s --pools=a \
         --capnp-listen-address=unix:s.sock --listen-prometheus={port}"
    ));
    // PORT stands for the number.
    let error = "2> cannot serve metrics at 127.0.0.1:PORT: Address already in use (os error 98); \
                choose another port, or an address of this machine\n[exit code 1]";
    let transcript = ended.raw_transcript();
    assert!(transcript.contains(error), "{transcript}");
}

#[test]
fn in_the_workers_options() {
    let place = Place::new();
    place.write("pool.cap", "capnp://");
    let begin = "ocluster-worker pool.cap --state-dir=s";
    check(
        &place,
        &[
            begin,
            &format!("{begin} --name=w --prune-threshold=101"),
            &format!("{begin} --name=w --capacity=0"),
            &format!("{begin} --name=w --docker-pull=sometimes"),
        ],
        expect![[r#"
            $ ocluster-worker pool.cap --state-dir=s
            2> ocluster-worker: the following required arguments were not provided:
            2>   --name <ID>
            2> 
            2> Usage: ocluster-worker [OPTIONS] [CAP] --name <ID> --state-dir <PATH>
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --state-dir=s --name=w --prune-threshold=101
            2> ocluster-worker: invalid value '101' for '--prune-threshold <PERCENT|SIZE>': prune_threshold must \
                be in the range 0 to 100, not "101"
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --state-dir=s --name=w --capacity=0
            2> ocluster-worker: invalid value '0' for '--capacity <N>': invalid capacity "0": it must be a \
                number of at least 1
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --state-dir=s --name=w --docker-pull=sometimes
            2> ocluster-worker: invalid value 'sometimes' for '--docker-pull <WHEN>'
            2>   [possible values: always, missing, never]
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]
        "#]],
    );
}

#[test]
fn in_more_of_the_workers_options() {
    let place = Place::new();
    place.write("pool.cap", "capnp://");
    let begin = "ocluster-worker pool.cap --state-dir=s";
    check(
        &place,
        &[
            &format!("{begin} --name=w --additional-metrics=foo"),
            &format!(
                "{begin} --name=w --additional-metrics=a:http://127.0.0.1:1/,a:http://127.0.0.1:2/"
            ),
            &format!("{begin} --name=w extra"),
            &format!("{begin} --name=w --docker-cpus=2"),
            &format!("{begin} --name= "),
        ],
        expect![[r#"
            $ ocluster-worker pool.cap --state-dir=s --name=w --additional-metrics=foo
            2> ocluster-worker: invalid value 'foo' for '--additional-metrics <NAME:URI,...>': Malformed \
                additional metric foo
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --state-dir=s --name=w \
                --additional-metrics=a:http://127.0.0.1:PORT/,a:http://127.0.0.1:PORT/
            2> ocluster-worker: Duplicate additional metrics name: a
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --state-dir=s --name=w extra
            2> ocluster-worker: too many arguments, don't know what to do with 'extra'
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --state-dir=s --name=w --docker-cpus=2
            2> ocluster-worker: option '--docker-cpus' is not supported yet: there are no docker: stores
            2> Hint: start it without this option
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]

            $ ocluster-worker pool.cap --state-dir=s --name=
            2> ocluster-worker: invalid value '' for '--name <ID>': name is empty; use at least one character
            2> Try 'ocluster-worker --help' for more information.
            [exit code 124]
        "#]],
    );
}

/// Writes cap files that cannot be used, each for another reason.
fn write_bad_cap_files(place: &Place) {
    let good = std::fs::read_to_string(place.path().join("capnp-secrets/admin.cap")).unwrap();
    let (address, _) = good.trim().rsplit_once('/').unwrap();
    let (_, host) = good.trim().split_once('@').unwrap();
    let absent = place.path().join("absent.sock");
    for (name, contents) in [
        ("empty.cap", String::new()),
        ("web.cap", "http://example.com/".to_owned()),
        ("secret.cap", format!("{address}/AAAA")),
        ("insecure.cap", format!("capnp://insecure@{host}")),
        (
            "absent.cap",
            format!("capnp://insecure@{}/AAAA", absent.display()),
        ),
    ] {
        place.write(name, &contents);
    }
}

#[test]
fn in_cap_files() {
    let cluster = Cluster::start();
    write_bad_cap_files(&cluster.place);
    check(
        &cluster.place,
        &[
            "ocluster-admin show empty.cap",
            "ocluster-admin show web.cap",
            "ocluster-admin show secret.cap",
            "ocluster-admin -q show insecure.cap",
            "ocluster-admin show absent.cap",
            "ocluster-admin show capnp-secrets",
            "ocluster-admin show capnp-secrets/submission.cap",
        ],
        expect![[r#"
            $ ocluster-admin show empty.cap
            2> cannot use cap file empty.cap: it is empty; copy it again from the scheduler's --secrets-dir
            [exit code 1]

            $ ocluster-admin show web.cap
            2> cannot use cap file web.cap: Unknown scheme "http" (expected 'capnp://...')
            [exit code 1]

            $ ocluster-admin show secret.cap
            2> Connecting to tcp:127.0.0.1:PORT... ERROR
            2> Unknown persistent service ID: tcp:127.0.0.1:PORT does not know the secret in the sturdy ref; \
                check that the cap file is current and its access has not been removed
            [exit code 124]

            $ ocluster-admin -q show insecure.cap
            2> Connecting to tcp:127.0.0.1:PORT... ERROR
            2> cannot connect to tcp:127.0.0.1:PORT: it speaks TLS, but the sturdy ref says "insecure"; use the \
                server's current cap file (it starts with capnp://sha-256:)
            [exit code 124]

            $ ocluster-admin show absent.cap
            2> Connecting to unix:$DIR/absent.sock... ERROR
            2> cannot connect to unix:$DIR/absent.sock: connection refused; check that the server runs and \
                listens there
            [exit code 69]

            $ ocluster-admin show capnp-secrets
            2> cannot read cap file capnp-secrets: it is a directory; name a cap file in it, such as \
                capnp-secrets/admin.cap
            [exit code 1]

            $ ocluster-admin show capnp-secrets/submission.cap
            2> cannot use cap file "capnp-secrets/submission.cap" for administration: it is for submitting jobs \
                (submission.cap, or a client's); use the scheduler's admin.cap
            [exit code 1]
        "#]],
    );
}

#[test]
fn in_the_names_of_commands() {
    check(
        &Place::new(),
        &[
            "ocluster-client submit-dokcer x.cap",
            "ocluster-client sumbit-docker x.cap",
            "ocluster-admin shwo x.cap",
            "ocluster-admin nonsense",
            "obuilder buld",
            "obuilder cache lst",
            "ocluster docter",
        ],
        expect![[r#"
            $ ocluster-client submit-dokcer x.cap
            2> ocluster-client: unknown command 'submit-dokcer'
            2> Hint: did you mean 'submit-docker'?
            2> Try 'ocluster-client --help' for more information.
            [exit code 124]

            $ ocluster-client sumbit-docker x.cap
            2> ocluster-client: unknown command 'sumbit-docker'
            2> Hint: did you mean 'submit-docker'?
            2> Try 'ocluster-client --help' for more information.
            [exit code 124]

            $ ocluster-admin shwo x.cap
            2> ocluster-admin: unknown command 'shwo'
            2> Hint: did you mean 'show'?
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ ocluster-admin nonsense
            2> ocluster-admin: unknown command 'nonsense'
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]

            $ obuilder buld
            2> obuilder: unknown command 'buld'
            2> Hint: did you mean 'build'?
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ obuilder cache lst
            2> obuilder: unknown command 'lst'
            2> Hint: did you mean 'ls'?
            2> Try 'obuilder --help' for more information.
            [exit code 124]

            $ ocluster docter
            2> ocluster: unknown command 'docter'
            2> Hint: did you mean 'doctor'?
            2> Try 'ocluster --help' for more information.
            [exit code 124]
        "#]],
    );
}

#[test]
fn in_state_directories() {
    let place = Place::new();
    place.write("file", "");
    place.write("pool.cap", "capnp://insecure@127.0.0.1:1/AAAA");
    std::fs::create_dir(place.path().join("capnp-secrets")).unwrap();
    let scheduler = "ocluster-scheduler --capnp-secret-key-file= --capnp-listen-address=tcp:127.0.0.1:0 --pools=a";
    check(
        &place,
        &[
            "ocluster-worker pool.cap --name=w1 --state-dir=file",
            &format!("{scheduler} --state-dir=file/state"),
        ],
        expect![[r#"
            $ ocluster-worker pool.cap --name=w1 --state-dir=file
            2> cannot use the state directory "file": "file" is not a directory; name another with --state-dir
            [exit code 1]

            $ ocluster-scheduler --capnp-secret-key-file= --capnp-listen-address=tcp:127.0.0.1:PORT --pools=a \
                --state-dir=file/state
            2> cannot use the state directory "file/state": "file" is not a directory; name another with \
                --state-dir
            [exit code 1]
        "#]],
    );
}

#[test]
fn of_what_answers_at_the_address() {
    let place = Place::new();
    place.write("Dockerfile", "FROM busybox\n");
    let begin = "ocluster-client submit-docker --pool=p --local-dockerfile Dockerfile --connect";
    let insecure = |port| format!("capnp://insecure@127.0.0.1:{port}/AAAAAAAAAAAAAAAAAAAAAAAA");
    let key = "A".repeat(43);
    let secure = |port| format!("capnp://sha-256:{key}@127.0.0.1:{port}/AAAAAAAAAAAAAAAAAAAAAAAA");
    // It accepts connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    place.write("insecure.cap", &insecure(port));
    place.write("secure.cap", &secure(port));
    let mut clients = [
        place.start(&format!("{begin} insecure.cap")),
        place.start(&format!("{begin} secure.cap")),
        place.start_on_terminal(&format!("{begin} secure.cap")),
    ];
    let [on_insecure, on_secure, on_terminal] = &mut clients;
    on_insecure.wait_for("waiting for an answer to the first question");
    on_secure.wait_for("waiting for an answer to the TLS handshake");
    on_terminal.wait_for_output("waiting for an answer to the TLS handshake");
    for client in clients {
        let ended = client.wait();
        assert_eq!(ended.code(), 69);
        let output = ended.stdout + &ended.stderr;
        assert!(
            output.contains("it accepts connections, but does not respond: no answer to the "),
            "{output}"
        );
    }
}

#[test]
fn in_which_cap_file_a_client_uses() {
    let cluster = Cluster::start();
    let begin =
        "ocluster-client submit-docker --pool=linux-x86_64 --local-dockerfile Dockerfile --connect";
    let lines = [
        format!("{begin} ./capnp-secrets/admin.cap"),
        format!("{begin} ./capnp-secrets/pool-linux-x86_64.cap"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    check(
        &cluster.place,
        &lines,
        expect![[r#"
            $ ocluster-client submit-docker --pool=linux-x86_64 --local-dockerfile Dockerfile --connect \
                ./capnp-secrets/admin.cap
            Tailing log:
            2> cannot submit the job: "./capnp-secrets/admin.cap" is not a client's cap file, but an operator's \
                or a pool's; use submission.cap or a file made by "ocluster-admin add-client" (Unimplemented: \
                Unknown interface 17647539207975631938UL)
            [exit code 124]

            $ ocluster-client submit-docker --pool=linux-x86_64 --local-dockerfile Dockerfile --connect \
                ./capnp-secrets/pool-linux-x86_64.cap
            Tailing log:
            2> cannot submit the job: "./capnp-secrets/pool-linux-x86_64.cap" is not a client's cap file, but an \
                operator's or a pool's; use submission.cap or a file made by "ocluster-admin add-client" \
                (Unimplemented: Unknown interface 17647539207975631938UL)
            [exit code 124]
        "#]],
    );
}

#[test]
fn of_a_worker_before_there_is_a_scheduler() {
    let place = Place::new();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").port()
    };
    place.write(
        "pool.cap",
        &format!("capnp://insecure@127.0.0.1:{port}/AAAAAAAAAAAAAAAAAAAAAAAA"),
    );
    let mut worker = place.start("ocluster-worker pool.cap --name=w1 --state-dir=w1");
    worker.wait_for("Cannot connect to scheduler (cannot connect to ");
    assert!(!worker.stderr().contains("Lost"), "{}", worker.stderr());
}

#[test]
fn in_the_address_that_goes_into_cap_files() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("capnp-secrets")).unwrap();
    let start = |options: &str| {
        let mut scheduler = place.start(&format!(
            "ocluster-scheduler --capnp-secret-key-file= --capnp-listen-address=tcp:0.0.0.0:0 --state-dir=s \
             --pools=a {options}"
        ));
        scheduler.wait_for("pool-a.cap");
        scheduler.stderr()
    };
    let log = start("");
    assert!(
        log.contains("Cap files name tcp:0.0.0.0:")
            && log.contains("which other machines cannot connect to; start with --capnp-public-address=tcp:HOST:"),
        "{log}"
    );
    let log = start("--capnp-public-address=tcp:localhost:9000");
    assert!(!log.contains("Cap files name"), "{log}");
}
