//! Completion as bash does it, with names from a real scheduler.

use expect_test::{Expect, expect};

use crate::cluster::Cluster;
use crate::harness::{Place, folded};

/// Asks for completion as bash does when the user presses the tabulator after each of the lines it reads, and prints
/// what would be offered. Bash takes `=` and `:` for words of their own.
const PRESS_TAB: &str = r#"
eval "$(ocluster generate completion bash)"
while IFS= read -r line; do
    eval "COMP_WORDS=($(sed 's/[=:]/ & /g' <<< "$line"))"
    case "$line" in *" ") COMP_WORDS+=("") ;; esac
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    typed=${COMP_WORDS[COMP_CWORD]}
    case "$typed" in [=:]) typed= ;; esac
    function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \([^ ]*\).*/\1/')
    "$function" "${COMP_WORDS[0]}" "$typed" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s| %s\n' "$line" "${COMPREPLY[*]}"
done
"#;

fn check(place: &Place, lines: &[&str], expected: Expect) {
    expected.assert_eq(&folded(&offered(place, lines)));
}

/// Returns the lines with what is offered for each.
fn offered(place: &Place, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let script = format!("{{ {PRESS_TAB} }} 2>&1 <<'LINES'\n{lines}LINES\n");
    place.bash(&script).success().stdout
}

#[test]
fn of_the_ids_of_jobs() {
    let cluster = Cluster::start();
    let line = "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool=linux-x86_64 --detach \
                --local-dockerfile Dockerfile";
    let submitted = cluster.place.run(line).success().stdout;
    let id = submitted.trim_end();
    for line in [
        "ocluster-client status ./capnp-secrets/submission.cap ".to_owned(),
        format!(
            "ocluster-client wait ./capnp-secrets/submission.cap {}",
            &id[..4]
        ),
        format!(
            "ocluster-client -c ./capnp-secrets/submission.cap logs -f {}",
            &id[..4]
        ),
    ] {
        assert_eq!(offered(&cluster.place, &[&line]), format!("{line}| {id}\n"));
    }
}

#[test]
fn of_what_only_the_scheduler_knows() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let _w2 = cluster.worker("w2");
    let _added = cluster.admin("add-client", "alice").success();
    check(
        &cluster.place,
        &[
            "ocluster-admin show ./capnp-secrets/admin.cap ",
            "ocluster-admin show ./capnp-secrets/admin.cap linux-x",
            "ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 ",
            "ocluster-admin drain --all ./capnp-secrets/admin.cap linux-x86_64 w",
            "ocluster-admin -c ./capnp-secrets/admin.cap drain ",
            "ocluster-admin -c ./capnp-secrets/admin.cap drain linux-x86_64 w",
            "ocluster-admin drain linux-x86_64 --connect=./capnp-secrets/admin.cap w",
            "ocluster-admin remove-client ./capnp-secrets/admin.cap ",
            "ocluster-admin set-rate ./capnp-secrets/admin.cap linux-x86_64 a",
        ],
        expect![[r#"
            ocluster-admin show ./capnp-secrets/admin.cap | linux-arm32 linux-x86_64
            ocluster-admin show ./capnp-secrets/admin.cap linux-x| linux-x86_64
            ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 | w1 w2
            ocluster-admin drain --all ./capnp-secrets/admin.cap linux-x86_64 w| w1 w2
            ocluster-admin -c ./capnp-secrets/admin.cap drain | linux-arm32 linux-x86_64
            ocluster-admin -c ./capnp-secrets/admin.cap drain linux-x86_64 w| w1 w2
            ocluster-admin drain linux-x86_64 --connect=./capnp-secrets/admin.cap w| w1 w2
            ocluster-admin remove-client ./capnp-secrets/admin.cap | alice
            ocluster-admin set-rate ./capnp-secrets/admin.cap linux-x86_64 a| alice
        "#]],
    );
}

#[test]
fn of_commands_options_values_and_files() {
    let place = Place::new();
    place.write("secrets/admin.cap", "capnp://");
    place.write("Dockerfile", "");
    check(
        &place,
        &[
            "ocluster-admin ",
            "ocluster-admin pa",
            "ocluster-admin show --te",
            "ocluster-admin show --output ",
            "ocluster-admin show --output=",
            "ocluster-admin show --output=j",
            "ocluster-admin show s",
            "ocluster-admin show secrets/",
            "ocluster-client submit-docker --local-dockerfile D",
            "ocluster-worker --docker-pull ",
            "ocluster generate completion ",
            "obuilder image ",
        ],
        expect![[r#"
            ocluster-admin | show pause unpause pause-worker unpause-worker drain cancel jobs job job-log update \
                add-client remove-client list-clients set-rate forget exec audit web schedulers step-down store \
                help
            ocluster-admin pa| pause pause-worker
            ocluster-admin show --te| --terse
            ocluster-admin show --output | text json
            ocluster-admin show --output=| text json
            ocluster-admin show --output=j| json
            ocluster-admin show s| secrets/
            ocluster-admin show secrets/| secrets/admin.cap
            ocluster-client submit-docker --local-dockerfile D| Dockerfile
            ocluster-worker --docker-pull | always missing never
            ocluster generate completion | bash zsh fish
            obuilder image | ls import rm help
        "#]],
    );
}

#[test]
fn without_a_scheduler_nothing_is_offered_or_printed() {
    let place = Place::new();
    // A peer that accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let fingerprint = "A".repeat(43);
    place.write(
        "silent.cap",
        &format!("capnp://sha-256:{fingerprint}@127.0.0.1:{port}/AAAA"),
    );
    place.write("nonsense.cap", "nonsense");
    check(
        &place,
        &[
            "ocluster-admin show silent.cap ",
            "ocluster-admin show nonsense.cap ",
            "ocluster-admin show nowhere.cap ",
        ],
        expect![[r#"
            ocluster-admin show silent.cap | --terse --all --watch --connect --also --output --help --color \
                --quiet --verbose --verbosity --log-format --config --print-config
            ocluster-admin show nonsense.cap | --terse --all --watch --connect --also --output --help --color \
                --quiet --verbose --verbosity --log-format --config --print-config
            ocluster-admin show nowhere.cap | --terse --all --watch --connect --also --output --help --color \
                --quiet --verbose --verbosity --log-format --config --print-config
        "#]],
    );
}
