/* Answers of JetStream that are read without cJSON (store/js_api.h). */
#include "check.h"

#include "../../store/js_api.h"

static uint64_t
ack(const char *text)
{
	natsMsg *msg = NULL;
	uint64_t seq = 0;

	/* Messages are given back to a thread of the library's. */
	if (nats_Open(0) != NATS_OK || natsMsg_Create(&msg, "a", NULL, text, (int)strlen(text)) != NATS_OK)
		return UINT64_MAX;
	bool plain = js_api_plain_ack(msg, &seq);
	natsMsg_Destroy(msg);
	return plain ? seq : 0;
}

TEST(plain_acknowledgements)
{
	CHECK_EQ_UINT(ack("{\"stream\":\"aether-n\",\"seq\":1}"), 1);
	CHECK_EQ_UINT(ack("{\"stream\":\"aether-n\", \"seq\":4711}"), 4711);
	CHECK_EQ_UINT(ack("{\"stream\":\"\",\"seq\": 123456789012345678}"), 123456789012345678);
}

TEST(all_others_are_left_to_the_parser)
{
	CHECK_EQ_UINT(ack(""), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"seq\":0}"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"seq\":}"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"seq\":-1}"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"seq\":1"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"seq\":1}}"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"seq\":1234567890123456789}"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\\\",\\\"seq\\\":7}\",\"seq\":1}"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"domain\":\"d\",\"seq\":1}"), 0);
	CHECK_EQ_UINT(ack("{\"stream\":\"n\",\"seq\":1,\"duplicate\":true}"), 0);
	CHECK_EQ_UINT(ack("{\"error\":{\"code\":400,\"err_code\":10071},\"stream\":\"n\",\"seq\":0}"), 0);
}

TESTS(T(plain_acknowledgements), T(all_others_are_left_to_the_parser))
