/*
 * The protocol of an append: how lines become exactly one stored record, whatever is lost on the way.
 * The functions are declared in actor.h; this page is their design. append_queue.c has the queue, append_group.c who shares a record,
 * append_answer.c what is answered early and the end of each, append.c the steps of a commit, append_record.c the record,
 * append_forward.c the handing over.
 *
 * States and moves of an append (one commit of an actor is active at a time on a node; the other appends wait in order):
 *
 *   QUEUED  -> HEAD | LOOKUP | SLOT | HANDED    its turn has come: it leads the next commit
 *           -> JOINED                   it goes into the record of the append that leads
 *           -> ENDED                    interrupted, or refused because one before it in its chain has failed
 *   JOINED  -> QUEUED                   nothing is stored, and the leader begins anew: the group is formed again
 *           -> ENDED                    with its leader, and with the same answer
 *
 * and of the one that leads:
 *
 *   HEAD    -> LOOKUP | SLOT | HANDED | CHECK | WAITING | ENDED  asked for the actor's last record
 *   LOOKUP  -> SLOT | HEAD | WAITING | ENDED    ids that it brings are looked up, blocking, on the store's worker
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
 *   HANDED  -> ENDED                    stored by the one it was handed over to
 *           -> SLOT                     surely not stored: it goes on by itself, and is not handed over again
 *           -> HEAD                     unknown: from here on it and its group are one append that brings ids (17)
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
 *   7. Only appends whose lines bring no versions form a group, in their order and without leaving one out, and each is
 *      whole in one record. Those that bring ids do so only where the node knows, without asking, that none of these is stored up to the base
 *      (dedup.h), and no two of a group bring the same one. A group changes only while no attempt's outcome is unknown, so all attempts for one
 *      base are the same record, and (2) tells of all of them alike: it is the very payload that makes a record theirs, and the stamp
 *      too where ids were given, which others may offer as well. Each append gets the answer it would have got alone, for
 *      nothing in such an append can be refused but for reasons that concern all; where that is not so (a limit on sizes, a
 *      message id that the server knows), the leader goes on alone. An id that turns out to be stored by others costs the base: the group is
 *      formed again behind the next, and its ids are looked for anew. One whose time runs out much later than the leader's does not join.
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
 * Erasing (struct append with erase) is an append whose record is a tombstone (record.h), so all of the above holds for it:
 *  14. What was learnt of an actor before it was erased counts for nothing afterwards. That an id is stored already, or with other
 *      content, is believed only of a base that was asked for during the append, or of what this append itself has stored.
 *  15. An append is of one life of its actor. Which one is open until its writer is known to mean one (struct append_chain); then it is
 *      refused in every other. A group is of one life.
 *  16. It is erased once the tombstone is stored; what was before it is then taken away (erase.c), and has no meaning until it is.
 *
 * Handing over (store.h). Where many nodes append to one actor, each loses the compare-and-set again and again. What has lost
 * APPEND_HAND_RACES races is handed over, with the group that it leads, to a node that sequences all of them, as are the appends that follow
 * it for APPEND_CONTENDED_NS. Only lines of which this node has made all the ids: it has none of them in flight then (2), so that none is
 * stored, and never will be unless by the one who gets them. He stores all of them as one record or none, in the life of the writer's base.
 *  17. When the outcome of a hand-over is unknown, two nodes may offer the same ids, for as long as they like. Both publish by (1),
 *      behind a base up to which they have looked for these ids in every record behind since_seq, the writer's base: no limit of
 *      number or age holds, and who cannot look everywhere does not publish. So none is stored twice: of two records with one id the
 *      later has a base that is the earlier one or comes after it, and whoever published it would have found the id. That holds
 *      however late the other one comes, and if he was stopped between looking and publishing: what was stored meanwhile stands behind his base,
 *      he loses the race, and looks again before he tries again. And none is lost: success is only said of lines that were acknowledged
 *      or found.
 *  18. What is handed over stays one append with its group from then on, for it is stored as one. If no answer comes it is handed over once more,
 *      with the same since_seq, perhaps to another node: that is one more who may offer the same ids (17). What was handed over to this node is never
 *      handed on.
 *  19. since_seq says nothing in another life (14), nor where the actor's end is before it, for then the namespace was made
 *      anew. There the one who was handed it refuses for good, so that it is not stored at all by him; and who does not know what has
 *      become of it cannot find out any more, and answers -ETIMEDOUT, as for every other error once the outcome is unknown (5).
 *  20. A record names the node whose lines it holds, if they are of one, whoever has published it: that node has told its own kernel of
 *      them. If they are of several it names none.
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

/* After so many an append is handed over, if there is somebody to hand it to; and so often, until an answer comes. */
#define APPEND_HAND_RACES 2
#define APPEND_HAND_TRIES 2

#define APPEND_PAUSE_MAX_NS (20 * NS_PER_MS)

/* For so long after the last lost race of this kind, or success in handing over, an actor's appends are handed over at once. */
#define APPEND_CONTENDED_NS (2 * NS_PER_SEC)

/* Handing over may take so long at most, and half of what is left until the deadline, so that there is time to append oneself. */
#define APPEND_HAND_NS (1 * NS_PER_SEC)

/*
 * As long as others hand appends of an actor over to this node, at least each APPEND_SERVED_NS one, a commit waits for company: for as many as
 * were stored by the commit before, and waited then, for they come again as soon as they have been answered. Not longer than APPEND_CROWD_NS.
 */
#define APPEND_SERVED_NS (100 * NS_PER_MS)
#define APPEND_CROWD_NS NS_PER_MS
#define APPEND_CROWD_MAX 64

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
