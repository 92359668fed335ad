//! A worker with two custom kinds of jobs: `custom-builder CAP NAME STATE_DIR`.

use cluster_worker::{CustomExecutor, Ending, Environment, JobError, RunningJob, WorkerConfig};

/// `factor` finds the prime factors of the number in its payload.
struct Factor;

impl CustomExecutor for Factor {
    async fn run(&self, job: RunningJob<'_>) -> Result<String, JobError> {
        let text = job.payload.to_text().unwrap_or_default();
        let number = text.trim().parse::<u64>();
        let mut rest = number.map_err(|error| JobError::failed(format!("{text:?}: {error}")))?;
        let (mut factors, mut factor) = (Vec::new(), 2);
        while factor <= rest / factor {
            if factor % 10_000 == 0 {
                tokio::task::yield_now().await; // lets other jobs run
                if job.cancel.is_cancelled() {
                    return Err(JobError::Cancelled);
                }
            }
            if rest % factor == 0 {
                job.log.line(format!("{factor} divides {rest}"))?;
                factors.push(factor.to_string());
                rest /= factor;
            } else {
                factor += 1;
            }
        }
        factors.push(rest.to_string());
        Ok(factors.join(" "))
    }
}

/// `script` runs the shell script in its payload, in a checkout of the job's commits.
struct Script;

impl CustomExecutor for Script {
    async fn run(&self, job: RunningJob<'_>) -> Result<String, JobError> {
        let script = job.payload.to_text().unwrap_or_default();
        job.run(&job.command("sh", ["-e"]).reading(script)).await?;
        Ok(String::new())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let [cap, name, dir] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: custom-builder CAP NAME STATE_DIR");
    };
    let environment = Environment::from_vars(std::env::vars_os());
    let mut config = WorkerConfig::new(name.parse()?, dir, environment);
    config.custom.add("factor", Factor)?;
    config.custom.add("script", Script)?;
    let ctrl_c = async { (tokio::signal::ctrl_c().await, Ending::AtOnce).1 };
    let worker = cluster_worker::run(config, vat::cap_file::load(cap)?, ctrl_c);
    tokio::task::LocalSet::new().run_until(worker).await?;
    Ok(())
}
