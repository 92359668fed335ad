@0xe227d4dabadb2f0c;
# What our programs offer beyond upstream's schema.
#
# A peer that does not know these interfaces answers calls to them with an `unimplemented` exception, and the caller
# works without them. They are called by interface id on a capability that the caller has already, so upstream's schema
# did not have to change.

using Cluster = import "schema.capnp";

interface TicketStatus {
  # The status of a ticket, for clients that show it. Every ticket of our scheduler implements this.

  status @0 () -> Status;
  # Returns the status of the ticket at once.

  struct Status {
    # The status of a ticket.

    union {
      queued :group {
        # In the pool's backlog: no worker has been chosen for it yet.

        ahead @0 :UInt32;
        # The number of tickets before it in the backlog.

        obstacle @5 :Text;
        # Why no worker takes jobs, if none does; absent when some do.
      }

      assigned :group {
        # In the local queue of a worker, which has not taken it yet.

        worker @1 :Text;
        # The name of that worker.

        ahead @2 :UInt32;
        # The number of tickets before it in that queue.
      }

      running :group {
        # Taken by a worker.

        worker @3 :Text;
        # The name of that worker.
      }

      finished @4 :Void;
      # The job has ended, successfully or not.
    }
  }
}

interface TemporaryPause {
  # Pauses that end when the worker reconnects, unlike those by `PoolAdmin.setActive`. Every pool of our scheduler
  # implements this, on the same object as `PoolAdmin`.

  pauseWorker @0 (worker :Text, paused :Bool) -> ();
  # Pauses a connected worker, or ends such a pause. It finishes its jobs, and gets no more until this is called again,
  # `PoolAdmin.setActive` makes it active, or it reconnects. Fails with "Unknown worker" when it is not connected.
}

interface PoolDetails {
  # The details of a pool for operators, as data. Every pool of our scheduler implements this, on the same object as
  # `PoolAdmin`. All times are durations until now, in milliseconds.

  details @0 () -> (details :Details);
  # Returns the details of the pool and all its workers.

  workerDetails @1 (worker :Text) -> (details :Worker);
  # Returns the details of one worker. Fails with "Unknown worker" when there is none of that name.

  struct Details {
    # A pool at one moment.

    workers @0 :List(Worker);
    # The known workers, connected or not, in the order of their names.

    backlog @1 :UInt32;
    # The number of tickets that wait for any worker.

    oldestWait @2 :UInt64;
    # The waiting time of the oldest ticket that no worker has taken. 0 when there is none.

    clients @3 :List(Client);
    # The clients that have submitted a job since the scheduler started, in the order of their names.
  }

  struct Worker {
    # A known worker: one that has registered, and was not forgotten.

    name @0 :Text;
    # The name it registers with.

    paused @1 :Bool;
    # Whether an operator has paused it, with a pause that lasts across reconnects.

    registrations @2 :UInt64;
    # The number of its registrations since the scheduler started.

    union {
      neverSeen @3 :Void;
      # It has not been connected since the scheduler started.

      left @4 :UInt64;
      # It is not connected. It disconnected this long ago.

      connected @5 :Connected;
      # It is registered now.
    }
  }

  struct Connected {
    # A worker that is registered now.

    registeredFor @0 :UInt64;
    # How long it has been registered.

    address @1 :Text;
    # Its address.

    capacity @2 :UInt32;
    # The number of jobs that it runs at once, as it reported.

    inactive @3 :List(InactiveReason);
    # Why it gets no jobs. It gets jobs when this is empty.

    silentFor @4 :UInt64;
    # How long the scheduler has waited for an answer to its probe, and received nothing else from the worker. 0 when it
    # does not wait for one. Short times are normal.

    queued @5 :UInt32;
    # The number of tickets in its queue.

    workload @6 :UInt64;
    # The sum of their expected costs.

    finished @7 :UInt64;
    # The number of jobs that have ended on it since it registered, successfully or not.

    running @8 :List(Job);
    # The jobs that it runs, the oldest first.

    pauseReasons @9 :List(PauseReason);
    # Why it pauses itself, as it reported. Empty when it does not, or did not report it.
  }

  enum InactiveReason {
    workerPause @0;
    # It paused itself, to make room for example.

    adminPause @1;
    # An operator paused it, until it is unpaused.

    temporaryPause @2;
    # An operator paused it, until it reconnects.

    shuttingDown @3;
    # It is about to be updated.

    notAnswering @4;
    # It is connected, but unresponsive. This ends when it answers.
  }

  struct Job {
    # A job that a worker has taken.

    ticket @0 :UInt64;
    # The number of its ticket, which is also in the scheduler's log.

    client @1 :Text;
    # The client that submitted it.

