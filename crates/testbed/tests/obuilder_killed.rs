//! Kills `obuilder` at random moments of a build. The next start must clean up, and the same build then succeed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Filesystem, LoopDisk, Rig, busybox_rootfs, checked, traces};
use testbed::unique;

/// How often it is killed.
const KILLS: u32 = 50;

/// The longest delay between a random line of the log and the kill, in microseconds.
const MAX_DELAY: u32 = 8_000;

/// A store on a disk of its own, the program, and the source of its build.
struct Site {
    program: PathBuf,
    options: Vec<String>,
    store: PathBuf,
    folder: tempfile::TempDir,
    /// A mark in the name of the store, and in the environment of every process of the build.
    mark: String,
    _disk: LoopDisk,
}

impl Site {
    fn new(rig: &Rig, kind: &str, filesystem: Filesystem, options: &[&str]) -> Result<Self> {
        let disk = LoopDisk::new(filesystem, 1 << 30)?;
        let folder = tempfile::tempdir()?;
        let mark = unique("killed")?;
        let store = disk.path().join(&mark);
        let mut all = vec![format!("--store={kind}:{}", store.display())];
        all.push("--runtime=builtin".to_owned());
        all.extend(options.iter().map(|&option| option.to_owned()));
        let site = Self {
            program: rig.programs().join("obuilder"),
            options: all,
            store,
            folder,
            mark,
            _disk: disk,
        };
        busybox_rootfs(&site.path("base"))?;
        fs::create_dir_all(site.path("source/tree/sub"))?;
        fs::write(site.path("source/tree/a"), "a\n")?;
        fs::write(site.path("source/tree/sub/b"), "b\n")?;
        fs::write(site.path("spec"), spec(&site.mark))?;
        let base = site.path("base").display().to_string();
        site.run(&["image", "import", "base", &base])?;
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).args(&self.options);
        command
    }

    fn run(&self, args: &[&str]) -> Result<String> {
        checked(&mut self.command(args))
    }

    fn build(&self) -> Command {
        let mut build = self.command(&["build", "--color=never"]);
        let spec = self.path("spec");
        build.arg("-f").arg(spec).arg(self.path("source"));
        build
    }

    /// Starts a build, kills it, and returns the lines that it has printed.
    fn kill_build(&self, after: usize, delay: Duration) -> Result<Vec<String>> {
        let mut child = self
            .build()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        let lines: std::io::Result<Vec<String>> =
            BufReader::new(output).lines().take(after).collect();
        // The lines alone would mean a kill after each completed action, so this adds a random delay.
        std::thread::sleep(delay);
        child.kill()?;
        child.wait()?;
        Ok(lines?)
    }

    /// Returns the containers of the sandbox.
    fn containers(&self) -> BTreeSet<String> {
        names(&self.store.join("state/sandbox"))
            .filter(|name| name.starts_with("obuilder-"))
            .collect()
    }

    /// Checks that no process, mount or container is left.
    fn check_nothing_is_left(&self, containers: &BTreeSet<String>) -> Result<()> {
        let left = traces(&self.mark)?;
        ensure!(left.is_empty(), "left behind: {left:#?}");
        let left = self.containers();
        ensure!(left.is_empty(), "the sandbox still has {left:?}");
        for container in containers {
            let cgroups = traces(container)?;
            ensure!(cgroups.is_empty(), "there is still: {cgroups:#?}");
        }
        for dir in ["result-tmp", "cache-tmp", "work", "merged"] {
            let left: Vec<String> = names(&self.store.join(dir)).collect();
            ensure!(left.is_empty(), "in {dir} there is still {left:?}");
        }
        Ok(())
    }
}

/// Returns a spec with every kind of step. One leaves a cache in two halves if it is killed.
fn spec(mark: &str) -> String {
    format!(
        r#"((build tools
              ((from base) (env MARK {mark}) (shell /bin/sh -c)
               (run (shell "mkdir /out; echo made a tool; echo tool > /out/tool"))))
            (from base) (env MARK {mark}) (shell /bin/sh -c)
            (run (cache (halves (target /c)))
                 (shell "if [ -e /c/a ]; then cmp /c/a /c/b || exit 1; fi
                         cat /proc/sys/kernel/random/uuid > /c/a; echo one half; cp /c/a /c/b; echo both
                         echo first > /first"))
            (copy (src tree) (dst /))
            (run (shell "rm /first; echo removed; echo second > /second"))
            (copy (from (build tools)) (src /out) (dst /usr/))
            (run (cache (halves (target /c)))
                 (shell "cmp /c/a /c/b && test ! -e /first && cat /second /usr/out/tool /tree/a /tree/sub/b")))"#
    )
}

