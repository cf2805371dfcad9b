/*
 * The supervisor of the private nats-server: a process of its own, one per state directory, that keeps the server
 * running as long as any mount uses it, and stops it after the last. `aether supervise DIR` is how server.h starts it.
 *
 * Why a process of its own: mounts come and go in any order, and any may be killed; the server must outlive each of
 * them, but not all.
 *
 * The protocol, on the files of statedir.h.
 *
 *   A mount     1. takes users.lock shared before it looks at anything, and holds it for its life. It waits while a
 * supervisor that is shutting down has it.
 *               2. While server.json does not name a server that is ready and answers: if nobody holds supervisor.lock,
 * it starts a supervisor; and looks again.
 *               3. After it has lost its connection it does 2 again until the server answers.
 *               A mount that can have users.lock and supervisor.lock exclusively for a moment is alone, so nobody
 * relies on the port in server.json: it clears it there, and a new one will be chosen. Supervisor  1. takes
 * supervisor.lock exclusively, else ends: another is at work.
 *               2. A thread of it waits for users.lock exclusively. Having it means that no mount is left, and none can
 * come before the supervisor has ended: it stops the server, removes server.json and ends.
 *               3. Starts the server with server.json's port and credentials if there are any, since a mount may be
 * trying to reconnect there; else with new ones.
 *
 * Invariants.
 *   - The server runs only while it holds server.lock, which it inherits: two servers never have one jetstream/. An
 * orphan (its supervisor was killed, which sends it SIGTERM, and it is not done yet) holds it; server.json has its pid,
 * written as soon as it is started, and the next supervisor ends it: SIGTERM at once, SIGKILL after SUPERVISE_STOP_MS.
 *   - The port and the credentials never change while a mount uses them, across any number of servers and supervisors.
 *   - Neither lock of the mounts and the supervisor survives exec: no other process can hold them.
 *   - Whatever is killed with SIGKILL, in any combination: what is left either ends by itself or mends itself.
 */
#ifndef AETHER_MOUNT_SUPERVISE_H
#define AETHER_MOUNT_SUPERVISE_H

#define SUPERVISE_STOP_MS 10000 /* from SIGTERM to SIGKILL for a server */

/*
 * Be the supervisor of the state directory at the absolute path dir. Ignores SIGINT, SIGHUP and SIGTERM, so that a
 * shutdown that signals every process lets the mounts finish first: the last of them ends it. Returns the exit status:
 * 0, also when another is at work; 1 when the server cannot be started (its log says why).
 */
int supervise(const char *dir);

#endif