    cacheHint @2 :Text;
    # Its cache hint, which may be any text. Empty when it has none.

    urgent @3 :Bool;
    # Whether it was urgent.

    runningFor @4 :UInt64;
    # How long ago the worker took it.
  }

  struct Client {
    # A client of this pool.

    id @0 :Text;
    # Its id.

    rate @1 :Float64;
    # Its share of the pool.

    queued @2 :UInt32;
    # The number of its tickets that no worker has taken, urgent or not.

    urgent @3 :UInt32;
    # The number of urgent ones among them.
  }
}

interface Persistent @0xc8cb212fcd9f5691 {
  # A capability that can be used again after reconnecting. This is Cap'n Proto's standard interface, with parameters of
  # any type. The submissions of clients in the scheduler's database implement it.

  save @0 (sealFor :AnyPointer) -> (sturdyRef :AnyPointer);
  # Returns a sturdy ref: a Text with a "capnp://" URI that leads to the same capability. It is a
  # secret. `sealFor` is ignored.
}

interface ExtendedTicket extends(Cluster.Ticket, TicketStatus, TicketNumber, Explained) {}
# A ticket as our scheduler serves it. Only for the server's use: clients call the interfaces apart.

interface PauseReasons {
  # The reasons why a worker pauses itself, which `Queue.setActive` does not have. Every queue of our scheduler
  # implements this, on the same object as `Queue`.

  setPauseReasons @0 (reasons :List(PauseReason)) -> ();
  # Replaces the reasons why this worker takes no jobs. It is called just before the `setActive` that it explains,
  # with an empty list for a worker that takes jobs.
}

struct PauseReason {
  # A reason why a worker pauses itself. All texts are short: a worker with longer ones is refused.

  kind @0 :Text;
  # A word for programs, such as "docker" or "state-disk". A reason always has the same word.

  problem @1 :Text;
  # The problem, for people.

  advice @2 :Text;
  # What an operator can do about it. Empty when the problem goes away by itself.
}

interface ExtendedPoolAdmin extends(Cluster.PoolAdmin, TemporaryPause, PoolDetails, PoolControl, PoolExplanations) {}
# A pool's administration as our scheduler serves it. Only for the server's use: clients call the interfaces apart.

interface PersistentSubmission extends(Cluster.Submission, Persistent, DurableJobs, ClientPages) {}
# A submission as the scheduler serves it. Only for the server's use: clients call the two interfaces apart.

interface TicketNumber @0xb4d1c9e07a3f5286 {
  # The number of a ticket, as it is in the scheduler's log and in `PoolDetails.Job`, and by which operators name a job.
  # Every ticket of our scheduler implements this.

  number @0 () -> (number :UInt64);
  # Returns the number of the ticket at once. It is unique in its pool since the scheduler started.
}

interface ExtendedQueue extends(Cluster.Queue, PauseReasons, DurableQueue, PrunedCaches) {}
# A queue as our scheduler serves it. Only for the server's use: workers call the interfaces apart.

interface PoolControl @0xfa531e7cec24d80a {
  # Additions to upstream's `PoolAdmin`: who paused a worker and why, and jobs by number. Every pool of our scheduler
  # implements this, on the same object as `PoolAdmin`. All times are durations until now, in milliseconds.

  overview @0 (most :UInt32) -> (overview :Overview);
  # Returns an overview of the pool, with at most `most` jobs of each queue.

  pause @1 (worker :Text, by :Text, note :Text, autoCreate :Bool, untilReconnect :Bool) -> ();
  # Pauses a worker as `PoolAdmin.setActive` does, or with `untilReconnect` as `TemporaryPause.pauseWorker` does, and
  # stores who paused it and why. If it is paused already, a note that is not empty replaces the old one. With
  # `autoCreate`, the worker may be one that has never registered.

  cancel @2 (ticket :UInt64, by :Text) -> (worker :Text);
  # Cancels a job, and returns the name of the worker that ran it; empty if it was queued. Fails if no such job is
  # queued or running.

  struct Overview {
    # A pool at one moment.

    state @0 :Text;
    # The text of `PoolAdmin.show`, but with workers in natural order (w2 before w10).

    workers @1 :List(WorkerNote);
    # The known workers, connected or not, in natural order.

    queued @2 :List(QueuedJob);
    # The first queued jobs: those of the backlog, the next one first, then those in the queues of workers.

    more @3 :UInt32;
    # The number of queued jobs that are not listed.
  }

  struct WorkerNote {
    # A worker, and who paused it.

    name @0 :Text;
    # Its name.

    version @1 :Text;
    # The version of its program. Empty when it is not connected, or does not report it.

    pause @2 :Pause;
    # The pause by an operator. Null when there is none.
  }

