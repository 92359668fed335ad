//! The worker's machine, as its metrics show it: free disk space and memory, and load.
//!
//! Everything is read on request. A file system on a server that is down never answers, and a thread that reads it
//! cannot be stopped. So a thread of its own measures each, and a scrape waits at most a second for it.

use std::cell::RefCell;
use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use obuilder::store::Space;
use tokio::sync::watch;

use crate::executor::Executors;

/// How long a scrape waits for a file system, and for an engine to report its directory: together, half of the time
/// that the scheduler waits for the worker.
const LIMIT: Duration = Duration::from_secs(1);

/// Measures the machine.
pub(crate) struct Machine {
    state_dir: PathBuf,
    /// The running measurements.
    probes: RefCell<Vec<Probe>>,
    measure: Measure,
}

/// The measurements.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct MachineStats {
    pub(crate) filesystems: Vec<Filesystem>,
    /// The load averages of the last 1, 5 and 15 minutes.
    pub(crate) load: Option<[f64; 3]>,
    pub(crate) memory: Option<Memory>,
    /// How many processors this process may use.
    pub(crate) cpus: Option<usize>,
}

impl MachineStats {
    /// Returns stats in which everything is known.
    pub(crate) fn example() -> Self {
        let filesystems = ["state", "docker", "obuilder"].map(|of| Filesystem {
            of,
            space: Some(Space {
                total: 0,
                free: 0,
                total_files: 0,
                free_files: 0,
            }),
        });
        Self {
            filesystems: filesystems.into(),
            load: Some([0.0; 3]),
            memory: Some(Memory::default()),
            cpus: Some(1),
        }
    }
}

/// A file system, by what it is used for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filesystem {
    pub(crate) of: &'static str,
    /// `None` if it did not answer.
    pub(crate) space: Option<Space>,
}

/// The machine's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    /// How much programs could get without swapping.
    pub(crate) available: u64,
}

impl Machine {
    pub(crate) fn new(state_dir: PathBuf) -> Self {
        Self::measuring(state_dir, Space::of)
    }

    fn measuring(state_dir: PathBuf, measure: Measure) -> Self {
        Self {
            state_dir,
            probes: RefCell::default(),
            measure,
        }
    }

    /// Measures everything, within two seconds.
    pub(crate) async fn read(&self, executors: &Executors) -> MachineStats {
        let mut directories = vec![("state", Some(self.state_dir.clone()))];
        for (name, backend) in executors.named_backends() {
            let known = tokio::time::timeout(LIMIT, backend.directory()).await;
            directories.push((name, known.unwrap_or_default()));
        }
        let measured = directories.into_iter().map(async |(of, path)| {
            let space = match self.probe(&path?).await {
                // The engine may be on another machine, or outside of the worker's container.
                Answer::Missing => return None,
                Answer::Space(space) => Some(space),
                Answer::None => None,
            };
            Some(Filesystem { of, space })
        });
        MachineStats {
            filesystems: join_all(measured).await.into_iter().flatten().collect(),
            load: load(),
            memory: memory(),
            cpus: std::thread::available_parallelism().ok().map(usize::from),
        }
    }

    /// Measures a file system. Joins a measurement that is still running.
    fn probe(&self, path: &Path) -> impl Future<Output = Answer> + use<> {
        let mut probes = self.probes.borrow_mut();
        // Finished ones are not needed any more, nor those whose thread has died, which will not answer.
        probes
            .retain(|probe| probe.answer.borrow().is_none() && probe.answer.has_changed().is_ok());
        let known = probes.iter().find(|probe| probe.path == path);
        let mut answer = match known {
            Some(probe) => probe.answer.clone(),
            None => {
                let answer = start(path.to_owned(), self.measure);
                probes.push(Probe {
                    path: path.to_owned(),
                    answer: answer.clone(),
                });
                answer
            }
        };
        async move {
            let answered = tokio::time::timeout(LIMIT, answer.wait_for(Option::is_some)).await;
            match answered {
                Ok(Ok(answer)) => (*answer).unwrap_or(Answer::None),
                // It hangs, or no thread could be started.
                Err(_) | Ok(Err(_)) => Answer::None,
            }
        }
    }
}

/// A file system that is being measured.
struct Probe {
    path: PathBuf,
    answer: watch::Receiver<Option<Answer>>,
}

/// The result of a measurement.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Space(Space),
    /// There is no such directory.
    Missing,
    None,
}

/// Measures a file system. Tests replace it.
type Measure = fn(&Path) -> io::Result<Space>;

