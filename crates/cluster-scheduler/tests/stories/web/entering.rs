//! How visitors come in: with a link, which is used once.

use cluster_api::{DurableJob, Submission};
use testkit::{Site, story};

use super::browser::Browser;
use super::{operator, start, start_with, stranger};
use crate::durable::{connect, request, submit};

#[test]
fn a_link_is_used_once_and_becomes_a_cookie() {
    story(async {
        let site = start().await;
        let (admin, _connected) = site.admin().await;
        let link = admin.web_link(None).await.unwrap();
        let mut browser = stranger(&site);

        // The form works without a script, and says nothing that is not for everybody.
        browser.get("/enter").await.has("name=\"secret\"");
        assert_eq!(browser.get("/").await.status, 403);
        assert_eq!(browser.enter(&link.url).await, "/");
        assert_eq!(browser.get("/").await.status, 200);

        // Nobody else can use it again.
        let again = stranger(&site).try_to_enter(&link.url).await;
        assert_eq!(again.status, 403);
        again.has("used before");

        // The cookie is not for scripts, not for other sites, and ends.
        let link = admin.web_link(None).await.unwrap();
        let answer = stranger(&site).try_to_enter(&link.url).await;
        let cookie = answer.header("set-cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");

        // Leaving takes it away.
        let token = browser.token("/").await;
        let left = browser.post("/leave", &format!("token={token}")).await;
        assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"));
    });
}

#[test]
fn a_session_outlives_the_scheduler_and_not_its_client() {
    story(async {
        let mut site = start().await;
        let (alice, connected) = site.client("alice").await;
        let link = alice.web_link(None, false).await.unwrap();
        let mut browser = stranger(&site);
        browser.enter(&link.url).await;
        assert_eq!(browser.get("/jobs").await.status, 200);
        drop((alice, connected));

        site.restart().await;
        browser.address = site.scheduler().web_address().unwrap();
        assert_eq!(browser.get("/jobs").await.status, 200);

        // Removed, the client sees nothing, also when another one gets its name.
        let (admin, _connected) = site.admin().await;
        admin.remove_client("alice").await.unwrap();
        assert_eq!(browser.get("/jobs").await.status, 403);
        admin.add_client("alice").await.unwrap();
        assert_eq!(browser.get("/jobs").await.status, 403);
    });
}

#[test]
fn each_capability_gives_its_own_link() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let (id, job) = submit(&client, &request("image")).await;
        let shared = job.share().await.unwrap().parse().unwrap();
        let seen = site.connect(&shared).await;
        let mut browser = stranger(&site);

        // A client's leads to a job of its own,
        let link = client.web_link(Some(&id[..6]), false).await.unwrap();
        assert_eq!(browser.enter(&link.url).await, format!("/job/{id}"));
        assert_eq!(browser.get("/jobs").await.status, 200);
        let unknown = client.web_link(Some("zzzz"), false).await.unwrap_err();
        assert!(unknown.reason.contains("no job"), "{unknown:?}");
        // or shows that job to others, and nothing else,
        let link = client.web_link(Some(&id), true).await.unwrap();
        browser.enter(&link.url).await;
        assert_eq!(browser.get(&format!("/job/{id}")).await.status, 200);
        assert_eq!(browser.get("/jobs").await.status, 403);
        // as that of who may see only the job does.
        let link = DurableJob::from_client(seen.client.clone())
            .web_link()
            .await
            .unwrap();
        browser.enter(&link.url).await;
        assert_eq!(browser.get(&format!("/job/{id}")).await.status, 200);
        assert_eq!(browser.get("/").await.status, 303);
        assert_eq!(browser.get("/pool/pool").await.status, 403);
        let none = Submission::from_client(seen.client.clone());
        none.web_link(None, false).await.unwrap_err();
    });
}

#[test]
fn a_scheduler_without_pages_makes_no_links() {
    story(async {
        let site = Site::start().await;
        let (admin, _connected) = site.admin().await;
        let refused = admin.web_link(None).await.unwrap_err();
        assert!(refused.reason.contains("--web"), "{refused:?}");
    });
}

#[test]
fn secrets_cannot_be_guessed() {
    story(async {
        let site = start().await;
        let browser = stranger(&site);
        let mut last = 0;
        for _ in 0..30 {
            let link = format!("http://x/enter#{}", "0".repeat(64));
            last = browser.try_to_enter(&link).await.status;
        }
        assert_eq!(last, 429);
    });
}

#[test]
fn a_proxy_is_believed_only_where_it_is_trusted() {
    story(async {
        let with = |trusted: &'static str| {
            start_with(move |web| {
                web.proxy.user_header = Some("x-user".to_owned());
                web.proxy.trusted = vec![trusted.parse().unwrap()];
                web.proxy.admins = ["ann".to_owned()].into();
            })
        };
        let named = |site: &Site, user: &str| {
            let mut browser: Browser = stranger(site);
            browser.headers = format!("X-User: {user}\r\n");
            browser
        };
        let site = with("127.0.0.1").await;
        let (_alice, _connected) = site.client("alice").await;
        assert_eq!(named(&site, "ann").get("/audit").await.status, 200);
        assert_eq!(named(&site, "alice").get("/jobs").await.status, 200);
        assert_eq!(named(&site, "alice").get("/audit").await.status, 403);
        // Others that the proxy knows see names and numbers.
        assert_eq!(named(&site, "eve").get("/pool/pool").await.status, 200);
        assert_eq!(named(&site, "eve").get("/jobs").await.status, 403);
        assert_eq!(stranger(&site).get("/pool/pool").await.status, 403);
        drop(site);

        let site = with("10.0.0.0/8").await;
        assert_eq!(named(&site, "ann").get("/audit").await.status, 403);
        assert_eq!(operator(&site).await.get("/audit").await.status, 200);
    });
}