  struct Pause {
    # An operator's pause.

    lasting @0 :UInt64;
    # How long it has lasted.

    by @1 :Text;
    # Who paused it, as the operator's program reported. Empty when it did not.

    note @2 :Text;
    # The reason. Empty when none was given.
  }

  struct QueuedJob {
    # A job that no worker has taken.

    ticket @0 :UInt64;
    # Its number.

    client @1 :Text;
    # The client that submitted it.

    cacheHint @2 :Text;
    # Its cache hint. Empty when it has none.

    urgent @3 :Bool;
    # Whether it is urgent.

    waiting @4 :UInt64;
    # How long it has waited.

    worker @5 :Text;
    # The worker whose queue it is in. Empty for the backlog.
  }
}

interface WorkerControl @0xda98782be4730cdd {
  # Additions to upstream's `Worker`. Every worker of ours implements this, on the same object.

  version @0 () -> (version :Text);
  # Returns the version of its program.

  cancelJob @1 (nth :UInt64) -> ();
  # Cancels the nth job that it got over this connection, counted from 1. Fails if it does not run that job now.
}

interface ExtendedWorker extends(Cluster.Worker, WorkerControl) {}
# A worker as ours serve it. Only for the server's use: schedulers call the two interfaces apart.

interface JobOutcome @0x9f3b6c1d5a8e2047 {
  # How a job ended, as data. `Job.result` has it as the text of an exception. Every job of our workers implements this,
  # on the same object as `Job`.

  outcome @0 () -> (outcome :Outcome);
  # Waits for the job to end, and returns how it ended. It can be called any number of times, also after the end. It
  # fails only if no worker has taken the job, or if the job is lost with its worker.

  struct Outcome {
    # How a job ended. A program that does not know the member that is set reads the text of `Job.result`.

    union {
      succeeded @0 :Text;
      # The job succeeded. This is its output, as `Job.result` returns it.

      failed :group {
        # The job ran, and failed.

        detail @1 :Text;
        # The limit that it reached. Empty for any other failure, which its log explains.

        exitCode @2 :UInt8;
        # The exit code of the command that failed. 0 when it is not known.
      }

      cancelled @3 :CancelledBy;
      # The job was stopped on request.

      timedOut @4 :Text;
      # The worker stopped the job, because it took too long. This is the limit, in words.

      workerUnfit :group {
        # The worker cannot run such jobs at present. Submit the job again: another worker may do it.

        problem @5 :Text;
        # The problem of the worker.

        hadBegun @6 :Bool;
        # Whether the job had begun, so that it may have caused the problem.
      }

      abandoned @7 :Void;
      # The worker is shutting down. Submit the job again.

      crashed @8 :Void;
      # The worker has a bug, which its own log describes.
    }
  }

  enum CancelledBy {
    unknown @0;
    # The worker does not know.

    client @1;
    # The client cancelled the job, or released it, or lost its connection.

    operator @2;
    # An operator cancelled it.
  }
}

interface ExtendedJob extends(Cluster.Job, JobOutcome, KeptJob, JobTimes) {}
# A job as our workers serve it. Only for the server's use: clients and schedulers call the interfaces apart.

interface ProgressStatus @0xb7e2408c6d91f35b {
  # The progress of a long request, as data. `Progress.report` has it as text. Our programs implement this on the same
  # object as `Progress`. Our scheduler calls this first, and `Progress.report` if the answer is `unimplemented`.

  report @0 (status :Status) -> ();
  # Shows the status. The scheduler waits for the answer before it reports again.

  struct Status {
    # The status of a worker that is being drained or updated.

    union {
      runningJobs @0 :UInt32;
      # The number of running jobs for which the request waits.

      restarting @1 :Void;
      # It was asked to restart.

      notConnected @2 :Void;
      # It is not connected, so there is nothing to wait for.

      other @3 :Text;
      # Another status, as text for people.
    }
  }
}

interface ExtendedProgress extends(Cluster.Progress, ProgressStatus) {}
# Progress as our programs serve it. Only for the server's use: schedulers call the two interfaces apart.

interface DurableJobs @0xd782edfcc9a0ec60 {
  # Jobs that outlive connections. Every submission of our scheduler implements this, on the same object as `Submission`.
  # A client has access to the jobs that it submitted here, through whichever connection, and to no others. `find` and
  # `list` return those that it submitted by `Submission.submit`, too.

  submit @0 (request :Request) -> (id :Text, job :DurableJob);
  # Submits a job. It is answered when the job is on disk: from then on the job reaches one outcome, whatever is restarted.
  # The caller watches the job until it releases `job`.

  find @1 (id :Text, observing :Bool) -> (id :Text, job :DurableJob);
  # Returns a job by its id, or by the beginning of its id if that is unique. The caller watches it, as above, unless it is
  # only observing. Fails if there is no such job, or more than one.