/// Measures a file system on a thread of its own.
fn start(path: PathBuf, measure: Measure) -> watch::Receiver<Option<Answer>> {
    let (sender, answer) = watch::channel(None);
    let measuring = move || {
        let answer = match measure(&path) {
            Ok(space) => Answer::Space(space),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Answer::Missing,
            Err(error) => {
                tracing::debug!(
                    "Cannot measure the file system of {}: {error}",
                    path.display()
                );
                Answer::None
            }
        };
        sender.send_replace(Some(answer));
    };
    // Not on a thread of the runtime, which waits for its threads when the worker ends.
    let started = std::thread::Builder::new()
        .name("disk probe".into())
        .spawn(measuring);
    if let Err(error) = started {
        tracing::warn!("Cannot start a thread to measure a file system: {error}");
    }
    answer
}

fn load() -> Option<[f64; 3]> {
    parse_load(&fs::read_to_string("/proc/loadavg").ok()?)
}

fn parse_load(text: &str) -> Option<[f64; 3]> {
    let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

fn memory() -> Option<Memory> {
    parse_memory(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_memory(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    Some(Memory {
        total: bytes("MemTotal:")?,
        available: bytes("MemAvailable:")?,
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::{Condvar, Mutex};

    use super::*;
    use crate::executor::OBuilderRefusal;
    use crate::testing::cluster::MockBuilder;
    use crate::testing::local;

    fn no_executors() -> Executors {
        Executors {
            docker: Rc::new(MockBuilder::default()),
            obuilder: Rc::new(OBuilderRefusal),
            custom: Rc::new(OBuilderRefusal),
        }
    }

    #[test]
    fn this_machine() {
        local(async {
            let stats = Machine::new("/".into()).read(&no_executors()).await;
            let [Filesystem { of, space }] = &stats.filesystems[..] else {
                panic!("{stats:?}")
            };
            let space = space.unwrap();
            assert!(space.total >= space.free && space.total > 0);
            assert_eq!(*of, "state");
            assert!(stats.cpus > Some(0) && stats.load.is_some());
            let memory = stats.memory.unwrap();
            assert!(memory.total > memory.available && memory.available > 0);
            let missing = Machine::new("/nosuch".into()).read(&no_executors()).await;
            assert_eq!(missing.filesystems, []);
        });
    }

    /// Whether the file system answers again, and the threads that wait for that.
    static ANSWERS: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    fn when_it_answers_again(_: &Path) -> io::Result<Space> {
        let (answers, waiting) = &ANSWERS;
        let hanging = waiting.wait_while(answers.lock().unwrap(), |answers| !*answers);
        drop(hanging.unwrap());
        Ok(Space {
            total: 2,
            free: 1,
            total_files: 0,
            free_files: 0,
        })
    }

    #[test]
    fn a_file_system_that_hangs_does_not_block_and_is_read_once() {
        local(async {
            let machine = Machine::measuring("/".into(), when_it_answers_again);
            let executors = no_executors();
            for _ in 0..2 {
                let reads = futures::join!(machine.read(&executors), machine.read(&executors));
                for read in [reads.0, reads.1] {
                    let hanging = Filesystem {
                        of: "state",
                        space: None,
                    };
                    assert_eq!(read.filesystems, [hanging]);
                }
            }
            assert_eq!(machine.probes.borrow().len(), 1, "by one thread, in all");
            *ANSWERS.0.lock().unwrap() = true;
            ANSWERS.1.notify_all();
            let seen = machine.read(&executors).await;
            assert!(seen.filesystems[0].space.is_some());
        });
    }

    #[test]
    fn a_failed_measurement_is_repeated() {
        local(async {
            let mut machine = Machine::measuring("/".into(), |_| panic!("no thread"));
            let executors = no_executors();
            let seen = machine.read(&executors).await;
            assert_eq!(seen.filesystems[0].space, None);
            machine.measure = Space::of;
            let seen = machine.read(&executors).await;
            assert!(seen.filesystems[0].space.is_some());
        });
    }

    #[test]
    fn files_of_the_kernel_are_parsed() {
        assert_eq!(
            parse_load("0.52 1.10 2.00 3/423 12345\n"),
            Some([0.52, 1.1, 2.0])
        );
        assert_eq!(parse_load("x"), None);
        let text = "MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    1024 kB\n";
        let memory = Memory {
            total: 2 << 20,
            available: 1 << 20,
        };
        assert_eq!(parse_memory(text), Some(memory));
        assert_eq!(parse_memory("MemTotal: 5 kB\n"), None);
    }
}
