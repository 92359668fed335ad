//! Whole conversations: a peer begins as a legal one and then says anything, and nobody else notices.
//!
//! Everything is in this process and goes through real sockets, so that what is tried is what runs: the transport,
//! the RPC system, the services. A scheduler serves many inputs, and is started anew now and then.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;
use vat::{DialOptions, Dialer};

use crate::input::Input;
use crate::observer::panics;
use crate::script::Script;
use crate::site::{PATIENCE, Site, act, at_socket};
use crate::wire::take_frames;

/// How many inputs one scheduler serves: what they leave in its database must not change what others do.
const INPUTS: u32 = 2000;

/// How long to wait for an answer that may never come.
const ANSWER: Duration = Duration::from_millis(3);

/// How many answers may fail to come before none is waited for.
const LOST_ANSWERS: u32 = 3;

/// How often a bystander has a job done: it takes longer than most inputs.
const INPUTS_PER_JOB: u32 = 16;

struct World {
    runtime: Runtime,
    tasks: LocalSet,
    site: Site,
    inputs: u32,
}

thread_local! {
    /// Not dropped when the thread ends, which is too late for what a runtime does then: [`end`] is for that.
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

/// Ends what the targets here have started, for a program that goes on.
pub(super) fn end() {
    if let Some(world) = WORLD.take() {
        ManuallyDrop::into_inner(world).end();
    }
}

/// Runs something with a scheduler; the flag says whether a bystander should have a job done.
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
    let is_time_to_work = world.inputs % INPUTS_PER_JOB == 1;
    world
        .tasks
        .block_on(&world.runtime, run(&world.site, is_time_to_work));
    assert_eq!(
        panics(),
        before,
        "something panicked, and somebody caught it"
    );
    WORLD.set(Some(ManuallyDrop::new(world)));
}

/// A scheduler, and a peer that says anything.
pub(super) fn server(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let party = usize::from(input.byte()) % 3;
    with_site(async |site, is_time_to_work| {
        let script = Script::of(&site.asking[party], &site.asking, &mut input);
        let job = (party == 1).then(|| site.give_work());
        let stream = UnixStream::connect(&site.socket)
            .await
            .expect("a stranger can connect");
        play(stream, &script).await;
        drop(job);
        site.settle().await;
        if is_time_to_work {
            site.work().await;
        }
    });
}

/// A client, a worker or an operator, and a scheduler that says anything.
pub(super) fn client(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let party = usize::from(input.byte()) % 3;
    with_site(async |site, _| {
        let script = Script::of(&site.serving_side[party], &site.serving_side, &mut input);
        let path = site.socket.with_file_name("hostile");
        let listener = UnixListener::bind(&path).expect("a socket to listen at");
        let playing = async {
            let (stream, _) = listener.accept().await.expect("somebody connects");
            play(stream, &script).await;
        };
        let acting = async {
            let sturdy_ref = at_socket(path.clone());
            if let Ok(session) = Dialer::new(DialOptions::default())
                .connect(&sturdy_ref)
                .await
            {
                act(party, session.bootstrap()).await;
            }
        };
        let both = async { tokio::join!(playing, acting) };
        let ended = timeout(PATIENCE, both).await;
        std::fs::remove_file(&path).expect("a socket can be removed");
        assert!(
            ended.is_ok(),
            "somebody waits for a connection that is closed"
        );
        site.settle().await;
    });
}

/// Says what is in a script, and closes the connection.
async fn play(mut stream: UnixStream, script: &Script) {
    let (mut heard, mut lost) = (0, 0);
    let (mut received, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    for line in &script.lines {
        while !script.is_deaf && heard < line.after && lost < LOST_ANSWERS {
            match timeout(ANSWER, stream.read(&mut buffer)).await {
                Ok(Ok(count @ 1..)) => {
                    received.extend_from_slice(&buffer[..count]);
                    heard += take_frames(&mut received).len();
                }
                Ok(_) => return,
                Err(_) => lost += 1,
            }
        }
        // One who reads nothing is not read from for ever either.
        match timeout(10 * ANSWER, stream.write_all(&line.bytes)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
    // What was asked last is heard of before it is too late.
    while let Ok(Ok(1..)) = timeout(ANSWER, stream.read(&mut buffer)).await {}
}
