//! What a fake does: played from a script that a test writes beforehand or while it runs.

use std::path::Path;
use std::rc::Rc;

use obuilder::Sink;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The test's end of a script.
pub(crate) struct Script {
    orders: mpsc::UnboundedSender<Order>,
    started: CancellationToken,
    cancelled: CancellationToken,
}

/// The fake's end of it.
pub(crate) struct Role {
    orders: mpsc::UnboundedReceiver<Order>,
    started: CancellationToken,
    cancelled: CancellationToken,
    is_slow_to_stop: bool,
}

enum Order {
    Print(String),
    PrintAnyway(String),
    Write(&'static str, String),
    Append {
        from: &'static str,
        to: &'static str,
    },
    Panic,
    Exit(i32),
}

/// How it ended.
pub(crate) enum Ended {
    Exit(i32),
    Cancelled,
    LogBroken(std::io::Error),
}

impl Script {
    /// Returns both ends. One that is slow to stop waits for [`exit`](Self::exit) when it is cancelled, and succeeds
    /// after all if that is with 0.
    pub(crate) fn new(is_slow_to_stop: bool) -> (Self, Role) {
        let (sender, orders) = mpsc::unbounded_channel();
        let (started, cancelled) = (CancellationToken::new(), CancellationToken::new());
        let script = Self {
            orders: sender,
            started: started.clone(),
            cancelled: cancelled.clone(),
        };
        let role = Role {
            orders,
            started,
            cancelled,
            is_slow_to_stop,
        };
        (script, role)
    }

    fn order(&self, order: Order) -> &Self {
        assert!(self.orders.send(order).is_ok(), "it has ended already");
        self
    }

    /// Prints.
    pub(crate) fn print(&self, text: &str) -> &Self {
        self.order(Order::Print(text.to_owned()))
    }

    /// Prints, and does not mind if that fails.
    pub(crate) fn print_anyway(&self, text: &str) -> &Self {
        self.order(Order::PrintAnyway(text.to_owned()))
    }

    /// Writes a file of the root filesystem.
    pub(crate) fn write(&self, file: &'static str, text: &str) -> &Self {
        self.order(Order::Write(file, text.to_owned()))
    }

    /// Writes a file: another one twice.
    pub(crate) fn double(&self, from: &'static str, to: &'static str) -> &Self {
        self.order(Order::Append { from, to })
    }

    /// Panics.
    pub(crate) fn panic(&self) -> &Self {
        self.order(Order::Panic)
    }

    /// Ends.
    pub(crate) fn exit(&self, status: i32) -> &Self {
        self.order(Order::Exit(status))
    }

    /// Waits until it has begun.
    pub(crate) async fn started(&self) {
        self.started.cancelled().await;
    }

    /// Waits until it was asked to stop.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Returns whether it was asked to stop.
    pub(crate) fn was_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}

impl Role {
    /// Plays it.
    pub(crate) async fn play(
        mut self,
        rootfs: &Path,
        output: &dyn Sink,
        cancel: &CancellationToken,
    ) -> Ended {
        self.started.cancel();
        loop {
            let order = tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    self.cancelled.cancel();
                    while self.is_slow_to_stop {
                        match self.orders.recv().await {
                            Some(Order::Exit(0)) => return Ended::Exit(0),
                            Some(Order::Exit(_)) | None => break,
                            Some(_) => {}
                        }
                    }
                    return Ended::Cancelled;
                }
                order = self.orders.recv() => order,
            };
            let read = |file: &str| std::fs::read_to_string(rootfs.join(file)).unwrap();
            match order {
                Some(Order::Print(text)) => {
                    if let Err(error) = output.write(text.as_bytes()) {
                        return Ended::LogBroken(error);
                    }
                }
                Some(Order::PrintAnyway(text)) => {
                    output.write(text.as_bytes()).unwrap_err();
                }
                Some(Order::Write(file, text)) => std::fs::write(rootfs.join(file), text).unwrap(),
                Some(Order::Append { from, to }) => {
                    std::fs::write(rootfs.join(to), read(from) + &read(from)).unwrap();
                }
                Some(Order::Panic) => panic!("as the script says"),
                Some(Order::Exit(status)) => return Ended::Exit(status),
                None => panic!("the script has no end"),
            }
        }
    }
}

/// What is expected, each with its role. Of two with one name the first comes first.
pub(crate) struct Expected {
    kind: &'static str,
    queue: std::cell::RefCell<std::collections::VecDeque<(String, Role)>>,
}

impl Expected {
    pub(crate) fn new(kind: &'static str) -> Rc<Self> {
        Rc::new(Self {
            kind,
            queue: std::cell::RefCell::default(),
        })
    }

    pub(crate) fn push(&self, name: &str, role: Role) {
        self.queue.borrow_mut().push_back((name.to_owned(), role));
    }

    pub(crate) fn take(&self, name: &str) -> Role {
        let mut queue = self.queue.borrow_mut();
        let known = queue.iter().position(|(expected, _)| expected == name);
        match known.and_then(|known| queue.remove(known)) {
            Some((_, role)) => role,
            None => panic!("{}: {name:?} was not expected", self.kind),
        }
    }

    /// No longer expects something, if it has not come.
    pub(crate) fn forget(&self, name: &str) {
        self.queue
            .borrow_mut()
            .retain(|(expected, _)| expected != name);
    }

    /// Fails if something never came.
    pub(crate) fn check(&self) {
        let queue = self.queue.borrow();
        let names: Vec<&String> = queue.iter().map(|(name, _)| name).collect();
        assert!(names.is_empty(), "{}: never came: {names:?}", self.kind);
    }
}
