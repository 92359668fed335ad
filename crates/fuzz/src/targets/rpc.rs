//! Whole conversations: a peer begins as a legal one and then sends anything, which must not affect other peers.
//!
//! Everything runs in this process, over real sockets, so that all layers are tested: the transport, the RPC system
//! and the services. A scheduler serves many inputs before it is replaced.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;
use vat::{DialOptions, Dialer};

use crate::dial::{WAIT_LIMIT, at_socket};
use crate::input::Input;
use crate::kept_work::{KeptWork, PLACEHOLDER};
use crate::observer::panics;
use crate::party::Party;
use crate::script::Script;
use crate::site::Site;
use crate::wire::take_frames;

/// How many inputs one scheduler serves. What they leave in its database must not affect later ones.
const INPUTS: u32 = 2000;

/// How long to wait for an answer that may never come.
const ANSWER_LIMIT: Duration = Duration::from_millis(3);

/// How many answers may be missing before the peer stops waiting for them.
const MAX_LOST_ANSWERS: u32 = 3;

/// How many inputs there are between two jobs of a bystander, which take longer than most inputs.
const INPUTS_PER_JOB: u32 = 16;

struct World {
    runtime: Runtime,
    tasks: LocalSet,
    site: Site,
    inputs: u32,
}

thread_local! {
    /// Not dropped at the end of the thread, which is too late for a runtime: [`end`] drops it.
    static WORLD: RefCell<Option<ManuallyDrop<World>>> = const { RefCell::new(None) };
}

impl World {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let tasks = LocalSet::new();
        let site = tasks.block_on(&runtime, Site::start());
        Self {
            runtime,
            tasks,
            site,
            inputs: 0,
        }
    }

    fn end(self) {
        self.tasks.block_on(&self.runtime, self.site.end());
    }
}

/// Stops the scheduler, for a program that continues.
pub(super) fn end() {
    if let Some(world) = WORLD.take() {
        ManuallyDrop::into_inner(world).end();
    }
}

/// Runs something with a scheduler. The flag is set if a bystander should submit a job, too.
fn with_site(run: impl AsyncFnOnce(&Site, bool)) {
    let before = panics();
    let world = WORLD.take().map(ManuallyDrop::into_inner);
    let mut world = match world {
        Some(world) if world.inputs < INPUTS => world,
        old => {
            if let Some(old) = old {
                old.end();
            }
            World::start()
        }
    };
    world.inputs += 1;
    let with_job = world.inputs % INPUTS_PER_JOB == 1;
    world
        .tasks
        .block_on(&world.runtime, run(&world.site, with_job));
    assert_eq!(panics(), before, "a panic was caught");
    WORLD.set(Some(ManuallyDrop::new(world)));
}

/// A scheduler, and a peer that sends anything.
pub(super) fn server(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (place, party) = Party::named(input.byte());
    with_site(async |site, with_job| {
        let mut script = Script::of(&site.asking[place], &site.asking, &mut input);
        let job = (party == Party::Worker).then(|| site.give_work());
        let kept = site.kept_work(party).await;
        if let Some(kept) = &kept {
            script.rename(PLACEHOLDER, &kept.id);
        }
        let stream = UnixStream::connect(&site.socket)
            .await
            .expect("a peer can connect");
        play(stream, &script).await;
        drop(job);
        let released = kept.map(KeptWork::release);
        site.settle().await;
        if let Some(released) = released {
            site.check(released).await;
        }
        if with_job {
            site.work().await;
        }
    });
}

/// A client, a worker or an operator, and a scheduler that sends anything.
pub(super) fn client(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (place, party) = Party::named(input.byte());
    with_site(async |site, _| {
        let script = Script::of(&site.serving_side[place], &site.serving_side, &mut input);
        let path = site.socket.with_file_name("hostile");
        let listener = UnixListener::bind(&path).expect("a socket to listen at");
        let playing = async {
            let (stream, _) = listener.accept().await.expect("the party connects");
            play(stream, &script).await;
        };
        let acting = async {
            let sturdy_ref = at_socket(path.clone());
            if let Ok(session) = Dialer::new(DialOptions::default())
                .connect(&sturdy_ref)
                .await
            {
                party.act(session.bootstrap(), PLACEHOLDER).await;
            }
        };
        let both = async { tokio::join!(playing, acting) };
        let ended = timeout(WAIT_LIMIT, both).await;
        std::fs::remove_file(&path).expect("a socket can be removed");
        assert!(ended.is_ok(), "the party waits for a closed connection");
        site.settle().await;
    });
}

/// Sends the messages of a script, and closes the connection.
async fn play(mut stream: UnixStream, script: &Script) {
    let (mut count_received, mut lost) = (0, 0);
    let (mut received, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    for message in &script.messages {
        while !script.reads_nothing && count_received < message.after && lost < MAX_LOST_ANSWERS {
            match timeout(ANSWER_LIMIT, stream.read(&mut buffer)).await {
                Ok(Ok(count @ 1..)) => {
                    received.extend_from_slice(&buffer[..count]);
                    count_received += take_frames(&mut received).len();
                }
                Ok(_) => return,
                Err(_) => lost += 1,
            }
        }
        // The other side does not read forever from a peer that reads nothing.
        match timeout(10 * ANSWER_LIMIT, stream.write_all(&message.bytes)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
    // The answers to the last messages come before the connection is closed.
    while let Ok(Ok(1..)) = timeout(ANSWER_LIMIT, stream.read(&mut buffer)).await {}
}
