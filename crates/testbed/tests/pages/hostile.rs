//! What jobs, clients and other sites send to do harm: it is shown, and does nothing.

use anyhow::{Result, ensure};
use browser::{Device, Page, PageServer, Profile};
use testbed::POOL;

use crate::cluster::{Pages, check_page};

/// HTML that runs a script wherever it becomes part of a page.
const HTML: &str = concat!(
    r#""'><script>window.pwned=1</script>"#,
    r#"<img src=x onerror="window.pwned=2"><svg onload=window.pwned=3>"#
);

/// Prints a title for the terminal, links that run scripts and one that does not, and letters in another order.
const SEQUENCES: &str = r"
printf '\033]0;title\007\033]8;;javascript:window.pwned=5\033\\click\033]8;;\033\\ \033[2J\033[1mbold\n'
printf '\033]8;;https://example.org/\033\\good link\033]8;;\033\\\n'
printf 'user=\342\200\256nimda\n\377\376\n'
";

/// Returns a script that prints HTML, and what a terminal would obey.
fn hostile_log() -> String {
    let link = r#"https://example.org/"onmouseover=window.pwned=4"#;
    format!("cat <<'END'\n{HTML}\n</ol></main><h1>forged</h1>\n{link}\nEND\n{SEQUENCES}")
}

/// Checks that nothing has become part of the page that is not ours.
#[track_caller]
fn check_harmless(page: &Page, origin: &str, what: &str) -> Result<()> {
    check_page(page, origin, what)?;
    assert_eq!(page.evaluate("typeof window.pwned")?, "undefined", "{what}");
    let strange = "[...document.querySelectorAll('script, img, iframe, object, embed, base, form, [style]')]
        .filter(found => !(found.matches('script') && found.src.startsWith(location.origin + '/assets/')))
        .filter(found => !(found.matches('form') && found.action.startsWith(location.origin + '/')))
        .filter(found => !(found.matches('form') && found.method === 'dialog'))
        .map(found => found.outerHTML).join('\\n')";
    assert_eq!(page.text(strange)?, "", "{what}");
    let events = "[...document.querySelectorAll('*')].flatMap(found => [...found.attributes])
        .map(found => found.name).filter(name => name.startsWith('on')).join()";
    assert_eq!(page.text(events)?, "", "{what}");
    let links = "[...document.querySelectorAll('a')].filter(link => link.href)
        .filter(link => !link.href.startsWith(location.origin + '/'))
        .filter(link => !(/^https?:/.test(link.href) && /noopener/.test(link.rel) && /nofollow/.test(link.rel)))
        .map(link => link.outerHTML).join('\\n')";
    assert_eq!(page.text(links)?, "", "{what}");
    let turned = page.body()?.contains('\u{202e}');
    assert!(!turned, "{what}: a mark turns the order of letters around");
    Ok(())
}

#[test]
fn html_and_control_sequences_of_jobs_do_nothing() -> Result<()> {
    let Some(pages) = Pages::start("html_and_control_sequences_of_jobs_do_nothing")? else {
        return Ok(());
    };
    let hint = format!("--cache-hint=hint{HTML}\u{202e}");
    let label = format!("--label=subject={HTML}\u{202e}");
    let options = [hint.as_str(), &label];
    let id = pages.run(&(hostile_log() + "exit 1\n"), &options)?;
    let folder = pages.site.folder().to_owned();
    let wait = format!(
        "until [ -e '{}/go' ]; do sleep 0.05; done\n",
        folder.display()
    );
    let live = pages.submit(
        &format!("echo begun\n{wait}{}\nsleep 1000\n", hostile_log()),
        &options,
    )?;
    let note = format!("--note={HTML}");
    let mut pause = pages.site.cluster.program("ocluster-admin");
    pause.args([
        "pause",
        "-c",
        "./capnp-secrets/admin.cap",
        POOL,
        "w1",
        &note,
    ]);
    pages.site.begin_command(&mut pause)?.end()?.check(0, &[]);
    let operator = pages.operator()?;

    // Chapter: a log that is followed.
    let page = operator.page(&Device::WIDE)?;
    page.open(&pages.url(&format!("/job/{live}")))?;
    page.wait_for_text("begun")?;
    std::fs::write(folder.join("go"), "")?;
    page.wait_for_text("forged")?;
    page.wait_for_text("bold")?;
    check_harmless(&page, &pages.origin(), "a log that is followed")?;

    check_all_pages(&pages, &page, &id)?;
    pages.finish()
}

