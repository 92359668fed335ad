//! The pictures of the book: `cargo xtask screenshots` runs this, and puts them into the book.

use std::fs;

use anyhow::Result;
use browser::Device;
use testbed::POOL;

use crate::cluster::Pages;

/// A build that looks like one.
const BUILD: &str = r#"
for step in 'FROM debian:12' 'WORKDIR /src' 'COPY . .' 'RUN make'; do
    printf '\033[1;34m(%s)\033[0m\n' "$step"; sleep 0.3
done
for file in parse lex type emit link; do echo "cc -O2 -c $file.c -o $file.o"; sleep 0.2; done
"#;

/// Where they are put, below the folder of everything that is built.
const FOLDER: &str = "screenshots";

/// Pauses a worker and ends that, for the audit log.
fn note_a_pause(pages: &Pages) -> Result<()> {
    let admin = |words: &[&str]| {
        let mut command = pages.site.cluster.program("ocluster-admin");
        command
            .args(words)
            .args(["-c", "./capnp-secrets/admin.cap"]);
        pages.site.begin_command(&mut command)?.end()
    };
    let note = "--note=replacing its disk, back at noon";
    admin(&["pause", POOL, "w2", note])?.check(0, &[]);
    admin(&["unpause", POOL, "w2"])?.check(0, &[]);
    Ok(())
}

#[test]
fn pictures_of_the_book() -> Result<()> {
    let Some(mut pages) = Pages::start("pictures_of_the_book")? else {
        return Ok(());
    };
    let worker = ["--custom=script=bash", "--capacity=2"];
    pages
        .site
        .cluster
        .start_obuilder_worker(POOL, "w2", &worker)?;
    let label = |name: &str, value: &str| format!("--label={name}={value}");
    let good = format!("{BUILD}\nprintf '\\033[32m214 tests passed\\033[0m\\n'\n");
    let bad = format!(
        "{BUILD}\nprintf '\\033[31merror: emit.c:42: unknown register\\033[0m\\n'\n\
         echo 'make: *** [emit.o] Error 1'; exit 2\n"
    );
    let options = |branch: &str| {
        vec![
            label("repo", "acme/compiler"),
            label("branch", branch),
            "--cache-hint=acme/compiler".to_owned(),
        ]
    };
    let mut failed = String::new();
    for (branch, script) in [("main", &good), ("parser", &good), ("registers", &bad)] {
        let options = options(branch);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        failed = pages.run(script, &options)?;
    }
    for branch in ["main", "parser", "arm", "lexer", "docs", "release"] {
        let options = options(branch);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        pages.submit(&format!("{BUILD}\nexec sleep 1000"), &options)?;
    }
    let waiting = pages.site.custom("script", "true")?.pool("linux-arm64");
    waiting.args(&["--detach"]).run()?.check(0, &[]);
    note_a_pause(&pages)?;
    let operator = pages.operator()?;
    let page = operator.page(&Device::WIDE)?;
    page.open(&pages.url(&format!("/pool/{POOL}")))?;
    page.reload_until("document.getElementById('clients').innerText.includes('%')")?;
    let images = browser::built_files().join(FOLDER);
    fs::create_dir_all(&images)?;
    let all = [
        ("pools", "/".to_owned(), Device::WIDE),
        ("pool", format!("/pool/{POOL}"), Device::WIDE),
        ("workers", format!("/pool/{POOL}/workers"), Device::WIDE),
        ("worker", format!("/worker/{POOL}/w1"), Device::WIDE),
        ("job", format!("/job/{failed}"), Device::WIDE),
        ("jobs", "/jobs".to_owned(), Device::WIDE),
        ("audit", "/audit".to_owned(), Device::WIDE),
        ("job-dark", format!("/job/{failed}"), Device::WIDE.dark()),
        ("pool-phone", format!("/pool/{POOL}"), Device::PHONE),
        ("job-phone", format!("/job/{failed}"), Device::PHONE.dark()),
    ];
    for (name, path, device) in all {
        let page = operator.page(&Device {
            width: device.width.min(1200),
            height: device.height.min(800),
            ..device
        })?;
        page.open(&pages.url(&path))?;
        // The page of a failed job opens at its failure.
        page.evaluate("scrollTo(0, 0)")?;
        let picture = page.small_picture()?;
        fs::write(images.join(format!("{name}.webp")), picture)?;
    }
    pages.finish()
}