  list @2 (query :Query) -> (jobs :List(Summary), next :UInt64);
  # Returns jobs, the latest submission first. There may be fewer than were requested although more exist; `next` is the
  # value of `before` for the rest, and 0 if there is no rest.

  struct Request {
    # A job to submit.

    pool @0 :Text;
    # The name of the pool that is to run it.

    descr @1 :Cluster.JobDescr;
    # What to do.

    urgent @2 :Bool;
    # Whether it goes before all jobs that are not urgent.

    key @3 :Text;
    # What the client calls this submission. The same key again, within the retention time of the job, is the same job: it
    # is returned, and the rest of the request is ignored. Empty for none; at most 255 bytes.

    labels @4 :List(Label);
    # What to find the job by. At most 16.

    attempts @5 :UInt8;
    # How many attempts may be lost with their workers before the job ends as lost. 0: as the scheduler has it.

    queueLimit @6 :UInt64;
    # How long it may wait for a worker, in milliseconds. 0: any time.

    runLimit @7 :UInt64;
    # How long an attempt may run, in milliseconds. 0: any time.

    silenceLimit @8 :UInt64;
    # How long an attempt may write nothing to its log, in milliseconds. 0: any time.

    unwatched :union {
      # What happens when no client watches the job any more.

      continues @9 :Void;
      # It continues.

      cancelled @10 :ReturnTimeouts;
      # It is cancelled, unless a client watches it again in time.
    }
  }

  struct ReturnTimeouts {
    # How long a job waits for a client to watch it again, in milliseconds. 0: as the scheduler has it.

    closed @0 :UInt64;
    # After the client released the job, or closed its connection.

    silent @1 :UInt64;
    # After the connection of the client was lost because nothing arrived.

    restarted @2 :UInt64;
    # After the scheduler started.
  }

  struct Label {
    # A name and a value, such as "branch" and "main". Each has at most 255 bytes, all of them visible.

    name @0 :Text;
    value @1 :Text;
  }

  struct Query {
    # Which jobs to list: those that have all of what is given.

    labels @0 :List(Label);
    # Those with all of these labels.

    states @1 :List(State);
    # Those in one of these states; in any, if the list is empty.

    submittedWithin @2 :UInt64;
    # Those that were submitted so many milliseconds ago or later. 0: any.

    before @3 :UInt64;
    # Those after the jobs of an earlier answer: its `next`. 0: from the latest one.

    atMost @4 :UInt32;
    # At most so many. 0: as the scheduler has it.
  }

  enum State {
    # The state of a job, in a word.

    queued @0;
    running @1;
    succeeded @2;
    failed @3;
    cancelled @4;
    timedOut @5;
    lost @6;
  }

  struct Summary {
    # A job in a list.

    id @0 :Text;
    pool @1 :Text;
    kind @2 :Text;
    # "docker", "obuilder", or the kind of a custom job.

    labels @3 :List(Label);
    state @4 :State;
    submittedAgo @5 :UInt64;
    # How long ago it was submitted, in milliseconds.

    changedAgo @6 :UInt64;
    # How long ago it began to wait, was given to a worker, or ended, in milliseconds.

    attempts @7 :UInt32;
    # The number of its attempts so far.

    worker @8 :Text;
    # The worker of its latest attempt. Empty before the first.

    attached @9 :Bool;
    # Whether it was submitted by `Submission.submit`. Such a job ends with the connection of its client or its worker, and
    # with the scheduler. It has at most one attempt, and the history may lag behind by some seconds.
  }
}

interface DurableJob @0x9e02f439cc1e128b {
  # A job that outlives connections. Releasing it does not cancel it; see `DurableJobs.Request.unwatched`.

  status @0 () -> (status :Status);
  # Returns the status of the job at once.

  watch @1 (version :UInt64) -> (status :Status);
  # Waits until the status has a later version than this, and returns it. 0 never waits.

  log @2 (attempt :UInt32, start :UInt64) -> (log :Data, next :UInt64);
  # Reads the log of an attempt from an offset, and waits until there are bytes. An answer without bytes is the end. The
  # bytes at an offset never change. Fails if the log is not kept any more.

  cancel @3 () -> ();
  # Cancels the job. It is answered when that is on disk: then the job does not succeed any more. Fails if it has ended.

  retry @4 (key :Text, continues :Bool) -> (id :Text, job :DurableJob);
  # Submits the job again: a new one with the same description, labels and limits, which the caller watches. With
  # `continues`, it continues when no client watches it; otherwise it is cancelled then. `key` is as in `Request`. Fails
  # unless the job has ended, did not succeed, and its description is still kept.

