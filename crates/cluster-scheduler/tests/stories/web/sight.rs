//! Who sees what.

use serde_json::Value;
use testkit::{BuildOutcome, MockBuilder, MockWorker, story, until};

use super::browser::Browser;
use super::{operator, start, start_with, stranger};
use crate::durable::{ended, request, submit};

/// Returns the pages that visitors may see or not.
fn pages_of(of_alice: &str, of_bob: &str) -> [String; 10] {
    [
        "/".to_owned(),
        "/pool/pool".to_owned(),
        "/pool/pool/workers".to_owned(),
        "/worker/pool/w1".to_owned(),
        "/jobs".to_owned(),
        "/audit".to_owned(),
        format!("/job/{of_alice}"),
        format!("/job/{of_alice}/log.txt"),
        format!("/job/{of_alice}/log/events?attempt=1"),
        format!("/job/{of_bob}"),
    ]
}

#[test]
fn each_visitor_sees_its_own() {
    story(async {
        let site = start_with(|web| web.public_queue = true).await;
        let (alice, _alice) = site.client("alice").await;
        let (bob, _bob) = site.client("bob").await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (of_alice, _job) = submit(&alice, &request("secret-of-alice")).await;
        builder.starts("secret-of-alice").await;
        let (of_bob, _other) = submit(&bob, &request("secret-of-bob")).await;
        let pages = pages_of(&of_alice, &of_bob);
        let link = alice.web_link(None, false).await.unwrap();
        let mut client = stranger(&site);
        client.enter(&link.url).await;
        let link = alice.web_link(Some(&of_alice), true).await.unwrap();
        let mut guest = stranger(&site);
        guest.enter(&link.url).await;
        let table = [
            (
                "public",
                stranger(&site),
                [200, 200, 200, 200, 403, 403, 404, 404, 404, 404],
            ),
            (
                "guest",
                guest,
                [303, 403, 403, 403, 403, 403, 200, 200, 0, 404],
            ),
            (
                "client",
                client,
                [200, 200, 200, 200, 200, 403, 200, 200, 0, 404],
            ),
            (
                "operator",
                operator(&site).await,
                [200, 200, 200, 200, 200, 200, 200, 200, 0, 200],
            ),
        ];
        for (visitor, browser, expected) in &table {
            for (page, status) in pages.iter().zip(expected) {
                // A stream of events has no end.
                if *status == 0 {
                    continue;
                }
                let answer = browser.get(page).await;
                assert_eq!(answer.status, *status, "{visitor} at {page}: {answer:?}");
            }
        }

        // What is not theirs is not in pages that they see, in neither form.
        for (visitor, browser, _) in &table {
            has_nothing_of_others(visitor, browser, &pages[..4], [&of_alice, &of_bob]).await;
        }
        table[2]
            .1
            .get("/jobs")
            .await
            .has(&of_alice)
            .has_not(&of_bob);
    });
}

#[test]
fn a_page_for_many_names_each_of_them() {
    story(async {
        let site = start().await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let [mut ann, mut bob] = [stranger(&site), stranger(&site)];
        for (browser, name) in [(&mut ann, "ann@desk"), (&mut bob, "bob@<lab>")] {
            let (admin, _connected) = site.admin().await;
            admin.identify(name).await.unwrap();
            browser
                .enter(&admin.web_link(None).await.unwrap().url)
                .await;
        }
        for page in ["/", "/pool/pool", "/pool/pool/workers"] {
            // The second one gets what was made for the first one.
            for _ in 0..2 {
                let of_ann = ann.get(page).await;
                of_ann.has("operator ann@desk").has_not("bob@");
                let of_bob = bob.get(page).await;
                of_bob.has("operator bob@&lt;lab&gt;").has_not("ann@");
                for answer in [&of_ann, &of_bob] {
                    answer.has("action=\"/leave\"").has_not("<!--visitor-->");
                }
            }
            assert_ne!(ann.token(page).await, bob.token(page).await);
        }
        let token = bob.token("/pool/pool").await;
        let left = bob.post("/leave", &format!("token={token}")).await;
        assert_eq!(left.status, 303, "{left:?}");
    });
}

/// Checks that pages have nothing of those whose jobs a visitor may not see.
async fn has_nothing_of_others(
    visitor: &str,
    browser: &Browser,
    pages: &[String],
    [of_alice, of_bob]: [&String; 2],
) {
    for page in pages {
        let json = format!("{}.json", if page == "/" { "/index" } else { page });
        let answers = [browser.get(page).await, browser.get(&json).await];
        for answer in answers.iter().filter(|answer| answer.status == 200) {
            if visitor == "public" {
                answer.has_not("alice").has_not(of_alice);
            }
            if visitor != "operator" {
                answer.has_not("bob").has_not(of_bob).has_not("127.0.0.1:");
            }
        }
    }
}

#[test]
fn nothing_is_public_unless_the_operator_says_so() {
    story(async {
        let site = start().await;
        let browser = stranger(&site);
        for page in [
            "/",
            "/pool/pool",
            "/pool/pool/workers",
            "/worker/pool/w1",
            "/jobs",
            "/audit",
            "/events",
            "/badge/branch=main.svg",
            "/feed/branch=main.atom",
        ] {
            let answer = browser.get(page).await;
            assert_eq!(answer.status, 403, "{page}");
            answer.has("ocluster-admin web");
        }
        // Whether there is such a job is not told.
        assert_eq!(browser.get("/job/000000000000").await.status, 404);
    });
}

