@0x8378b104cef5b2eb;
# The wire contract between clients, the scheduler, workers and operators.
#
# Same file id, names, ordinals and types as upstream's OCluster, so each program can be swapped for its
# counterpart. Change it only by adding: new methods, fields and union members get the next free number, and
# peers that do not know them go on working. What upstream does not know goes into extensions.capnp instead.
#
# Two habits of the protocol matter to whoever writes a client in another language:
#
# Pipelining. A method that answers with a capability can be followed at once by calls on that capability,
# before the answer has arrived. A client sends `submit`, `Ticket.job`, `Job.result` and `Job.log(0)` in one
# burst; a worker sends `register` and `pop` likewise. An error in an early call is then the answer to all the
# later ones.
#
# Liveness. Holding a capability keeps something going, and letting go of the last reference ends it: a ticket
# keeps its place in the backlog, a job keeps running, a queue keeps its worker registered. When a connection
# ends, every reference that crossed it is let go. So keep the ticket and the job until you have what you want.
#
# Results that a method does not mention may be a null pointer, and so may the parameters of a call: a null
# pointer reads as a struct whose fields all have their default values. Text is UTF-8.

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
  # A kind of job that this schema does not describe: an agreement between a client and its workers.

  kind @0 :Text;
  # Names the agreement, so that a worker can tell whether it knows it.

  payload @1 :AnyPointer;
  # Whatever that kind needs. The scheduler does not look inside. Keep it to data: capabilities do not survive
  # the wait in the backlog.
}

struct Secret {
  # A value that a build may use, but that must show up neither in its log nor in its result.

  id @0 :Text;
  # The name by which the build asks for it.

  value @1 :Text;
  # The secret itself. It may be any bytes, and need not be UTF-8.
}

struct JobDescr {
  # What to run. The scheduler hands it from the client to the worker without looking at more than `cacheHint`.

  action :union {
    # What kind of job it is.

    dockerBuild @0 :DockerBuild;
    obuilder @4 :OBuilder;
    custom @6 :Custom;
  }

  cacheHint @1 :Text;
  # Jobs with the same hint benefit from running on the same worker. Any text will do; two branches of one
  # project should use the same.

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
  # The answer to a question for one more source of metrics.

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
  # Whether it is registered now. A worker that has left is remembered until it is forgotten.
}

interface Job {
  # A job, which a worker implements and a client watches.
  #
  # A client gets one from its ticket while the job may still be queued. It can call all methods at once: the
  # calls wait until a worker has taken the job. When the last reference goes, the job is cancelled.

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
  # short reason; the log says more. It can be called any number of times.

  cancel @2 () -> ();
  # Asks the worker to stop the job. Returns at once; `result` then fails.
}

interface Queue {
  # A worker's registration: where it gets jobs from. When the last reference goes, the worker is unregistered.

  pop @0 (job :Job) -> (descr :JobDescr);
  # Waits until there is a job for this worker, and takes it.
  #
  # `job` is the worker's own, new object for the job that it will get. It must work before it is known what the
  # job is, since the scheduler connects the waiting client to it at once: calls on it can arrive before the answer
  # to `pop`. A worker with room for several jobs calls `pop` that many times.

  setActive @1 (active :Bool) -> ();
  # Pauses the worker, or ends the pause, on its own wish. While it is paused, its calls to `pop` wait. An operator's
  # pause is apart from this one, and a worker takes jobs only when nobody has paused it.
}

interface Worker {
  # What a worker implements to be administered.

  metrics @0 (source :MetricsSource) -> (contentType :Text, data :Text);
  # Returns the metrics of the worker's program or of its machine.

  enum MetricsSource {
    agent @0;
    host @1;
  }

  selfUpdate @1 () -> ();
  # Finishes the running jobs and restarts the program in its latest version.
  #
  # Success shows in the connection being lost, and the worker registering again. So this never returns
  # successfully.

  additionalMetric @2 (source :Text) -> (metric :AdditionalMetric);
  # Returns the metrics of another source, if the worker was set up with one of that name.
}

interface Registration {
  # Where workers of one pool come in.

  register @0 (name :Text, worker :Worker, capacity :Int32) -> (queue :Queue);
  # Registers a worker, which stays registered while it holds the queue. A name can be registered only once at a
  # time. `capacity` is how many jobs it means to run at once, for information only.
}

interface Ticket {
  # A place in a pool's backlog. When the last reference goes while the job is still waiting, it is dropped from
  # the backlog. Once a worker has taken the job, the ticket counts as one reference to it.

  job @0 () -> (job :Job);
  # Returns the job at once, as a promise that resolves when a worker takes it. The promise breaks if the ticket
  # is cancelled first.

  cancel @1 () -> ();
  # Takes the job out of the backlog, or cancels it if it has been taken by a worker.
}

interface Submission {
  # What one client of the cluster holds.

  submit @0 (pool :Text, descr :JobDescr, urgent :Bool) -> (ticket :Ticket);
  # Adds a job to a pool's backlog. Never waits for a worker. Urgent jobs go before all that are not.
  #
  # If the pool does not exist, or access has been revoked, the ticket is a promise that breaks: the error comes
  # as the answer to whatever is called on it.
}

interface Progress {
  # Where an operator's program learns how a long request is coming along.

  report @0 (status :Text) -> ();
  # Shows a line of status. The scheduler waits for the answer before it reports again.
}

interface PoolAdmin {
  # One pool, as an operator sees it. It holds no state of its own, so it can be let go of at any time.

  show @0 () -> (state :Text);
  # Returns the state of the pool as text for people.

  workers @1 () -> (workers :List(WorkerInfo));
  # Returns the pool's workers, including those that are known but not connected.

  setActive @2 (worker :Text, active :Bool, autoCreate :Bool) -> ();
  # Pauses a worker, or ends the pause, on an operator's wish. It is remembered while the worker is away. With
  # `autoCreate` it works for workers that have never been seen too.

  worker @3 (worker :Text) -> (worker :Worker);
  # Returns a connected worker's own object.

  update @4 (worker :Text, progress :Progress) -> ();
  # Drains a connected worker, asks it to update itself, and waits until it is back. `progress` may be null.

  setRate @5 (id :Text, rate :Float64) -> ();
  # Sets a client's share of this pool: how many jobs' worth it gets while one with a rate of 1.0 gets one.

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
  # Adds a client and returns its submission, which can be saved to get a URI for it.

  removeClient @3 (id :Text) -> (cap :Submission);
  # Removes a client: what it holds stops working at once. `cap` is always null.

  listClients @4 () -> (clients :List(Text));
  # Returns the ids of the clients, sorted.
}
