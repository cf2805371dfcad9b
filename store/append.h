/*
 * The protocol of an append: how lines become exactly one stored record, whatever is lost on the way.
 * The functions are declared in actor.h; this page is their design. append_queue.c has the queue,
 * append_answer.c what is answered early and the end of each, append.c the steps of a commit.
 *
 * States and moves of an append (one commit of an actor is active at a time on a node; the other appends wait in order):
 *
 *   QUEUED  -> HEAD | LOOKUP | SLOT     its turn has come: it leads the next commit
 *           -> JOINED                   it goes into the record of the append that leads
 *           -> ENDED                    interrupted, or refused because one before it in its chain has failed
 *   JOINED  -> QUEUED                   nothing is stored, and the leader begins anew: the group is formed again
 *           -> ENDED                    with its leader, and with the same answer
 *
 * and of the one that leads:
 *
 *   HEAD    -> LOOKUP | SLOT | CHECK | WAITING | ENDED   asked for the actor's last record
 *   LOOKUP  -> SLOT | ENDED             ids that the user gave are looked up, blocking, on the store's worker
 *   SLOT    -> SENT | HEAD | LOOKUP | ENDED     has asked for a place among the publishes in flight; when it is there the
 *                                       group is formed and the record made
 *   SENT    -> ENDED                    acknowledged, or refused for good
 *           -> HEAD                     compare-and-set lost: somebody else appended
 *           -> SLOT                     a group was refused for good: its leader tries alone
 *           -> CHECK                    outcome unknown, or the message id was there already
 *           -> WAITING                  no connection: outcome unknown
 *   CHECK   -> HEAD | SLOT | WAITING | ENDED     asked for the record that would be ours; WAITING also where one is refused
 *                                       and no other shows
 *   WAITING -> HEAD | CHECK | ENDED     for a connection, or a pause
 *
 * Invariants:
 *   1. A record is published only as the successor of a base that this node has seen, with the base's sequence as the
 *      compare-and-set. So of all attempts to continue one base, by whomever, JetStream stores at most one.
 *   2. Once an attempt's outcome is unknown, the record behind its base is read before anything else is tried. If it is ours (it
 *      holds our ids), the append has happened. If it is another's, our attempt can never be stored any more (1). If there is none,
 *      the same record is offered again for the same base: (1) keeps the stray attempt and the new one from both being stored.
 *   3. Ids are fixed when the lines are parsed; every attempt offers the same ids.
 *   4. done is called once, at the latest soon after the deadline; success only after an acknowledgement or after reading our record back.
 *   5. Nothing is stored if done says anything but success or -ETIMEDOUT: an error that comes while an earlier attempt's
 *      outcome is unknown is reported as -ETIMEDOUT.
 *   6. -EINTR is only said before the first publish, and never once the append was answered (8).
 *
 * Group commit. Appends that wait behind the active one are committed together with the next, as one record:
 *   7. Only appends whose lines bring neither ids nor versions form a group, in their order and without leaving one out, and each is
 *      whole in one record. A group changes only while no attempt's outcome is unknown, so all attempts for one base
 *      are the same record, and (2) tells of all of them alike. Each append gets the answer it would have got alone, for
 *      nothing in such an append can be refused but for reasons that concern all; where that is not so (a limit on sizes),
 *      the leader goes on alone. One whose time runs out much later than the leader's does not join.
 *
 * Answered before it is stored (commit=async; struct append with accepted):
 *   8. An append is answered once its lines are parsed, it has its place in the queue, and there is room; lines that are malformed
 *      are refused at once and never answered so. What is answered ends with done like any other, after accepted has returned.
 *   9. An append that fails takes those behind it in its chain with it, in one step with leaving the queue: none of them is tried
 *      after the failure. The error is handed out once: by the one append of the chain that was not answered yet, or is kept in
 *      the chain for whoever asks (actor_chain_take) or appends next.
 *  10. What was answered is bounded, per actor and per store (below). Beyond that, appends are queued all the same but
 *      answered later: when room comes, first come first served, or when they end. So no memory grows but
 *      that of the writers that wait, and none fails for it.
 *  11. An answered append is sent at once only if somebody waits for it (actor_append_hurry, actor_head, or one that is not
 *      answered), or if there is much; else it waits for company, APPEND_LINGER_NS at most.
 *  12. actor_head does not answer before all that was answered before it has ended.
 *  13. The time of an answered append runs from the last success of its actor, if that is later than its call: a queue that moves is
 *      no reason to fail, and one that stands fails as a whole after one timeout.
 *
 * In flight: publishes that await their outcome take units of a window that all actors share, first come first served; an actor has
 * one publish in flight, so this is fair among actors. nats-server drops what exceeds the ingest queue of a stream (10,000 messages or
 * 128 MiB since 2.11), which many nodes may share, and a socket that a frozen server does not read should not block a thread.
 */
#ifndef AETHER_STORE_APPEND_H
#define AETHER_STORE_APPEND_H

/* A publish without acknowledgement counts as unknown after this long, or at the deadline. Checking early is safe by invariant 2. */
#define APPEND_ATTEMPT_NS (1500 * NS_PER_MS)

/* After so many lost races in a row pauses of random length are put in, of up to APPEND_PAUSE_MAX_NS. */
#define APPEND_RACES 4
#define APPEND_PAUSE_MAX_NS (20 * NS_PER_MS)

/* So many queued appends may begin one inside the end of the other, on one stack. */
#define APPEND_DEPTH 32

/*
 * Units in flight at most: a publish is one and another for each APPEND_WINDOW_BYTES. With 256, forty nodes at their limit fill
 * the ingest queue of one stream; more in flight brought no more throughput. The units of 1 MiB make that 4 MiB in all, enough for
 * a gigabyte a second at 4 ms.
 */
#define APPEND_WINDOW 256
#define APPEND_WINDOW_BYTES 16384

/*
 * What may be answered and not stored yet, in bytes as stored plus APPEND_COST for each append's own memory: per actor, so that one
 * does not take all, and per store. Half a second of what a server takes in; about as much again goes to records in the making.
 */
#define APPEND_ACTOR_BYTES (8 * 1024 * 1024)
#define APPEND_STORE_BYTES (32 * 1024 * 1024)
#define APPEND_COST 1536

/* How long an append that nobody waits for waits for company, and how many bytes are company enough. */
#define APPEND_LINGER_NS (5 * NS_PER_MS)
#define APPEND_LINGER_BYTES (128 * 1024)

#endif
