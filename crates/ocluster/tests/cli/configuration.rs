//! Options as flags, variables and keys of a file: which of them applies, and errors.

use expect_test::{Expect, expect};

use crate::cluster::Cluster;
use crate::harness::{Outcome, Place, folded};

const STATE: (&str, &str) = ("OCLUSTER_STATE_DIR", "/var/lib/w");

/// Writes `worker.toml`, and runs a worker with it that only shows its options.
fn shown(place: &Place, file: &str, variables: &[(&str, &str)], flags: &str) -> Outcome {
    place.write("worker.toml", file);
    place.run_with(
        variables,
        &format!("ocluster-worker --config=worker.toml --print-config {flags}"),
    )
}

/// Checks some lines of a page, each without the space before its comment.
fn check(outcome: Outcome, names: &[&str], expected: Expect) {
    let page = outcome.success().stdout;
    let wanted = page.lines().filter(|line| {
        let name = line.trim_start_matches("# ").split(' ').next();
        names.contains(&name.unwrap_or_default())
    });
    let plain = wanted.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n");
    expected.assert_eq(&plain.collect::<String>());
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let place = Place::new();
    let file = "# A worker.\nname = \"file\"\ncapacity = 3\nlog-limit = 5\nfast-sync = true\n\
                allow-push = [\"a\", \"b\"]\n";
    let variables = [
        STATE,
        ("OCLUSTER_CAPACITY", "4"),
        ("OCLUSTER_LOG_LIMIT", "6"),
        ("OCLUSTER_FAST_SYNC", "false"),
        // As Compose files leave a variable out.
        ("OCLUSTER_NAME", ""),
    ];
    check(
        shown(&place, file, &variables, "--log-limit=7 --allow-push=c"),
        &[
            "name",
            "capacity",
            "log-limit",
            "fast-sync",
            "allow-push",
            "state-dir",
            "docker-pull",
            "prune-threshold",
        ],
        expect![[r#"
            name = "file" # file worker.toml:2
            capacity = 4 # environment variable OCLUSTER_CAPACITY
            state-dir = "/var/lib/w" # environment variable OCLUSTER_STATE_DIR
            allow-push = ["c"] # flag
            # prune-threshold = # not set
            docker-pull = "always" # default
            fast-sync = false # environment variable OCLUSTER_FAST_SYNC
            log-limit = 7 # flag
        "#]],
    );
}

#[test]
fn the_page_is_a_file_with_the_same_options() {
    let place = Place::new();
    let flags = "pool.cap --name=it's\"w1\" --state-dir=s --allow-push=a,b -vv --fast-sync --docker-max-df-size=1.5 \
                 --additional-metrics=x:http://127.0.0.1:9100/metrics";
    let page = shown(&place, "", &[], flags).success().stdout;
    expect![[r##"
        # The options of ocluster-worker. Flags override variables, and variables override the file.
        # File: worker.toml (set by --config)

        connect = "pool.cap"                         # argument CAP
        # also =                                     # not set
        name = "it's\"w1\""                          # flag
        capacity = 10                                # default
        state-dir = "s"                              # flag
        state-min-free = "256MiB"                    # default
        allow-push = ["a", "b"]                      # flag
        # prune-threshold =                          # not set
        docker-max-df-size = "1.5"                   # flag
        docker-pull = "always"                       # default
        # buildkit-frontends =                       # not set
        # obuilder-store =                           # not set
        # rsync-mode =                               # not set
        obuilder-runtime = "builtin"                 # default
        obuilder-seccomp = "default"                 # default
        sandbox-caps = "default"                     # default
        # obuilder-registries =                      # not set
        step-network = "host"                        # default
        fast-sync = true                             # flag
        # obuilder-cache =                           # not set
        obuilder-cache-mode = "read-write"           # default
        # obuilder-cache-accept =                    # not set
        obuilder-cache-max-age = "30d"               # default
        obuilder-cache-secrets = false               # default
        obuilder-prune-threshold = 30                # default
        obuilder-min-free = "5GiB"                   # default
        obuilder-prune-limit = 100                   # default
        obuilder-healthcheck = 600                   # default
        # job-memory =                               # not set
        job-pids = 32768                             # default
        # job-cpus =                                 # not set
        job-timeout = 0                              # default
        # custom =                                   # not set
        # custom-user =                              # not set
        # job-weight =                               # not set
        git-cache-age = 30                           # default
        git-cache-size = 50                          # default
        git-silence-timeout = 120                    # default
        git-timeout = 3600                           # default
        git-lfs = "auto"                             # default
        log-limit = 1024                             # default
        update = "auto"                              # default
        additional-metrics = ["x:http://127.0.0.1:9100/metrics"] # flag
        shutdown-timeout = 60                        # default
        # health-file =                              # not set
        color = "auto"                               # default
        quiet = false                                # default
        verbose = 2                                  # flag
        # verbosity =                                # not set
        log-format = "text"                          # default
    "##]]
    .assert_eq(&page);
    let again = shown(&place, &page, &[], "").success().stdout;
    assert_eq!(values(&again), values(&page));
}

/// Returns the options of a page with their values, without where these come from.
fn values(page: &str) -> Vec<&str> {
    let lines = page.lines().skip(2);
    lines
        .map(|line| line.split(" # ").next().unwrap_or_default().trim())
        .collect()
}

#[test]
fn the_page_shows_no_credentials() {
    let place = Place::new();
    let file =
        "additional-metrics = \"y:http://127.0.0.1:2/a,x:http://me:hunter2@127.0.0.1:1/metrics\"\n";
    let page = shown(&place, file, &[], "").success().stdout;
    assert!(!page.contains("hunter2"), "{page}");
    assert!(page.contains("x:http://…@127.0.0.1:1/metrics"), "{page}");
}

#[test]
fn the_options_about_verbosity_are_one_setting() {
    let place = Place::new();
    let names = ["quiet", "verbose", "verbosity"];
    check(
        shown(&place, "verbosity = \"debug\"\n", &[], "-q"),
        &names,
        expect![[r#"
            quiet = true # flag
            verbose = 0 # default
            # verbosity = # not set
        "#]],
    );
    check(
        shown(&place, "quiet = true\n", &[("OCLUSTER_VERBOSE", "2")], ""),
        &names,
        expect![[r#"
            quiet = false # default
            verbose = 2 # environment variable OCLUSTER_VERBOSE
            # verbosity = # not set
        "#]],
    );
}

#[test]
fn options_of_a_command_are_in_its_table_or_before_all_tables() {
    let place = Place::new();
    place.write(
        "client.toml",
        "connect = \"submission.cap\"\npool = \"linux-x86_64\"\n\n[submit-docker]\n\
         cache-hint = \"docker\"\nbuild-arg = [\"A=1,2\", \"B=3\"]\n\n\
         [submit-obuilder]\npool = \"linux-arm64\"\n",
    );
    let page = |line: &str, variables: &[(&str, &str)]| {
        let line = format!("ocluster-client {line} --print-config --config=client.toml");
        place.run_with(variables, &line)
    };
    let names = [
        "connect",
        "pool",
        "cache-hint",
        "build-arg",
        "local-file",
        "[submit-docker]",
        "[submit-obuilder]",
    ];
    check(
        page("submit-docker", &[]),
        &names,
        expect![[r#"
        connect = "submission.cap" # file client.toml:1
        [submit-docker]
        pool = "linux-x86_64" # file client.toml:2
        cache-hint = "docker" # file client.toml:5
        build-arg = ["A=1,2", "B=3"] # file client.toml:6
    "#]],
    );
    check(
        page(
            "submit-obuilder other.cap",
            &[("OCLUSTER_BUILD_ARG", "ours")],
        ),
        &names,
        expect![[r#"
            connect = "other.cap" # argument CAP
            [submit-obuilder]
            pool = "linux-arm64" # file client.toml:9
            cache-hint = "" # default
            # local-file = # required, but not set
        "#]],
    );
    // Without a command, all of them; a variable with lines is a list where words have no separator.
    check(
        page("", &[("OCLUSTER_BUILD_ARG", "C=1\nD=2,3")]),
        &names,
        expect![[r#"
            connect = "submission.cap" # file client.toml:1
            [submit-docker]
            pool = "linux-x86_64" # file client.toml:2
            cache-hint = "docker" # file client.toml:5
            build-arg = ["C=1", "D=2,3"] # environment variable OCLUSTER_BUILD_ARG
            [submit-obuilder]
            pool = "linux-arm64" # file client.toml:9
            cache-hint = "" # default
            # local-file = # required, but not set
            pool = "linux-x86_64" # file client.toml:2
            cache-hint = "" # default
        "#]],
    );
}

#[test]
fn mistakes_in_a_file_are_named_by_line() {
    let place = Place::new();
    place.write("pool.cap", "capnp://");
    let files = [
        "name = \"w\"\ncapasity = 3\n",
        "state_dir = \"s\"\n",
        "pools = [\"a\"]\n",
        "nonsense = 1\n",
        "\n\ncapacity = 0\n",
        "docker-pull = \"sometimes\"\n",
        "fast-sync = \"yes\"\n",
        "name = true\n",
        "allow-push = [\"a\", [\"b\"]]\n",
        "[name]\n",
        "verbose = \"much\"\n",
        "name = \n",
        "name = \"a\"\nname = \"b\"\n",
        "[show]\nterse = true\n",
        "print-config = true\n",
    ];
    let errors = files.map(|file| {
        let ended = shown(&place, file, &[], "");
        assert_eq!((ended.code(), ended.stdout.as_str()), (124, ""));
        let hint = "Try 'ocluster-worker --help' for more information.\n";
        folded(&ended.stderr.replace(hint, ""))
    });
    expect![[r#"
        ocluster-worker: worker.toml:2: unknown key 'capasity'
        Hint: did you mean 'capacity'?

        ocluster-worker: worker.toml:1: unknown key 'state_dir'
        Hint: did you mean 'state-dir'?

        ocluster-worker: worker.toml:1: unknown key 'pools'
        Hint: it is an option of ocluster-scheduler; put it in that program's file

        ocluster-worker: worker.toml:1: unknown key 'nonsense'
        Hint: 'ocluster-worker --print-config' lists all keys

        ocluster-worker: worker.toml:3: invalid value '0' for 'capacity': invalid capacity "0": it must be a \
            number of at least 1

        ocluster-worker: worker.toml:1: invalid value 'sometimes' for 'docker-pull': possible values: \
            always, missing, never

        ocluster-worker: worker.toml:1: fast-sync is a text, but must be true or false

        ocluster-worker: worker.toml:1: name is true or false, but must be a text or a number

        ocluster-worker: worker.toml:1: allow-push is a list, but may only have texts and numbers in it

        ocluster-worker: worker.toml:1: name is a table, but must be a text or a number

        ocluster-worker: worker.toml:1: verbose is a text, but must be a number up to 255

        ocluster-worker: worker.toml:1: string values must be quoted, expected literal string

        ocluster-worker: worker.toml:2: duplicate key

        ocluster-worker: worker.toml:1: unknown table 'show'
        Hint: 'ocluster-worker --print-config' lists all keys

        ocluster-worker: worker.toml:1: unknown key 'print-config'
        Hint: 'ocluster-worker --print-config' lists all keys
    "#]]
    .assert_eq(&errors.join("\n"));
}

#[test]
fn mistakes_in_a_commands_table() {
    let place = Place::new();
    let errors = [
        "[submit-dockr]\nsquash = true\n",
        "squash = true\n[submit-obuilder]\nsquash = true\n",
        "[submit-docker]\nverbosity = \"info\"\n",
        "[submit-docker]\npush-to = \"repo\"\n",
    ]
    .map(|file| {
        place.write("client.toml", file);
        let ended = place.run("ocluster-client --config=client.toml --print-config");
        assert_eq!(ended.code(), 124);
        ended
            .stderr
            .replace("Try 'ocluster-client --help' for more information.\n", "")
    });
    expect![[r#"
        ocluster-client: client.toml:1: unknown table 'submit-dockr'
        Hint: did you mean 'submit-docker'?

        ocluster-client: client.toml:3: unknown key 'squash'
        Hint: put 'squash' in the table [submit-docker], or before the first table

        ocluster-client: client.toml:2: unknown key 'verbosity'
        Hint: 'verbosity' applies to the whole program; put it before the first table

        ocluster-client: client.toml:2: invalid value 'repo' for 'push-to': Missing ':TAG' in target "repo"
    "#]]
    .assert_eq(&errors.join("\n"));
}

/// Runs workers with mistakes in variables and in the choice of a file.
fn runs_with_mistakes(place: &Place) -> [Outcome; 8] {
    place.write("worker.toml", "rsync-mode = \"copy\"\n");
    [
        place.run("ocluster-worker --config=nowhere.toml"),
        place.run_with(&[("OCLUSTER_CONFIG", "nowhere.toml")], "ocluster-worker"),
        place.run_with(&[("OCLUSTER_CAPACITY", "many")], "ocluster-worker"),
        place.run_with(&[("OCLUSTER_FAST_SYNC", "maybe")], "ocluster-worker"),
        place.run_with(&[STATE], "ocluster-worker --config=worker.toml --name=w"),
        place.run_with(&[STATE, ("OCLUSTER_NAME", "w")], "ocluster-worker"),
        place.run_with(
            &[
                ("OCLUSTER_CAPACTIY", "1"),
                ("OCLUSTER_PORT", "tcp://10.0.0.1:9000"),
                ("OCLUSTER_POOLS", "a"),
            ],
            "ocluster-worker --print-config --nonsense",
        ),
        place.run_with(
            &[
                ("OCLUSTER_CAPACTIY", "1"),
                ("OCLUSTER_PORT", "tcp://10.0.0.1:9000"),
                STATE,
            ],
            "ocluster-worker --name=w",
        ),
    ]
}

#[test]
fn mistakes_elsewhere() {
    let place = Place::new();
    let errors = runs_with_mistakes(&place)
        .map(|ended| folded(&crate::logs::without_times(&ended.raw_transcript())));
    expect![[r#"
        $ ocluster-worker --config=nowhere.toml
        2> ocluster-worker: option '--config': cannot read 'nowhere.toml': No such file or directory (os \
            error 2)
        2> Hint: to use no file, give --config=/dev/null
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]

        $ ocluster-worker
        2> ocluster-worker: variable OCLUSTER_CONFIG: cannot read 'nowhere.toml': No such file or directory \
            (os error 2)
        2> Hint: to use no file, give --config=/dev/null
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]

        $ ocluster-worker
        2> ocluster-worker: variable OCLUSTER_CAPACITY: invalid value 'many': invalid capacity "many": it \
            must be a number of at least 1
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]

        $ ocluster-worker
        2> ocluster-worker: variable OCLUSTER_FAST_SYNC: invalid value 'maybe': must be true or false
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]

        $ ocluster-worker --config=worker.toml --name=w
        2> ocluster-worker: the following required arguments were not provided:
        2>   --obuilder-store <KIND:PATH>
        2> 
        2> Usage: ocluster-worker [OPTIONS] [CAP] --name <ID> --state-dir <PATH>
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]

        $ ocluster-worker
        2> ocluster-worker: required argument CAP is missing
        2> Hint: give the cap file as the first argument, or with --connect=FILE
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]

        $ ocluster-worker --print-config --nonsense
        2> ocluster-worker: unexpected argument '--nonsense' found
        2> 
        2>   tip: to pass '--nonsense' as a value, use '-- --nonsense'
        2> 
        2> Usage: ocluster-worker [OPTIONS] [CAP] --name <ID> --state-dir <PATH>
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]

        $ ocluster-worker --name=w
        2> application [WARNING] Ignoring variable OCLUSTER_CAPACTIY, as no program has such an option; did \
            you mean OCLUSTER_CAPACITY?
        2> ocluster-worker: required argument CAP is missing
        2> Hint: give the cap file as the first argument, or with --connect=FILE
        2> Try 'ocluster-worker --help' for more information.
        [exit code 124]
    "#]]
    .assert_eq(&errors.join("\n"));
}

#[test]
fn a_cap_file_as_argument_overrides_one_in_the_file() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    place.write("admin.toml", "connect = \"nowhere.cap\"\n");
    let line = "ocluster-admin --config=admin.toml show ./capnp-secrets/admin.cap";
    assert_eq!(
        place.run(line).success().stdout,
        "linux-arm32\nlinux-x86_64\n"
    );
    // Otherwise the arguments are those that come after it.
    place.write("admin.toml", "connect = \"./capnp-secrets/admin.cap\"\n");
    let shown = place
        .run("ocluster-admin --config=admin.toml show linux-x86_64")
        .success();
    assert!(shown.stdout.contains("capacity: 0"), "{}", shown.stdout);
}

#[test]
fn a_worker_needs_only_file_and_variables_which_builds_do_not_see() {
    let mut cluster = Cluster::start();
    let place = &cluster.place;
    place.write(
        "worker.toml",
        "connect = \"./capnp-secrets/pool-linux-x86_64.cap\"\nstate-dir = \"w1\"\ncapacity = 1\n",
    );
    // What the engine's program and git would see.
    let docker = std::fs::read_to_string(place.path().join("bin/docker")).unwrap();
    place.write(
        "bin/docker",
        &docker.replacen("#!/bin/sh\n", "#!/bin/sh\nenv >&2\n", 1),
    );
    let variables = [
        ("OCLUSTER_CONFIG", "worker.toml"),
        ("OCLUSTER_NAME", "w1"),
        ("OCLUSTER_OBUILDER_RUNTIME", "builtin"),
    ];
    let mut worker = place.start_with(&variables, "ocluster-worker");
    worker.wait_for("Requesting a new job...");
    cluster.scheduler.wait_for("Registered new worker \"w1\"");
    let log = cluster.submit("Dockerfile").wait().success().stdout;
    assert!(log.contains("PATH="), "{log}");
    assert!(!log.contains("OCLUSTER_"), "{log}");
}