/// Checks all pages that show something of a hostile job.
fn check_all_pages(pages: &Pages, page: &Page, id: &str) -> Result<()> {
    let query = "%22%3E%3Cscript%3Ewindow.pwned%3D6%3C/script%3E";
    let paths = [
        "/".to_owned(),
        format!("/pool/{POOL}"),
        format!("/pool/{POOL}/workers"),
        format!("/worker/{POOL}/w1"),
        format!("/job/{id}"),
        format!("/job/{id}?q={query}"),
        "/jobs".to_owned(),
        format!("/jobs?label=subject%3D{query}&find={query}"),
        format!("/jobs?hint=hint{query}"),
        "/audit".to_owned(),
    ];
    for path in &paths {
        page.open(&pages.url(path))?;
        check_harmless(page, &pages.origin(), path)?;
    }
    page.open(&pages.url(&format!("/job/{id}")))?;
    let body = page.body()?;
    for shown in [
        "<script>window.pwned=1</script>",
        "<h1>forged</h1>",
        "good link",
        "bold",
    ] {
        assert!(body.contains(shown), "no {shown:?} in:\n{body}");
    }
    let headings =
        "[...document.querySelectorAll('h1')].map(heading => heading.textContent).join()";
    assert!(!page.text(headings)?.contains("forged"));
    Ok(())
}

/// Returns whether a job still runs, as its page says.
fn runs(pages: &Pages, visitor: &Profile, id: &str) -> Result<bool> {
    let page = visitor.page(&Device::WIDE)?;
    page.open(&pages.url(&format!("/job/{id}")))?;
    Ok(page.text("document.getElementById('job-state').textContent")? == "running")
}

#[test]
fn another_site_can_neither_act_nor_show_a_page_as_its_own() -> Result<()> {
    let Some(pages) = Pages::start("another_site_can_neither_act_nor_show_a_page_as_its_own")?
    else {
        return Ok(());
    };
    let id = pages.submit("echo begun; exec sleep 1000", &[])?;
    let operator = pages.operator()?;
    let page = operator.page(&Device::WIDE)?;
    page.open(&pages.url(&format!("/job/{id}")))?;
    page.wait_for_text("begun")?;
    let cancel = pages.url(&format!("/job/{id}/cancel"));
    let forged = format!(
        "<!doctype html><form method=post action='{cancel}'><input name=token value=guess></form>
         <script>document.forms[0].submit()</script>"
    );
    let framed = format!("<!doctype html><iframe src='{}'></iframe>", pages.url("/"));
    let read = format!(
        "<!doctype html><script>fetch('{}', {{ credentials: 'include' }})
         .then(answer => answer.text(), error => 'refused').then(text => document.title = text)</script>",
        pages.url("/index.json")
    );
    // Cookies know no ports: for them, a server beside the scheduler's is the same site.
    let other = PageServer::start(&[("/forged", &forged), ("/framed", &framed), ("/read", &read)])?;
    for host in ["127.0.0.1", "evil.test"] {
        let attacked = operator.page(&Device::WIDE)?;
        attacked.open(&other.url_at(host, "/forged"))?;
        attacked.wait_for(&format!("location.href === '{cancel}'"))?;
        assert!(
            runs(&pages, &operator, &id)?,
            "cancelled by a form at {host}"
        );

        let attacked = operator.page(&Device::WIDE)?;
        attacked.open(&other.url_at(host, "/framed"))?;
        let complaints = attacked.record()?.complaints.join("\n");
        assert!(
            complaints.contains("frame-ancestors"),
            "{host}: {complaints:?}"
        );

        let attacked = operator.page(&Device::WIDE)?;
        attacked.open(&other.url_at(host, "/read"))?;
        attacked.wait_for("document.title !== ''")?;
        assert_eq!(attacked.text("document.title")?, "refused", "{host}");
    }

    // Chapter: the operator's own form works, so it was not the form that was refused.
    page.click(".actions summary")?;
    page.click(".actions .danger")?;
    page.wait_for("document.getElementById('job-state').textContent === 'cancelled'")?;
    pages.finish()
}

