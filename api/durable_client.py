"""Submits a Dockerfile as a job that the scheduler keeps, and follows it, perhaps from another process or machine:

    durable_client.py CAP-FILE submit POOL DOCKERFILE      prints the id of the job
    durable_client.py CAP-FILE follow ID                   shows its log, also if it has ended

client.py has the connection, and what both need.
"""

import pathlib
import sys
import uuid

import capnp
from client import HERE, connect, run

extensions = capnp.load(str(HERE / "extensions.capnp"))


async def submit(jobs, pool, dockerfile):
    request = extensions.DurableJobs.Request.new_message(pool=pool)
    request.descr.action.init("dockerBuild").dockerfile.contents = pathlib.Path(dockerfile).read_text()
    # After a lost connection, submit it again with the same key: that makes no second job.
    request.key = str(uuid.uuid4())
    request.init("labels", 1)[0].name = "from"
    request.labels[0].value = "python"
    # It does not need this program to go on.
    request.unwatched.continues = None
    # Answered when it is on the scheduler's disk.
    print((await jobs.submit(request)).id)


async def follow(jobs, job_id):
    job = (await jobs.find(job_id, False)).job
    attempt, start = 1, 0
    while True:
        answer = await job.log(attempt, start)
        if answer.log:
            sys.stdout.buffer.write(answer.log)
            sys.stdout.flush()
            start = answer.next
            continue
        # The end of the log of this attempt. If it was lost with its worker, another one follows.
        status = (await job.status()).status
        while (latest := newer(status, attempt)) is None:
            status = (await job.watch(status.version)).status
        if latest == attempt:
            print("Outcome:", status.ended.outcome)
            return
        attempt, start = attempt + 1, 0


def newer(status, attempt):
    """Returns the latest attempt if it is a newer one, or if the job has ended; None while neither is known."""
    which = status.which()
    if which == "queued":
        return None
    latest = getattr(status, which).attempt
    return max(latest, attempt) if which == "ended" or latest > attempt else None


async def main(cap_file, command, *args):
    # On the same object as Submission. A scheduler of upstream's answers "unimplemented".
    service = await connect(pathlib.Path(cap_file).read_text())
    await {"submit": submit, "follow": follow}[command](service.cast_as(extensions.DurableJobs), *args)


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