  share @5 () -> (sturdyRef :Text);
  # Returns the address of a capability for this job that shows its status, details and log, and cannot change it. It is
  # valid for as long as the job is kept. It is a secret.

  describe @6 () -> (details :Details);
  # Returns what is known of the job, but for its description.

  struct Details {
    # What is known of a job.

    summary @0 :DurableJobs.Summary;
    status @1 :Status;

    key @2 :Text;
    # The key of its submission. Empty for none.

    urgent @3 :Bool;
    # Whether it goes before all jobs that are not urgent.

    attempts @4 :List(Attempt);
    # The first one first. Of very many, the latest.

    retryable @5 :Bool;
    # Whether `retry` can submit it again.
  }

  struct Attempt {
    # One run of a job by a worker.

    number @0 :UInt32;
    worker @1 :Text;

    startedAgo @2 :UInt64;
    # How long ago the worker was chosen, in milliseconds.

    logLength @3 :UInt64;
    # How much of its log is kept so far, in bytes.

    union {
      running @4 :Void;
      # It has not ended.

      ended :group {
        # It has ended, or was given up.

        after @5 :UInt64;
        # How long after its start, in milliseconds.

        result @6 :AttemptResult;
        # How.

        detail @7 :Text;
        # More about its end, for people. Empty for nothing more.
      }
    }
  }

  enum AttemptResult {
    # How an attempt ended.

    unknown @0;
    # It was given up when its job ended, and its own end is not known.

    succeeded @1;
    failed @2;
    timedOut @3;
    # Its worker stopped it.

    refused @4;
    # No worker can run it.

    stopped @5;
    # It was cancelled.

    lost @6;
    # It was lost with its worker.
  }

  struct Status {
    # The status of a job.

    version @0 :UInt64;
    # Grows with each change, and when the scheduler is restarted.

    union {
      queued :group {
        # It waits for a worker.

        ahead @1 :UInt32;
        # How many jobs are before it.

        obstacle @2 :Text;
        # Why no worker takes jobs; empty when some do.
      }

      running :group {
        # A worker has it.

        attempt @3 :UInt32;
        # The number of the attempt.

        worker @4 :Text;
        # The worker's name.
      }

      away :group {
        # Its worker has lost its connection, and may return.

        attempt @5 :UInt32;
        # The number of the attempt.

        worker @6 :Text;
        # The worker's name.

        remaining @7 :UInt64;
        # How long the scheduler waits for it, in milliseconds.
      }

      ended :group {
        # It has ended.

        attempt @8 :UInt32;
        # The number of its latest attempt. 0 if there was none.

        outcome @9 :Outcome;
        # How.
      }
    }
  }

  struct Outcome {
    # How a job ended.

    union {
      done @0 :JobOutcome.Outcome;
      # As its latest attempt did on its worker.

      cancelledByClient @1 :Void;
      cancelledByOperator @2 :Void;
      cancelledUnwatched @3 :Void;
      # No client watched it any more.

      queueLimit @4 :Void;
      runLimit @5 :Void;
      silenceLimit @6 :Void;
      # It reached this limit of its request.

      lost @7 :List(Loss);
      # Its attempts were lost with their workers.

      refused @8 :Text;
      # No worker can run it, for this reason.
    }
  }

  struct Loss {
    # An attempt that was lost.

    attempt @0 :UInt32;
    # Its number. 0, with no worker, for a job that was lost while it waited: only an attached one is.

    worker @1 :Text;
    reason @2 :Text;
    # Why, for people.
  }
}

interface ReturningWorkers @0xa4c1f0936be2d758 {
  # Workers that keep their durable jobs while they are disconnected. Every registration of our scheduler implements
  # this, on the same object as `Registration`. Our workers call it first, and `Registration.register` if the answer is
  # `unimplemented`.

  rejoin @0 (name :Text, worker :Cluster.Worker, capacity :Int32, instance :UInt64, held :List(Held))
      -> (queue :Cluster.Queue, grace :UInt64);
  # Registers a worker as `Registration.register` does, with the attempts that it has kept. The scheduler reads their
  # logs and outcomes, and calls `KeptJob.forget` for those that it has stored or has given up. Until then the worker
  # keeps them, and those that run go on.
  #
  # `grace` is how long the worker keeps running durable jobs without a connection, in milliseconds. `instance` is a
  # random number that identifies the worker's process, or 0: if the name is taken by the same instance, its older
  # connection is dead, and this one replaces it.

  struct Held {
    # An attempt of a durable job that the worker has kept. There are at most 1,000.

    job @0 :Text;
    # The id of the job.

    attempt @1 :UInt32;
    # The number of the attempt.

    handle @2 :Cluster.Job;
    # The job, with its log from the beginning.

