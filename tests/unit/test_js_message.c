#include "../../store/js_message.h"
#include "check.h"

/* What the reply subject of a delivered message says; false if it is none. */
static bool
delivered(const char *reply, struct js_delivered *d)
{
	natsMsg *msg = NULL;

	if (nats_Open(-1) != NATS_OK || natsMsg_Create(&msg, "aether.ev.ns.a", reply, "line\n", 5) != NATS_OK)
		return false;
	bool ok = js_message_delivered(msg, d);
	CHECK(!ok || d->payload.len == 5);
	natsMsg_Destroy(msg);
	return ok;
}

/* As servers write them: without a domain, with one, and with a token more. */
TEST(reads_reply_subjects)
{
	static const char *const replies[] = {
		"$JS.ACK.aether-ns.x1.1.70000000000.12.1763900000000000000.34",
		"$JS.ACK.hub.account.aether-ns.x1.1.70000000000.12.1763900000000000000.34",
		"$JS.ACK.hub.account.aether-ns.x1.1.70000000000.12.1763900000000000000.34.token",
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct js_delivered d = { 0 };
		CHECK(delivered(replies[i], &d));
		CHECK_EQ_UINT(d.seq, 70000000000);
		CHECK_EQ_UINT(d.consumer_seq, 12);
		CHECK_EQ_UINT(d.pending, 34);
	}
}

TEST(refuses_what_is_no_delivery)
{
	static const char *const replies[] = {
		NULL,
		"_INBOX.abc",
		"$JS.FC.aether-ns.x1.5",
		"$JS.ACK.aether-ns.x1.1.7.12.1763900000000000000",
		"$JS.ACK.a.aether-ns.x1.1.7.12.1763900000000000000.3",
		"$JS.ACK.aether-ns.x1.1.seven.12.1763900000000000000.3",
		"$JS.ACK.aether-ns.x1.1..12.1763900000000000000.3",
		"$JS.ACK.aether-ns.x1.1.7.12.1763900000000000000.3x",
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct js_delivered d;
		CHECK(!delivered(replies[i], &d));
	}
}

TESTS(T(reads_reply_subjects), T(refuses_what_is_no_delivery))
