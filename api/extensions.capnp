@0xe227d4dabadb2f0c;
# What our programs offer beyond upstream's schema.
#
# A peer that does not know these interfaces answers calls to them with an `unimplemented` exception, so a caller
# asks and does without. They are called on a capability that the caller already has, by interface id: nothing of
# upstream's schema had to change for them.

using Cluster = import "schema.capnp";

interface TicketStatus {
  # What a client may want to show while it waits. Every ticket of our scheduler implements this.

  status @0 () -> Status;
  # Returns at once how far the ticket has come.

  struct Status {
    # How far a ticket has come.

    union {
      queued :group {
        # In the pool's backlog: no worker has been chosen for it yet.

        ahead @0 :UInt32;
        # How many tickets are before it in the backlog.

        obstacle @5 :Text;
        # Why no worker takes jobs, if none does; absent when some do.
      }

      assigned :group {
        # In the local queue of a worker, which has not taken it yet.

        worker @1 :Text;
        # The name of that worker.

        ahead @2 :UInt32;
        # How many tickets are before it in that queue.
      }

      running :group {
        # Taken by a worker.

        worker @3 :Text;
        # The name of that worker.
      }

      finished @4 :Void;
      # The job has ended, one way or another.
    }
  }
}

interface TemporaryPause {
  # Pausing a worker for as long as it stays connected. `PoolAdmin.setActive` is remembered while the worker is away;
  # this is not. Every pool of our scheduler implements this, on the same object as `PoolAdmin`.

  pauseWorker @0 (worker :Text, paused :Bool) -> ();
  # Pauses a connected worker, or ends such a pause. It finishes what it runs, and is given nothing more until this
  # is called again, `PoolAdmin.setActive` makes it active, or it reconnects. Fails with "Unknown worker" when it is not connected.
}

interface PoolDetails {
  # What an operator wants to know of a pool beyond `PoolAdmin.show` and `PoolAdmin.workers`, as data. Every pool of our
  # scheduler implements this, on the same object as `PoolAdmin`. All times are in milliseconds, and end now.

  details @0 () -> (details :Details);
  # Returns what is known about the pool and all its workers.

  workerDetails @1 (worker :Text) -> (details :Worker);
  # Returns what is known about one worker. Fails with "Unknown worker" when there is none of that name.

  struct Details {
    # A pool at one moment.

    workers @0 :List(Worker);
    # The known workers, connected or not, in the order of their names.

    backlog @1 :UInt32;
    # How many tickets wait for any worker.

    oldestWait @2 :UInt64;
    # How long the oldest ticket has waited that no worker has taken. 0 when there is none.

    clients @3 :List(Client);
    # The clients that have submitted something since the scheduler started, in the order of their names.
  }

  struct Worker {
    # A worker that has registered once, and has not been forgotten.

    name @0 :Text;
    # The name it registers with.

    paused @1 :Bool;
    # Whether an operator has paused it, in the way that is remembered while it is away.

    registrations @2 :UInt64;
    # How many times it has registered since the scheduler started.

    union {
      neverSeen @3 :Void;
      # It has not been connected since the scheduler started.

      left @4 :UInt64;
      # It is not connected, and this is how long ago it left.

      connected @5 :Connected;
      # It is registered now.
    }
  }

  struct Connected {
    # A worker that is registered now.

    registeredFor @0 :UInt64;
    # How long it has been registered.

    address @1 :Text;
    # Where it connects from.

    capacity @2 :UInt32;
    # How many jobs it runs at once, as it said.

    inactive @3 :List(InactiveReason);
    # Why it is given no jobs. It is given some when this is empty.

    silentFor @4 :UInt64;
    # How long it has owed an answer to the scheduler's ping without a sign of life. 0 when it owes none; a moment, often,
    # when all is well.

    queued @5 :UInt32;
    # How many tickets are in its queue.

    workload @6 :UInt64;
    # The sum of their expected costs.

    finished @7 :UInt64;
    # How many jobs it has ended, in whatever way, since it registered.

    running @8 :List(Job);
    # The jobs that it has taken and not ended, the oldest first.

    pauseReasons @9 :List(PauseReason);
    # Why it pauses itself, as it said; empty when it does not, or did not say.
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
    # It keeps its connection, and does not answer. This ends when it does.
  }

  struct Job {
    # A job that a worker has taken.

    ticket @0 :UInt64;
    # The number of its ticket, which is also in the scheduler's log.

    client @1 :Text;
    # Who submitted it.

    cacheHint @2 :Text;
    # Its cache hint, any text at all. Empty when it has none.

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
    # How many of its tickets no worker has taken, urgent or not.

    urgent @3 :UInt32;
    # How many of those are urgent.
  }
}

interface Persistent @0xc8cb212fcd9f5691 {
  # A capability that can be kept across connections. This is Cap'n Proto's standard interface, with the type of
  # its parameters left open. Submissions of clients that are on file implement it.

  save @0 (sealFor :AnyPointer) -> (sturdyRef :AnyPointer);
  # Returns a sturdy ref: a Text with a "capnp://" URI by which the same capability can be had again. It is a
  # secret. `sealFor` is ignored.
}

interface ExtendedTicket extends(Cluster.Ticket, TicketStatus, TicketNumber) {}
# A ticket as our scheduler serves it. Only for the server's use: clients call the interfaces apart.

interface PauseReasons {
  # Why a worker pauses itself; `Queue.setActive` says only that it does. Every queue of our scheduler implements this, on
  # the same object as `Queue`.

  setPauseReasons @0 (reasons :List(PauseReason)) -> ();
  # Replaces the reasons why this worker takes no jobs. Called just before the `setActive` that it explains; an empty list
  # goes with a worker that takes jobs.
}