    union {
      running @3 :Void;
      # It runs, or its outcome is long: then the scheduler learns it from `handle`.

      ended @4 :JobOutcome.Outcome;
      # It has ended like this.

      interrupted @5 :Void;
      # The process of the worker ended while it ran.
    }
  }
}

interface ExtendedRegistration @0xc1d8e60b24fa7395 extends(Cluster.Registration, ReturningWorkers) {}
# A registration as our scheduler serves it. Only for the server's use: workers call the two interfaces apart.

interface DurableQueue @0xe35d7a1c08f94b62 {
  # Jobs with their ids, for workers that keep them. Every queue of our scheduler implements this, on the same object as
  # `Queue`. Workers call it only if they have registered by `ReturningWorkers.rejoin`.

  pop @0 (job :Cluster.Job) -> (descr :Cluster.JobDescr, id :Text, attempt :UInt32);
  # Waits for a job as `Queue.pop` does. `id` is the id of a durable job, and `attempt` the number of this attempt. For
  # any other job `id` is empty: such a job ends with its connection.
}

interface KeptJob @0xd06e92f7b3158ca4 {
  # An attempt that its worker keeps. The jobs of our workers implement this, on the same object as `Job`.

  forget @0 () -> ();
  # Deletes the log and the outcome of an attempt: the scheduler has stored both, or has given the attempt up. One that
  # still runs is stopped first. Fails for a job that the worker does not keep.
}

interface JobsAdmin @0x97879369efd601a3 {
  # The durable jobs of all clients, and what operators did. Our scheduler implements this on the same object as `Admin`.

  identify @0 (by :Text) -> ();
  # Tells who makes the calls on this object, and on the pools obtained through it. The audit log has this name, which
  # is not verified. At most 255 bytes.

  list @1 (query :Query) -> (jobs :List(Listed), next :UInt64);
  # Returns jobs, as `DurableJobs.list` does.

  job @2 (id :Text) -> (job :Details);
  # Returns all that is known of a job but its description. The id may be shortened while it is unique. Fails if there is no
  # such job, or more than one.

  log @3 (id :Text, attempt :UInt32, start :UInt64) -> (log :Data, next :UInt64);
  # Reads a log, as `DurableJob.log` does.

  cancel @4 (id :Text) -> (id :Text);
  # Cancels a job, as `DurableJob.cancel` does. The id may be shortened while it is unique; the answer has all of it.

  audit @5 (query :AuditQuery) -> (entries :List(AuditEntry), next :UInt64);
  # Returns what operators did, the latest first. `next` is the value of `before` for the rest, and 0 if there is no rest.

  struct Query {
    # Which jobs to list: those that have all of what is given.

    jobs @0 :DurableJobs.Query;
    client @1 :Text;
    # Those of this client. Empty for all clients.

    pool @2 :Text;
    # Those for this pool. Empty for all pools.
  }

  struct Listed {
    # A job in a list.

    summary @0 :DurableJobs.Summary;
    client @1 :Text;
  }

  struct Details {
    # What is known of a job.

    job @0 :DurableJob.Details;
    # What its client sees of it.

    client @1 :Text;
    cacheHint @2 :Text;
    # Empty for none.
  }

  struct AuditQuery {
    # Which entries to return: those that have all of what is given.

    within @0 :UInt64;
    # Those of the latest so many milliseconds. 0: any.

    before @1 :UInt64;
    # Those after the entries of an earlier answer: its `next`. 0: from the latest one.

    atMost @2 :UInt32;
    # At most so many. 0: as the scheduler has it.
  }

  struct AuditEntry {
    # A call that was to change something.

    time @0 :UInt64;
    # When, in milliseconds since 1970 (UTC).

    service @1 :Text;
    # The service that it came through, such as "admin".

    address @2 :Text;
    # Where it came from.

    by @3 :Text;
    # Who made it, as the operator's program reported. Empty when it did not.

    action @4 :Text;
    # What was to be done, in a word, such as "pause".

    pool @5 :Text;
    # In which pool. Empty if it was about no pool.

    object @6 :Text;
    # To which worker, client or job.

    detail @7 :Text;
    # More about it, for people. Empty for nothing more.

    error @8 :Text;
    # Why it failed. Empty if it did not.
  }
}

interface ExtendedAdmin @0x882ae4c1369d0281 extends(Cluster.Admin, JobsAdmin, JobTimelines, AdminPages, JobExplanations, Leadership) {}
# An administration as our scheduler serves it. Only for the server's use: clients call the two interfaces apart.

struct WebLink @0xc14563a711dd869f {
  # A link to the pages of a scheduler, for a browser. It is a secret. It gives its visitor the right to look, and to act,
  # that the object gives which has made it.

