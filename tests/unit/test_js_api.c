/* Answers of JetStream (store/js_api.h): what is read without cJSON, and errors. */
#include "check.h"

#include <errno.h>

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

TEST(what_passes_by_itself_is_tried_again)
{
	struct logger *lg = NULL;

	CHECK_EQ_INT(logger_new(&lg, "/dev/null", LOG_LEVEL_ERROR), 0);
	CHECK_EQ_INT(js_api_error(lg, 400, 10005, "no suitable peers for placement, peer offline"), -ENOTCONN);
	CHECK_EQ_INT(js_api_error(lg, 409, 10158, "duplicate message id is in process"), -ENOTCONN);
	CHECK_EQ_INT(js_api_error(lg, 503, 10999, "what a later version says without a leader"), -ENOTCONN);
	logger_free(lg);
}

TESTS(T(plain_acknowledgements), T(all_others_are_left_to_the_parser), T(what_passes_by_itself_is_tried_again))
