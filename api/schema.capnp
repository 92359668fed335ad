@0x8378b104cef5b2eb;
# The wire contract between clients, the scheduler, workers and operators.
#
# Same file id, names, ordinals and types as upstream's OCluster, so each program can be swapped for its
# counterpart. Change it only by adding: new methods, fields and union members get the next free number, and
# peers that do not know them continue to work. Additions of ours go into extensions.capnp instead.
#
# Two properties of the protocol matter for clients in other languages:
#
# Pipelining. If a method returns a capability, calls on that capability can be sent before the answer has arrived. A
# client sends `submit`, `Ticket.job`, `Job.result` and `Job.log(0)` at once; a worker sends `register` and `pop` at
# once. If an early call fails, all later ones fail with the same error.
#
# Liveness. An object lives as long as there is a reference to it: a ticket keeps its place in the backlog, a job runs,
# a worker stays registered. When a connection ends, all references through it are released. So keep the ticket and
# the job until the job has ended.
#
# The results of a method without results may be a null pointer, and so may the parameters of a call: a null pointer
# is read as a struct whose fields all have their default values. Text is UTF-8.

struct DockerBuild {
  # Builds an image from a Dockerfile, with the commits of the description as its context.

  dockerfile :union {
    # Where the Dockerfile is.

    contents @0 :Text;
    # The text of the Dockerfile itself.

    path @5 :Text;
    # The path of the Dockerfile, relative to the root of the context.
  }

  pushTarget @1 :Text;
  # If not empty, the repository and tag that the image is pushed to when the build succeeds, such as
  # "example/staging:image-1". The job's output is then the image's "repo@sha256:..." identifier.

  pushUser @2 :Text;
  # The user to log in as before pushing. Empty means that no login is needed.

  pushPassword @3 :Text;
  # The password to log in with.

  buildArgs @4 :List(Text);
  # Options for `--build-arg`, each in the form "NAME=VALUE".

  squash @6 :Bool;
  # Whether to merge the layers of the build into one.

  buildkit @7 :Bool;
  # Whether to build with BuildKit.

  includeGit @8 :Bool;
  # Whether the context includes the ".git" directory.
}

struct OBuilder {
  # Builds a spec with OBuilder.

  spec @0 :Text;
  # The contents of the spec, as an S-expression.
}

struct Custom {
  # A job of a kind that this schema does not describe: client and workers have agreed on it.

  kind @0 :Text;
  # The name of the kind, by which a worker recognises it.

  payload @1 :AnyPointer;
  # The data of the job. The scheduler does not read it. It must not contain capabilities.
}

struct Secret {
  # A value that a build may use, but that must not appear in its log or its result.

  id @0 :Text;
  # The name by which the build requests it.

  value @1 :Text;
  # The secret itself. It may be any bytes, and need not be UTF-8.
}

struct JobDescr {
  # What to run. The scheduler passes it from the client to the worker, and reads only `cacheHint`.

  action :union {
    # What kind of job it is.

    dockerBuild @0 :DockerBuild;
    obuilder @4 :OBuilder;
    custom @6 :Custom;
  }

  cacheHint @1 :Text;
  # Jobs with the same hint benefit from running on the same worker. It may be any text; two branches of one project
  # should use the same.

  repository @2 :Text;
  # The URL of the git repository that holds `commits`. Empty for a job without a source.

  commits @3 :List(Text);
  # The commits to check out, as full hashes. The first is checked out, and the others are merged into it.

  secrets @5 :List(Secret);
  # The secrets that the build may use.
}

struct Metric {
  # Metrics in the form that the Prometheus server scrapes.

  contentType @0 :Text;
  # The HTTP content type of `data`.

  data @1 :Text;
  # The body.
}

struct AdditionalMetric {
  # The metrics of an additional source.

  union {
    metric @0 :Metric;
    # What the source reported.

    notReported @1 :Void;
    # The worker does not have this source.
  }
}

struct WorkerInfo {
  # One worker of a pool, as an operator sees it.

  name @0 :Text;
  # The name it registered with.

  active @1 :Bool;
  # Whether it is ready to take jobs: false while it is paused.

  connected @2 :Bool;
  # Whether it is registered now. A worker that has disconnected is listed until it is forgotten.
}

interface Job {
  # A job, which a worker implements and a client watches.
  #
  # A client gets one from its ticket while the job may still be queued. It can call all methods at once: the
  # calls wait until a worker has taken the job. When the last reference is released, the job is cancelled.

  log @0 (start :Int64) -> (log :Data, next :Int64);
  # Reads the log from the offset `start`, in bytes.
  #
  # Waits while there is nothing to read. `next` is where to read on. An empty (or null) `log` means that the log
  # has ended, so a client calls until it gets one. A negative `start` counts from the present end: -100 reads the
  # last hundred bytes, or everything if there is less. A chunk can end in the middle of a UTF-8 sequence. It is
  # an error to start after the present end.