  url @0 :Text;
  # The address, with a secret that can be used once.

  lasts @1 :UInt64;
  # How long it can be used, in milliseconds.
}

interface AdminPages @0xba8ea1bfb4c206d5 {
  # Links for operators. Our scheduler implements this on the same object as `Admin`.

  link @0 (job :Text) -> (link :WebLink);
  # Makes a link to the page of a job, or to the first page if `job` is empty. The id of a job may be shortened while it
  # is unique. Fails if the scheduler serves no pages.
}

struct Standby @0xd2c7b1f09a6e4583 {
  # A scheduler that waits for another one's lease, as it noted in the database when it looked there.

  name @0 :Text;
  # Its process and host.

  address @1 :Text;
  # Where peers connect when it leads.

  pages @2 :Text;
  # The address of its pages. Empty if it has none.

  looked @3 :UInt64;
  # How long ago it looked at the lease, in milliseconds. One that looked more than some seconds ago may have ended.

  reachesLeader @4 :Bool;
  # Whether it could connect to the leader.
}

struct LeaderStatus @0xb8f34d06e1c95a72 {
  # The scheduler that leads, and those that wait.

  name @0 :Text;
  # Its process and host.

  address @1 :Text;
  # Where peers connect.

  lease @2 :UInt64;
  # The number of its lease, which is higher than those of all leases before. 0 if its state is in files, so that no
  # other scheduler can lead.

  confirmed @3 :UInt64;
  # How long ago the database answered last, in milliseconds.

  standbys @4 :List(Standby);
  # Those that have looked within a day, the latest first.
}

interface Leadership @0x9c5e0a7d4b21f836 {
  # Which of several schedulers on one database leads. Our scheduler implements this on the same object as `Admin`.

  status @0 () -> (status :LeaderStatus);
  # Only the leader accepts calls, so the answer is about the scheduler that gives it.

  stepDown @1 () -> ();
  # Gives up the lease, for a standby to lead. It is answered before all connections are closed. Fails if there is no
  # standby that has looked at the lease within some seconds.
}

interface ClientPages @0xb6adc6bbec6026e4 {
  # Links for clients. Our scheduler implements this on the same object as `Submission`.

  link @0 (job :Text, only :Bool) -> (link :WebLink);
  # Makes a link to the page of a job of this client, or to the first page if `job` is empty. If `only` is set, it shows
  # that job and nothing else, and changes nothing.
}

interface JobPages @0xecf4ca548c3ce741 {
  # Links for those who may see a job. Our scheduler implements this on the same object as `DurableJob`.

  link @0 () -> (link :WebLink);
  # Makes a link that shows the job and nothing else, and changes nothing.
}

struct JobPhase @0xcf0fd26c1f1ebef5 {
  # A part of an attempt. All times are in milliseconds since the attempt began on its worker.

  number @0 :UInt32;
  # Its number in the attempt, from 0. A phase keeps its number.

  kind @1 :Kind;
  name @2 :Text;
  # What is done, in a line: a step as it is in the log, the repository of a source, the name of an image. It contains no
  # secrets of the job. At most 256 bytes.

  logOffset @3 :UInt64;
  # The length of the log when it began, in bytes: its output begins there.

  started @4 :UInt64;

  union {
    running @5 :Void;
    # It has not ended.

    ended @6 :UInt64;
    # When it ended.
  }

  cached @7 :Bool;
  # Whether its result was there already.

  enum Kind {
    source @0;
    # Fetching the source and checking it out.

    image @1;
    # Getting a base image.

    step @2;
    # A step of a build.

    push @3;
    # Pushing the image that was built.

    run @4;
    # The program of a custom job.
  }
}

struct LogTime @0x940293810efe0001 {
  # When a part of a log was written.

  offset @0 :UInt64;
  # Where it begins, in bytes. It ends where the next one begins.

  at @1 :UInt64;
  # When its first byte was written, in milliseconds since the attempt began on its worker. The others came soon after.
}

interface JobTimes @0xde41ed7534d23e50 {
  # When the parts of a job began and ended, and when its log was written. The jobs of our workers implement this, on the
  # same object as `Job`.

  times @0 (version :UInt64, offset :UInt64) -> (times :Times);
  # Returns at once the phases that have changed after a version, and the times of the log from an offset on. Both are 0
  # at first, and then as in the answer before.

  struct Times {
    version @0 :UInt64;
    # Grows with each change of a phase.

    phases @1 :List(JobPhase);
    # The phases that have changed, in the order of their numbers. An attempt has at most 1,000.

    log @2 :List(LogTime);
    # The times of the log, in the order of their offsets. At most 4,096 in an answer.