/// The output of the last step, and the content of the files.
const CONTENT: &str = "second\ntool\na\nb\n";

fn names(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// Returns the ids that a log reports as saved.
fn saved(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().filter_map(|line| {
        let id = line.strip_prefix("---> saved as ")?;
        Some(id.trim_matches('"'))
    })
}

/// Returns a log without the differences between new and cached steps.
fn without_history(log: &str) -> Vec<String> {
    // Lines that depend on what is cached, or on time.
    const HISTORY: [&str; 3] = ["Using the image ", "Unpacked ", "The step took "];
    let line = |line: &str| {
        let saved = line.strip_prefix("---> saved as ");
        let used = line.strip_prefix("---> using ");
        let used = used.and_then(|line| line.strip_suffix(" from cache"));
        saved
            .or(used)
            .map_or(line.to_owned(), |id| format!("---> {id}"))
    };
    let is_history = |line: &&str| HISTORY.iter().any(|begin| line.starts_with(begin));
    log.lines()
        .filter(|line| !is_history(line))
        .map(line)
        .collect()
}

fn killed(test: &str, kind: &str, filesystem: Filesystem, options: &[&str]) -> Result<()> {
    let Some(rig) = Rig::or_not_run(test) else {
        return Ok(());
    };
    if !rig::is_root() {
        rig::report_not_run(test, "root, to mount disks");
        return Ok(());
    }
    let site = Site::new(&rig, kind, filesystem, options)?;
    let whole = without_history(&checked(&mut site.build())?);
    let printed = whole.join("\n");
    ensure!(printed.contains("\none half\nboth\n"), "{printed}");
    ensure!(printed.contains(&format!("\n{CONTENT}---> ")), "{printed}");

    let mut state = 20_261_125_u32;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    for _ in 0..KILLS {
        site.run(&["clean"])?;
        let after = random(u32::try_from(whole.len())?) as usize;
        let delay = Duration::from_micros(random(MAX_DELAY).into());
        let before = site.kill_build(after, delay)?;
        let containers = site.containers();
        again(&site, &whole, &before, &containers)
            .with_context(|| format!("killed {delay:?} after {before:#?}"))?;
    }
    Ok(())
}

/// Builds after a kill, and checks the result.
fn again(
    site: &Site,
    whole: &[String],
    before: &[String],
    containers: &BTreeSet<String>,
) -> Result<()> {
    let log = checked(&mut site.build())?;
    site.check_nothing_is_left(containers)?;
    let now = without_history(&log);
    ensure!(now == whole, "{now:#?}");
    // Every result that the log reported as saved is used.
    for id in saved(before) {
        let used = format!("---> using \"{id}\" from cache");
        ensure!(log.contains(&used), "no {used:?} in {log}");
    }
    let id = log.lines().last().and_then(|line| line.split('"').nth(1));
    let archive = site.path("archive.tar").display().to_string();
    site.run(&["export", id.context("no result")?, "-o", &archive])?;
    let mut tar = Command::new("tar");
    tar.args([
        "-xOf",
        &archive,
        "--occurrence=1",
        "second",
        "usr/out/tool",
        "tree/a",
        "tree/sub/b",
    ]);
    let content: BTreeSet<String> = checked(&mut tar)?.lines().map(str::to_owned).collect();
    ensure!(
        content == CONTENT.lines().map(str::to_owned).collect(),
        "{content:?}"
    );
    site.check_nothing_is_left(containers)
}

#[test]
fn a_build_is_killed_on_overlayfs() -> Result<()> {
    killed(
        "a_build_is_killed_on_overlayfs",
        "overlayfs",
        Filesystem::Ext4,
        &[],
    )
}

#[test]
fn a_build_is_killed_on_btrfs() -> Result<()> {
    killed(
        "a_build_is_killed_on_btrfs",
        "btrfs",
        Filesystem::Btrfs,
        &[],
    )
}

#[test]
fn a_build_is_killed_on_xfs() -> Result<()> {
    killed("a_build_is_killed_on_xfs", "xfs", Filesystem::Xfs, &[])
}

#[test]
fn a_build_is_killed_with_rsync() -> Result<()> {
    killed(
        "a_build_is_killed_with_rsync",
        "rsync",
        Filesystem::Ext4,
        &["--rsync-mode=copy"],
    )
}