#[test]
fn a_cookie_is_for_one_host_and_for_no_script() -> Result<()> {
    let name = "a_cookie_is_for_one_host_and_for_no_script";
    let Some(pages) = Pages::start_at(name, "pages.cluster.test")? else {
        return Ok(());
    };
    let link = pages.operators_link()?;
    let operator = pages.browser.profile()?;
    let page = operator.page(&Device::WIDE)?;
    page.open(&link)?;
    page.wait_for_text(POOL)?;
    let cookies = operator.cookies()?;
    ensure!(!cookies.is_empty(), "no cookie");
    for cookie in &cookies {
        assert!(cookie.http_only, "{cookie:?}");
        assert_eq!(cookie.same_site, "Strict", "{cookie:?}");
        assert_eq!(cookie.domain, "pages.cluster.test", "{cookie:?}");
    }
    assert_eq!(page.text("document.cookie")?, "");
    // The secret has left the address.
    assert_eq!(page.text("location.href")?, pages.url("/"));

    // Chapter: hosts beside and below it get no cookie.
    let other = PageServer::start(&[("/", "<title>other</title>")])?;
    for host in [
        "evil.cluster.test",
        "evil.pages.cluster.test",
        "cluster.test",
    ] {
        let attacker = operator.page(&Device::WIDE)?;
        attacker.open(&format!("http://{host}:{}/", pages.address.port()))?;
        let body = attacker.body()?;
        assert!(!body.contains(POOL), "{host} has come in:\n{body}");
        attacker.open(&other.url_at(host, "/"))?;
        assert_eq!(attacker.text("document.cookie")?, "", "{host}");
    }

    // Chapter: a link works once.
    let second = pages.browser.profile()?.page(&Device::WIDE)?;
    second.open(&link)?;
    second.wait_for("document.readyState === 'complete' && location.hash === ''")?;
    assert!(!second.body()?.contains(POOL));
    pages.finish()
}

#[test]
fn strange_paths_lead_nowhere() -> Result<()> {
    let Some(pages) = Pages::start("strange_paths_lead_nowhere")? else {
        return Ok(());
    };
    let long = format!("/job/{}", "a".repeat(100_000));
    let paths = [
        "/../../../../etc/passwd",
        "/assets/../../../etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/%00",
        "/job/..%2f..%2fscheduler%2fjobs.db/log.txt",
        "/job/%00/log.txt",
        "/pool/%ff%fe",
        "//evil.test/",
        "/\\evil.test/",
        "/job/x%0d%0aSet-Cookie:%20a=b",
        &long,
    ];
    for path in paths {
        let answer = pages.get(path)?;
        let short: String = path.chars().take(60).collect();
        let status = answer.split(' ').nth(1).unwrap_or("closed").to_owned();
        assert!(
            status == "closed" || status.starts_with('4'),
            "{short}: {answer}"
        );
        assert!(
            !answer.contains("root:") && !answer.contains("\r\nSet-Cookie: a=b"),
            "{short}: {answer}"
        );
    }
    pages.finish()
}