struct PauseReason {
  # A reason why a worker pauses itself. All texts are short: a worker with longer ones is refused.

  kind @0 :Text;
  # A word for programs, such as "docker" or "state-disk". The same reason always has the same.

  problem @1 :Text;
  # What is wrong, for people.

  advice @2 :Text;
  # What an operator can do about it. Empty when it ends by itself.
}

interface ExtendedPoolAdmin extends(Cluster.PoolAdmin, TemporaryPause, PoolDetails, PoolControl) {}
# A pool's administration as our scheduler serves it. Only for the server's use: clients call the interfaces apart.

interface PersistentSubmission extends(Cluster.Submission, Persistent) {}
# A submission as the scheduler serves it. Only for the server's use: clients call the two interfaces apart.

interface TicketNumber @0xb4d1c9e07a3f5286 {
  # What a ticket is called in the scheduler's log, in `PoolDetails.Job`, and where an operator names a job. Every ticket of our
  # scheduler implements this.

  number @0 () -> (number :UInt64);
  # Returns at once the number of the ticket, which no other of its pool has had since the scheduler started.
}

interface ExtendedQueue extends(Cluster.Queue, PauseReasons) {}
# A queue as our scheduler serves it. Only for the server's use: workers call the two interfaces apart.

interface PoolControl @0xfa531e7cec24d80a {
  # What an operator sees and does beyond upstream's `PoolAdmin`: who paused a worker and why, and jobs by their numbers.
  # Every pool of our scheduler implements this, on the same object as `PoolAdmin`. All times are in milliseconds, and end now.

  overview @0 (most :UInt32) -> (overview :Overview);
  # Returns the state of the pool as text for people, with at most `most` jobs of each queue, and what goes with it.

  pause @1 (worker :Text, by :Text, note :Text, autoCreate :Bool, untilReconnect :Bool) -> ();
  # Pauses a worker as `PoolAdmin.setActive` does, or with `untilReconnect` as `TemporaryPause.pauseWorker` does, and keeps
  # who did it and why. Paused again, it has the new note; an empty one leaves what is known. With `autoCreate` a worker that has never been seen will do.

  cancel @2 (ticket :UInt64, by :Text) -> (worker :Text);
  # Cancels a job, and returns the name of the worker that ran it; empty if it was queued. Fails if no such job is queued or
  # running.

  struct Overview {
    # A pool at one moment.

    state @0 :Text;
    # As `PoolAdmin.show`, but with workers in natural order (w2 before w10).

    workers @1 :List(WorkerNote);
    # The known workers, connected or not, in natural order.

    queued @2 :List(QueuedJob);
    # The first jobs that wait: those of the backlog, the next one first, then those in the queues of workers.

    more @3 :UInt32;
    # How many more jobs wait than are listed.
  }

  struct WorkerNote {
    # What is kept about a worker for operators.

    name @0 :Text;
    # Its name.

    version @1 :Text;
    # The version of its program, as it says. Empty when it is not connected, or cannot say.

    pause @2 :Pause;
    # Who paused it, and why. Null when nobody has.
  }

  struct Pause {
    # An operator's pause.

    lasting @0 :UInt64;
    # How long it has lasted.

    by @1 :Text;
    # Who paused it, as their program says. Empty when it did not say.

    note @2 :Text;
    # Why. Empty when nothing was given.
  }

  struct QueuedJob {
    # A job that no worker has taken.

    ticket @0 :UInt64;
    # Its number.

    client @1 :Text;
    # Who submitted it.

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
  # What our scheduler asks of a worker beyond upstream's `Worker`. Every worker of ours implements this, on the same object.

  version @0 () -> (version :Text);
  # Returns the version of its program.

  cancelJob @1 (nth :UInt64) -> ();
  # Cancels a job: the nth that it was given over the connection that this is called on, counted from 1. Fails if it does not
  # run that job now.
}

interface ExtendedWorker extends(Cluster.Worker, WorkerControl) {}
# A worker as ours serve it. Only for the server's use: schedulers call the two interfaces apart.

interface JobOutcome @0x9f3b6c1d5a8e2047 {
  # How a job ended, as data. `Job.result` gives it as the text of an exception. Every job of our workers implements this, on the
  # same object as `Job`.

  outcome @0 () -> (outcome :Outcome);
  # Waits for the job to end, and returns how it did. It can be called any number of times, also after the end. It fails only if
  # the job was never given to a worker, or is lost with its worker: that is the outcome then.

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

interface ExtendedJob extends(Cluster.Job, JobOutcome) {}
# A job as our workers serve it. Only for the server's use: clients call the two interfaces apart.

interface ProgressStatus @0xb7e2408c6d91f35b {
  # The progress of a long request, as data. `Progress.report` has it as text. Our programs that offer a `Progress` implement
  # this on the same object. Our scheduler calls this first, and `Progress.report` if the answer is `unimplemented`.

  report @0 (status :Status) -> ();
  # Shows the status. The scheduler waits for the answer before it reports again.

  struct Status {
    # The status of a worker that is being drained or updated.

    union {
      runningJobs @0 :UInt32;
      # It runs so many jobs, for which the request waits.

      restarting @1 :Void;
      # It was asked to restart.

      notConnected @2 :Void;
      # It is not connected, so there is nothing to wait for.

      other @3 :Text;
      # Anything else, for people.
    }
  }
}

interface ExtendedProgress extends(Cluster.Progress, ProgressStatus) {}
# Progress as our programs serve it. Only for the server's use: schedulers call the two interfaces apart.