    logLength @3 :UInt64;
    # The times are known up to this offset, from which the next call asks for more. If there are 4,096, more of them may
    # be known.
  }
}

interface JobTimeline @0x8c93d1605840839a {
  # The same for clients. Every `DurableJob` of our scheduler implements this.

  phases @0 (attempt :UInt32) -> (phases :List(JobPhase));
  # Returns the phases of an attempt, in the order of their numbers. None if its worker reports none.

  logTimes @1 (attempt :UInt32, start :UInt64, end :UInt64) -> (times :List(LogTime), next :UInt64);
  # Returns the times of a part of a log: first that of what is at `start`, even if it begins before. Waits a short time
  # for those of a log that was written just now. At most 4,096 in an answer; `next` is the value of `start` for the rest,
  # and 0 if there is no rest. No times if they are not known.
}

interface ExtendedDurableJob @0xac7f63077acfeb91 extends(DurableJob, JobTimeline, JobPages, Explained) {}
# A durable job as our scheduler serves it. Only for the server's use: clients call the two interfaces apart.

interface JobTimelines @0xabd506ffe29daf75 {
  # The same for operators. Our scheduler implements this on the same object as `Admin`.

  phases @0 (id :Text, attempt :UInt32) -> (phases :List(JobPhase));
  # As `JobTimeline.phases`. The id may be shortened while it is unique.

  logTimes @1 (id :Text, attempt :UInt32, start :UInt64, end :UInt64) -> (times :List(LogTime), next :UInt64);
  # As `JobTimeline.logTimes`.
}

struct Explanation @0xc85603d2dd7656fb {
  # Why a job waits, or what a worker does not do and why.

  kind @0 :Text;
  # The reason, as a word for programs, such as "busy". Later versions may have more words.

  text @1 :Text;
  # The reason for people, in a line that includes what they can do about it.

  ahead @2 :UInt32;
  # How many jobs are before it in its queue.

  urgentAhead @3 :UInt32;
  # How many of them are urgent.

  ownAhead @4 :UInt32;
  # How many of them are of the same client. 0 also for a job that is far behind.

  forecast @5 :Forecast;
  # When it is expected to start and to end. Null if that is not known.
}

struct Forecast @0xc67f40ea11795c1f {
  # When a job is expected to start and to end, in milliseconds from now. Four of five jobs start between these times,
  # and four of five end between these.

  earliestStart @0 :UInt64;
  latestStart @1 :UInt64;
  earliestEnd @2 :UInt64;
  latestEnd @3 :UInt64;
}

interface Explained @0xe59f2ad8573e1b90 {
  # Why a job waits. Every ticket and every `DurableJob` of our scheduler implements this.

  explain @0 () -> (explanation :Explanation);
  # Returns at once why the job waits. Of one that does not wait, `kind` is "running" or "ended".
}

interface PoolExplanations @0xd3076a544ed30565 {
  # Why the jobs of a pool wait, and why its workers run no more of them. Every pool of our scheduler implements this,
  # on the same object as `PoolAdmin`.

  explainJob @0 (ticket :UInt64) -> (explanation :Explanation);
  # Returns why the job with this number waits. Fails if no such job is queued or running.

  explainWorker @1 (worker :Text) -> (explanation :Explanation);
  # Returns why a worker runs no more jobs. Fails with "Unknown worker" when there is none of that name.

  explain @2 (most :UInt32) -> (jobs :List(Job), workers :List(Worker));
  # Returns both for the first `most` queued jobs of each queue, but for at most 1,000 jobs, and for all known workers.

  jobIds @3 (tickets :List(UInt64)) -> (ids :List(Text));
  # Returns the ids of the jobs with these numbers, in the same order: empty for a job that is neither queued nor running,
  # or is not in the history. Fails for more than 1,000 numbers.

  struct Job {
    # A queued job.

    ticket @0 :UInt64;
    explanation @1 :Explanation;
  }

  struct Worker {
    # A worker, connected or not.

    name @0 :Text;
    explanation @1 :Explanation;
  }
}

interface JobExplanations @0xfe8888935cdfab3a {
  # Why jobs wait, by their ids. Our scheduler implements this on the same object as `Admin`.

  explain @0 (id :Text) -> (explanation :Explanation);
  # Returns why a job waits, as `Explained.explain` does. The id may be shortened while it is unique.
}

interface PrunedCaches @0xb9cb2080df902797 {
  # What a worker has dropped of what it had cached. Every queue of our scheduler implements this, on the same object as
  # `Queue`. Without it, a worker is taken to have cached what it has ever built.

  pruned @0 (hints :List(Text)) -> ();
  # The worker has nothing cached any more for jobs with these cache hints. An empty list means all hints. It is called
  # after pruning, and before the worker takes further jobs.
}