  result @1 () -> (output :Text);
  # Waits for the job to end, and returns its output: for an image that was pushed its identifier, for OBuilder
  # the id of the snapshot, and often nothing. A job that failed or was cancelled ends in an exception with a
  # short reason; the log has the details. It can be called any number of times.

  cancel @2 () -> ();
  # Asks the worker to stop the job. Returns at once; `result` then fails.
}

interface Queue {
  # A worker's registration, through which it gets jobs. When the last reference is released, the worker is
  # unregistered.

  pop @0 (job :Job) -> (descr :JobDescr);
  # Waits until there is a job for this worker, and takes it.
  #
  # `job` is the worker's new object for that job. It must work before the worker knows its description, as the
  # scheduler connects the waiting client to it at once: calls on it can arrive before the answer to `pop`. A worker
  # with room for several jobs calls `pop` that many times.

  setActive @1 (active :Bool) -> ();
  # Pauses the calling worker, or ends its pause. While it is paused, its calls to `pop` wait. An operator's pause is
  # separate from this one, and a worker gets jobs only when it has neither.
}

interface Worker {
  # A worker, as it is administered.

  metrics @0 (source :MetricsSource) -> (contentType :Text, data :Text);
  # Returns the metrics of the worker's program or of its machine.

  enum MetricsSource {
    agent @0;
    host @1;
  }

  selfUpdate @1 () -> ();
  # Finishes the running jobs and restarts the program in its latest version.
  #
  # It never returns successfully: the connection is lost, and the worker registers again.

  additionalMetric @2 (source :Text) -> (metric :AdditionalMetric);
  # Returns the metrics of another source, if the worker was set up with one of that name.
}

interface Registration {
  # The right to register workers in one pool.

  register @0 (name :Text, worker :Worker, capacity :Int32) -> (queue :Queue);
  # Registers a worker, which stays registered while it holds the queue. A name can be registered only once at a
  # time. `capacity` is the number of jobs that it runs at once, for information only.
}

interface Ticket {
  # A queued request for a job. When the last reference is released before a worker has taken the job, the job is
  # removed from the queue. Once a worker has taken it, the ticket counts as one reference to the job.

  job @0 () -> (job :Job);
  # Returns the job at once, as a promise that resolves when a worker takes it. The promise breaks if the ticket
  # is cancelled first.

  cancel @1 () -> ();
  # Removes the job from the queue, or cancels it if a worker has taken it.
}

interface Submission {
  # The right to submit jobs as one client.

  submit @0 (pool :Text, descr :JobDescr, urgent :Bool) -> (ticket :Ticket);
  # Adds a job to a pool's backlog. It never waits for a worker. Urgent jobs are scheduled before all that are not.
  #
  # If the pool does not exist, or access has been revoked, the ticket is a promise that breaks: all calls on it fail
  # with the error.
}

interface Progress {
  # Receives the status of a long request, for an operator's program.

  report @0 (status :Text) -> ();
  # Shows a line of status. The scheduler waits for the answer before it reports again.
}

interface PoolAdmin {
  # One pool, as an operator sees it. It has no state, so it can be released at any time.

  show @0 () -> (state :Text);
  # Returns the state of the pool as text for people.

  workers @1 () -> (workers :List(WorkerInfo));
  # Returns the pool's workers, including those that are known but not connected.

  setActive @2 (worker :Text, active :Bool, autoCreate :Bool) -> ();
  # Pauses a worker, or ends its pause. The pause lasts across reconnects. With `autoCreate`, the worker may be one that
  # has never registered.

  worker @3 (worker :Text) -> (worker :Worker);
  # Returns a connected worker's own object.

  update @4 (worker :Text, progress :Progress) -> ();
  # Drains a connected worker, asks it to update itself, and waits until it is back. `progress` may be null.

  setRate @5 (id :Text, rate :Float64) -> ();
  # Sets a client's share of this pool, relative to a client with a rate of 1.0.

  forget @6 (worker :Text) -> ();
  # Forgets a worker that is not connected.

  drain @7 (worker :Text, progress :Progress) -> ();
  # Pauses a worker and waits until it runs no more jobs. `progress` may be null.
}

interface Admin {
  # The whole cluster, as an operator sees it.

  pools @0 () -> (names :List(Text));
  # Returns the names of the pools, sorted.

  pool @1 (name :Text) -> (pool :PoolAdmin);
  # Returns a pool by its name. For an unknown name it is a promise that breaks.

  addClient @2 (id :Text) -> (cap :Submission);
  # Adds a client, and returns its submission. `Persistent.save` returns the URI for it.

  removeClient @3 (id :Text) -> (cap :Submission);
  # Removes a client. Its access is revoked at once. `cap` is always null.

  listClients @4 () -> (clients :List(Text));
  # Returns the ids of the clients, sorted.
}
