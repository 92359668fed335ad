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
  # is called again or it reconnects. Fails with "Unknown worker" when it is not connected.
}

interface Persistent @0xc8cb212fcd9f5691 {
  # A capability that can be kept across connections. This is Cap'n Proto's standard interface, with the type of
  # its parameters left open. Submissions of clients that are on file implement it.

  save @0 (sealFor :AnyPointer) -> (sturdyRef :AnyPointer);
  # Returns a sturdy ref: a Text with a "capnp://" URI by which the same capability can be had again. It is a
  # secret. `sealFor` is ignored.
}

interface ExtendedTicket extends(Cluster.Ticket, TicketStatus) {}
# A ticket as our scheduler serves it. Only for the server's use: clients call the two interfaces apart.

interface ExtendedPoolAdmin extends(Cluster.PoolAdmin, TemporaryPause) {}
# A pool's administration as our scheduler serves it. Only for the server's use: clients call the two interfaces apart.

interface PersistentSubmission extends(Cluster.Submission, Persistent) {}
# A submission as the scheduler serves it. Only for the server's use: clients call the two interfaces apart.
