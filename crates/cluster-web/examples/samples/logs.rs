//! Logs of builds.

/// A build with BuildKit that fails.
pub(super) fn failing() -> String {
    let mut log = String::from(
        "Building on x86-bm-3\nHEAD is now at 0f95490 scheduler: complete abandoned logs in one place\n\
         #1 [internal] load build definition from Dockerfile\n#1 transferring dockerfile: 1.2kB done\n#1 DONE 0.0s\n\
         #5 [1/5] FROM docker.io/ocaml/opam:debian-12-ocaml-5.2\n",
    );
    for step in 0..=10 {
        log.push_str(&format!(
            "\r#5 sha256:8a9f {:>5.1}MB / 100.0MB",
            f64::from(step) * 10.0
        ));
    }
    log.push_str("\n#5 DONE 7.1s\n#6 [2/5] RUN opam install --deps-only .\n");
    for index in 0..90 {
        log.push_str(&format!(
            "#6 {}.{index:02} \u{1b}[32m∗\u{1b}[0m installed \u{1b}[1mpackage-{index}\u{1b}[0m.1.{index}\n",
            index / 10
        ));
    }
    log.push_str(
        "#6 WARNING: opam is out-of-date. See https://opam.ocaml.org/doc/Install.html.\n#6 DONE 61.3s\n\
         #7 [3/5] COPY . /src\n#7 DONE 0.4s\n#8 [4/5] RUN dune build @install\n\
         #8 0.512 \u{1b}[1mFile \"src/irmin-unix/import.ml\", line 17, characters 5-15\u{1b}[0m:\n\
         #8 0.512 17 | open Irmin_unix\n#8 0.512          \u{1b}[1;31m^^^^^^^^^^\u{1b}[0m\n\
         #8 0.513 \u{1b}[1;31mError\u{1b}[0m: Unbound module Irmin_unix\n\
         #8 0.513 \u{1b}[38;5;208mHint\u{1b}[0m: Is it \u{1b}[3mIrmin_Unix\u{1b}[0m?  \u{1b}[41;97m FAIL \u{1b}[0m\n\
         #8 ERROR: process \"/bin/sh -c dune build\" did not complete successfully: exit code: 1\n\
         docker-build failed with exit-code 1\nJob failed: docker-build failed with exit-code 1\n",
    );
    log
}

/// A log that would like to do something.
pub(super) const HOSTILE: &str = "\
<script>window.pwned = 1</script>
\u{1b}]8;;javascript:alert(1)\u{7}click me\u{1b}]8;;\u{7}
\u{1b}]8;;https://a.example/\"onmouseover=alert(1)\u{7}or me\u{1b}]8;;\u{7}
abc\u{202e}fed\u{2066} turned
\u{1b}[2J\u{1b}[H\u{1b}[8mhidden\u{1b}[0m \u{1b}[30mblack\u{1b}[0m \u{1b}[37mwhite\u{1b}[0m \u{1b}[97mbright\u{1b}[0m
Z\u{310}\u{352}\u{35f}\u{310}\u{352}\u{35f}\u{310}\u{352}\u{35f}\u{310}\u{352}\u{35f}algo
\u{0}\u{7}\u{1b}P1;2q#x
";
