//! A registry that wants tokens of another service, and sends those who have one to a third, as large ones do.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rig::{Layer, LayerFile, OciImage, OciLayout};

use crate::fake_registry::file;
use crate::service::Service;
use crate::support::{Machine, block_on};

/// The credentials `me:hush`, as they are stored and sent.
const PAIR: &str = "bWU6aHVzaA==";

/// Gives tokens to those who log in so, each another: 0, 1 and so on.
fn tokens(login: Option<String>) -> Service {
    let given = AtomicUsize::new(0);
    Service::start(Box::new(move |request, to| {
        if request.authorization != login {
            return say(to, "401 Unauthorized", "", b"");
        }
        let token = given.fetch_add(1, Ordering::SeqCst);
        say(
            to,
            "200 OK",
            "",
            format!(r#"{{"token":"{token}"}}"#).as_bytes(),
        )
    }))
}

/// Has the files of an image, for all but those who say who they are.
fn storage(folder: &Path) -> Service {
    let folder = folder.to_owned();
    Service::start(Box::new(move |request, to| {
        if request.authorization.is_some() {
            return say(to, "400 Bad Request", "", b"");
        }
        serve(to, &folder, &request.path)
    }))
}

/// Serves manifests for any token, and redirects to blobs for the second token: the first has expired by then.
fn registry(folder: &Path, tokens: &Service, storage: &Service) -> Service {
    let folder = folder.to_owned();
    let challenge = format!(
        "WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"lab\"\r\n",
        tokens.address
    );
    let storage = storage.address;
    Service::start(Box::new(move |request, to| {
        let path = &request.path;
        match request.authorization.as_deref() {
            Some("Bearer 0" | "Bearer 1") if path.contains("/manifests/") => {
                serve(to, &folder, path)
            }
            Some("Bearer 1") => {
                let location = format!("Location: http://{storage}{path}\r\n");
                say(to, "307 Temporary Redirect", &location, b"")
            }
            _ => say(to, "401 Unauthorized", &challenge, b""),
        }
    }))
}

fn serve(to: &mut dyn Write, folder: &Path, path: &str) -> std::io::Result<()> {
    let name = path.rsplit('/').next().unwrap_or_default();
    say(to, "200 OK", "", &std::fs::read(file(folder, name))?)
}

fn say(to: &mut dyn Write, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    to.write_all(&[head.as_bytes(), body].concat())
}

#[test]
fn tokens_come_from_the_address_that_the_registry_names() {
    for login in [None, Some(format!("Basic {PAIR}"))] {
        let machine = Machine::new();
        let folder = machine.path("layout");
        let layer = Layer::of(&[LayerFile::File("file", 0o644, b"")]).unwrap();
        OciLayout::write(&folder, "latest", &[OciImage::new(vec![layer])]).unwrap();
        let (tokens, storage) = (tokens(login.clone()), storage(&folder));
        let registry = registry(&folder, &tokens, &storage);
        if login.is_some() {
            let address = registry.address;
            let config = format!(r#"{{"auths":{{"{address}":{{"auth":"{PAIR}"}}}}}}"#);
            machine.write("config.json", config);
        }
        block_on(machine.fetch(&registry.image())).unwrap();
        assert_eq!(machine.names(), ["file"]);
        let token = "/token?scope=repository%3Aimage%3Apull&service=lab";
        assert_eq!(tokens.asked(), [token; 2]);
        // A config and a layer.
        assert_eq!(storage.asked().len(), 2);
        assert!(!machine.log.text().contains("hush"));
    }
}

#[test]
fn a_log_in_that_gives_no_token_is_refused() {
    let machine = Machine::new();
    let folder = machine.path("layout");
    let tokens = tokens(Some(format!("Basic {PAIR}")));
    let registry = registry(&folder, &tokens, &storage(&folder));
    let error = block_on(machine.fetch(&registry.image())).unwrap_err();
    assert!(
        error.to_string().contains("it requires authentication"),
        "{error}"
    );
}
