//! The pages of a scheduler, as browsers get them.

mod acting;
mod browser;
mod entering;
mod following;
mod hostile;
mod logs;
mod sight;

use cluster_web::access::ProxySettings;
use cluster_web::{WebLimits, WebSettings};
use testkit::Site;

use self::browser::Browser;

/// How the pages of these stories are served.
fn settings() -> WebSettings {
    WebSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        url: None,
        public_queue: false,
        proxy: ProxySettings::default(),
        limits: WebLimits::default(),
    }
}

/// Starts a scheduler with pages.
async fn start_with(adjust: impl FnOnce(&mut WebSettings)) -> Site {
    let mut web = settings();
    adjust(&mut web);
    Site::start_with(|config| config.web = Some(web)).await
}

async fn start() -> Site {
    start_with(|_| ()).await
}

/// Returns a browser of a visitor without a link.
fn stranger(site: &Site) -> Browser {
    Browser::new(site.scheduler().web_address().unwrap())
}

/// Returns a browser in which an operator has used a link.
async fn operator(site: &Site) -> Browser {
    let (admin, _connected) = site.admin().await;
    admin.identify("ann@desk").await.unwrap();
    let link = admin.web_link(None).await.unwrap();
    let mut browser = stranger(site);
    browser.enter(&link.url).await;
    browser
}