#[test]
fn an_attached_job_is_shown_before_it_is_in_the_history() {
    story(async {
        let site = start().await;
        let (client, _connected) = site.client("alice").await;
        let browser = operator(&site).await;
        let _ticket = crate::attached::submit(&client, "image").await;
        let pool = browser.get("/pool/pool.json").await.json();
        let id = pool["queue"][0]["id"].as_str().expect("it waits");
        // It is saved some time after its submission.
        let job = browser.get(&format!("/job/{id}.json")).await;
        assert_eq!(job.status, 200, "{job:?}");
        let job = job.json();
        assert_eq!(job["job"]["state"], "queued");
        assert_eq!(job["job"]["attached"], true);
        assert_eq!(job["job"]["client"], "alice");
        browser.get(&format!("/job/{id}")).await.has("no worker");
        // The page of a shortened id leads there.
        let shortened = browser.get(&format!("/job/{}", &id[..6])).await;
        assert_eq!(shortened.header("location"), Some(&*format!("/job/{id}")));
        let (admin, _admin) = site.admin().await;
        assert_eq!(admin.job_details(id).await.unwrap().client, "alice");
        // Its client finds it, too, and another client does not.
        client.find_durable(id).await.unwrap();
        let (other, _other) = site.client("bob").await;
        other.find_durable(id).await.unwrap_err();
    });
}

#[test]
fn each_page_is_json_too() {
    story(async {
        let site = start().await;
        let (client, _connected) = crate::durable::connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 2, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.end("image", BuildOutcome::Failed("it broke"));
        ended(&job).await;
        let browser = operator(&site).await;
        let get = async |page: &str| -> Value {
            let answer = browser.get(page).await;
            assert_eq!(answer.status, 200, "{page}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            answer.json()
        };
        let pools = get("/index.json").await;
        assert_eq!(pools["pools"][0]["name"], "pool");
        assert_eq!(pools["pools"][0]["capacity"], 2);
        assert_eq!(pools["failures"][0]["id"], id);
        let pool = get("/pool/pool.json").await;
        assert_eq!(pool["pool"]["workers"]["ready"], 1);
        let workers = get("/pool/pool/workers.json").await;
        assert_eq!(workers["workers"][0]["state"], "ready");
        let worker = get("/worker/pool/w1.json").await;
        assert_eq!(worker["jobs"][0]["id"], id);
        // It is read from the history, every now and then.
        until("the job counts", async || {
            get("/worker/pool/w1.json").await["worker"]["recent_failed"] == 1
        })
        .await;
        let job = get(&format!("/job/{id}.json")).await;
        assert_eq!(job["job"]["state"], "failed");
        assert_eq!(job["asked"]["text"]["text"], "image");
        assert!(
            job["reproduce"]["commands"][0]["line"]
                .as_str()
                .unwrap()
                .contains("--pool=pool")
        );
        let jobs = get("/jobs.json?state=failed&label=branch%3Dmain").await;
        assert_eq!(jobs["jobs"][0]["labels"]["branch"], "main");
        assert_eq!(
            get("/jobs.json?state=succeeded").await["jobs"],
            Value::Array(vec![])
        );
        get("/audit.json").await;
        // The same for who asks by `Accept`.
        let mut program = operator(&site).await;
        program.headers = "Accept: application/json\r\n".to_owned();
        assert_eq!(
            program.get("/pool/pool").await.json()["pool"]["name"],
            "pool"
        );
        let refused = program.get("/pool/nowhere").await;
        assert_eq!(
            (refused.status, refused.json()["message"].as_str()),
            (404, Some("There is no such pool."))
        );
        program.headers = "Accept: image/png\r\n".to_owned();
        assert_eq!(program.get("/pool/pool").await.status, 406);
    });
}

#[test]
fn badges_and_feeds_are_about_a_label() {
    story(async {
        let site = start_with(|web| web.public_queue = true).await;
        let (client, _connected) = crate::durable::connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.end("image", BuildOutcome::Failed("it broke"));
        ended(&job).await;
        let badge = stranger(&site).get("/badge/branch=main.svg").await;
        assert_eq!(badge.header("content-type"), Some("image/svg+xml"));
        badge.has("failed").has("main");
        // Browsers show it on pages of other sites, and nothing else of ours.
        let policy = "cross-origin-resource-policy";
        assert_eq!(badge.header(policy), Some("cross-origin"));
        let page = stranger(&site).get("/").await;
        assert_eq!(page.header(policy), Some("same-origin"));
        stranger(&site)
            .get("/badge/branch=other.svg")
            .await
            .has("unknown");
        assert_eq!(
            stranger(&site).get("/feed/branch=main.atom").await.status,
            403
        );
        let feed = operator(&site).await.get("/feed/branch=main.atom").await;
        feed.has(&format!("urn:ocluster:job:{id}")).has("failed");
    });
}
